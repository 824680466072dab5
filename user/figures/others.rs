//! The other CPUs: a thread on each, which goes where it is told.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use libvas::thread::{Builder, JoinHandle};
use libvas::{Cap, Error, Place, Rights, Space, clock, program};

/// Where another CPU is while the page is unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// In the space.
    Inside,
    /// In the home space, after it was in the space before each unmap.
    Left,
    /// In the home space, and never in the other.
    Never,
}

/// What is not done by then hangs.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Orders {
    stop: AtomicBool,
    wanted: AtomicU64,
    done: AtomicU64,
}

/// Threads that spin on CPUs 1, 2 and so on.
pub(crate) struct Others {
    threads: Vec<JoinHandle<()>>,
    orders: Vec<Arc<Orders>>,
}

impl Others {
    /// Starts so many. They read `anchor` when they are in the space.
    pub(crate) fn start(count: u64, place: Where, space: &Cap<Space>, anchor: u64) -> Result<Others, Error> {
        let mut others = Others { threads: Vec::new(), orders: Vec::new() };
        let priority = program().thread().info()?.priority;
        for cpu in 1..=count {
            let orders = Arc::<Orders>::default();
            let (own, space, anchor) = (Arc::clone(&orders), space.derive(Rights::SWITCH, 0)?, Place::new(anchor)?);
            let builder = Builder::new().cpus(1 << cpu).priority(priority);
            others.threads.push(builder.spawn(move || obey(&own, place, &space, anchor))?);
            others.orders.push(orders);
        }
        others.turn()?;
        Ok(others)
    }

    /// Lets each do its thing once more, and waits for that.
    ///
    /// # Errors
    /// `Gone` if one does not.
    pub(crate) fn turn(&self) -> Result<(), Error> {
        let deadline = clock::now() + LIMIT;
        for orders in &self.orders {
            let wanted = orders.wanted.fetch_add(1, Ordering::AcqRel) + 1;
            while orders.done.load(Ordering::Acquire) < wanted {
                if clock::now() > deadline {
                    return Err(Error::Gone);
                }
            }
        }
        Ok(())
    }

    /// Ends them all.
    pub(crate) fn end(self) -> Result<(), Error> {
        self.orders.iter().for_each(|orders| orders.stop.store(true, Ordering::Relaxed));
        self.threads.into_iter().try_for_each(JoinHandle::join)
    }
}

fn obey(own: &Orders, place: Where, space: &Cap<Space>, anchor: Place<u64>) {
    match place {
        Where::Inside => {
            // A refusal leaves the order undone, which the one who gave it notices.
            let _ = space.enter(|| turns(own, || anchor.get() == 0));
        }
        Where::Left => turns(own, || space.enter(|| anchor.get() == 0) == Ok(true)),
        Where::Never => turns(own, || true),
    }
}

/// Follows orders until told to stop.
fn turns(own: &Orders, act: impl Fn() -> bool) {
    while !own.stop.load(Ordering::Relaxed) {
        let wanted = own.wanted.load(Ordering::Acquire);
        if own.done.load(Ordering::Relaxed) != wanted && act() {
            own.done.store(wanted, Ordering::Release);
        }
    }
}
