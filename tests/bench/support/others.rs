//! The other CPUs: a thread on each, which is where it is told to be.

use crate::measure::{Measured, Meter, need_cpus};
use crate::support::count::counted;
use crate::support::scene::{ADDRESS, KEEPER, SLOT, page};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use libvas::layout::Counters;
use libvas::thread::{Builder, JoinHandle};
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, program, raw};

/// Where another CPU is while a page is unmapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// In the space.
    Inside,
    /// In the program's own space, after it was in the other one before each unmap.
    Left,
    /// In the program's own space, and never in the other.
    Elsewhere,
}

/// How many rounds there are fewer: each can take many instructions of waiting.
const FEWER: usize = 10;

/// A space with a page that stays, and one that comes and goes.
pub(crate) struct Target {
    space: Cap<Space>,
    /// Where the page comes and goes if not in the space itself: a core window of CPU 0.
    window: Option<Cap<Subtree>>,
    segment: Cap<Segment>,
}

impl Target {
    /// A space that any CPU may enter.
    pub(crate) fn anywhere() -> Result<Target, Error> {
        Target::with(program().new_space()?, None)
    }

    /// A space that is local to CPU 0.
    pub(crate) fn local() -> Result<Target, Error> {
        let space = Space::new_local(program().account(), 0)?;
        space.attach_window(0, program().subtree(), Rights::ACCESS)?;
        Target::with(space, None)
    }

    /// A core window of CPU 0, in a space that any CPU may enter.
    pub(crate) fn core_window() -> Result<Target, Error> {
        let (space, window) = (program().new_space()?, Subtree::new(program().account())?);
        space.attach_core(SLOT, &window, Rights::READ, 0)?;
        Target::with(space, Some(window))
    }

    fn with(space: Cap<Space>, window: Option<Cap<Subtree>>) -> Result<Target, Error> {
        let target = Target { space, window, segment: page()? };
        target.space.map(KEEPER, &target.segment, 0..PAGE_BYTES, Rights::READ)?;
        if let Some(window) = &target.window {
            window.map(3 * PAGE_BYTES, &target.segment, 0..PAGE_BYTES, Rights::READ)?;
        }
        Ok(target)
    }

    fn map(&self) -> Result<(), Error> {
        match &self.window {
            Some(window) => window.map(PAGE_BYTES, &self.segment, 0..PAGE_BYTES, Rights::READ),
            None => self.space.map(ADDRESS, &self.segment, 0..PAGE_BYTES, Rights::READ),
        }
    }

    /// Reads the page, from inside the space.
    fn touch(&self) -> Result<(), Error> {
        let address = if self.window.is_some() { SLOT + PAGE_BYTES } else { ADDRESS };
        black_box(Place::<u64>::new(address)?.get());
        Ok(())
    }

    #[inline(always)]
    fn unmap(&self) -> Result<(), Error> {
        match &self.window {
            Some(window) => window.unmap(PAGE_BYTES..2 * PAGE_BYTES),
            None => self.space.unmap(ADDRESS..ADDRESS + PAGE_BYTES),
        }
    }

    /// Measures the unmap, by a thread in the space, while so many other CPUs are where they are told.
    pub(crate) fn measure(&self, meter: &mut Meter, others: u64, place: Where) -> Measured {
        need_cpus(others + 1)?;
        let others = Others::start(others, place, &self.space)?;
        let before = || self.prepare(&others);
        let measured = self.space.enter(|| meter.fewer(FEWER).sample(1, before, |()| self.unmap()))?;
        others.end()?;
        measured
    }

    /// Counts what one such unmap does on all CPUs together.
    pub(crate) fn count(
        &self,
        meter: &mut Meter,
        others: u64,
        place: Where,
        unit: &'static str,
        of: fn(&Counters) -> u64,
    ) -> Measured {
        need_cpus(others + 1)?;
        let others = Others::start(others, place, &self.space)?;
        let counters = self.space.enter(|| {
            self.prepare(&others)?;
            counted(|| self.unmap())
        })?;
        others.end()?;
        meter.figure(unit, of(&counters?));
        Ok(())
    }

    fn prepare(&self, others: &Others) -> Result<(), Error> {
        self.map()?;
        self.touch()?;
        others.turn();
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Orders {
    stop: AtomicBool,
    wanted: AtomicU64,
    done: AtomicU64,
}

/// Threads that spin on CPUs 1, 2 and so on.
struct Others {
    threads: Vec<JoinHandle<Result<(), Error>>>,
    orders: Vec<Arc<Orders>>,
}

impl Others {
    fn start(count: u64, place: Where, space: &Cap<Space>) -> Result<Others, Error> {
        let mut others = Others { threads: Vec::new(), orders: Vec::new() };
        let priority = program().thread().info()?.priority;
        for cpu in 1..=count {
            let orders = Arc::<Orders>::default();
            let (own, space, kept) = (Arc::clone(&orders), space.derive(Rights::SWITCH, 0)?, Place::new(KEEPER)?);
            let builder = Builder::new().cpus(1 << cpu).priority(priority);
            others.threads.push(builder.spawn(move || obey(&own, place, &space, kept))?);
            others.orders.push(orders);
        }
        others.turn();
        Ok(others)
    }

    /// Lets each do its thing once more, and waits for that.
    fn turn(&self) {
        for orders in &self.orders {
            let wanted = orders.wanted.fetch_add(1, Ordering::AcqRel) + 1;
            while orders.done.load(Ordering::Acquire) < wanted {
                raw::relax();
            }
        }
    }

    fn end(self) -> Result<(), Error> {
        self.orders.iter().for_each(|orders| orders.stop.store(true, Ordering::Relaxed));
        self.threads.into_iter().try_for_each(|thread| thread.join()?)
    }
}

/// A thread on another CPU. One that is refused the space never does its thing, so the boot's limit of time ends it.
fn obey(own: &Orders, place: Where, space: &Cap<Space>, kept: Place<u64>) -> Result<(), Error> {
    let read = || {
        black_box(kept.get());
    };
    match place {
        Where::Inside => space.enter(|| {
            turns(own, || {
                read();
                Ok(())
            })
        })?,
        Where::Left => turns(own, || space.enter(read)),
        Where::Elsewhere => turns(own, || Ok(())),
    }
}

/// Follows orders until told to stop.
fn turns(own: &Orders, act: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
    while !own.stop.load(Ordering::Relaxed) {
        let wanted = own.wanted.load(Ordering::Acquire);
        if own.done.load(Ordering::Relaxed) != wanted {
            act()?;
            own.done.store(wanted, Ordering::Release);
        }
        // The emulator gives other CPUs their turn then.
        raw::relax();
    }
    Ok(())
}
