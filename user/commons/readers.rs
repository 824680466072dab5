//! A reader on each other CPU, inside a space of its own, which uses what is public all the time.

use crate::commons::{self, CARVED};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use libvas::thread::{Builder, JoinHandle};
use libvas::{Cap, Error, Space, clock, counters, program};

/// What is not done by then hangs.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    turns: AtomicU64,
    wrong: AtomicU64,
}

/// Threads that read on CPUs 1, 2 and so on.
pub(crate) struct Readers {
    threads: Vec<JoinHandle<()>>,
    shared: Vec<Arc<Shared>>,
}

impl Readers {
    /// Starts one on each CPU but the first, each in another of the spaces, and waits until all have read.
    pub(crate) fn start(spaces: &[Cap<Space>]) -> Result<Readers, Error> {
        let mut readers = Readers { threads: Vec::new(), shared: Vec::new() };
        let priority = program().thread().info()?.priority;
        let place = commons::carved()?;
        for (cpu, space) in (1..counters::cpus()?).zip(spaces) {
            let shared = Arc::<Shared>::default();
            let own = Arc::clone(&shared);
            let builder = Builder::new().cpus(1 << cpu).priority(priority).space(space).name("reader");
            readers.threads.push(builder.spawn(move || {
                while !own.stop.load(Ordering::Relaxed) {
                    own.wrong.fetch_add(u64::from(place.get() != CARVED), Ordering::Relaxed);
                    own.turns.fetch_add(1, Ordering::Release);
                }
            })?);
            readers.shared.push(shared);
        }
        readers.await_turn()?;
        Ok(readers)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.threads.len() as u64
    }

    /// Waits until each has read once more.
    ///
    /// # Errors
    /// `Gone` if one does not.
    pub(crate) fn await_turn(&self) -> Result<(), Error> {
        let deadline = clock::now() + LIMIT;
        for shared in &self.shared {
            let before = shared.turns.load(Ordering::Acquire);
            while shared.turns.load(Ordering::Acquire) == before {
                if clock::now() > deadline {
                    return Err(Error::Gone);
                }
            }
        }
        Ok(())
    }

    /// Ends them; gives how many words they found wrong.
    pub(crate) fn end(self) -> Result<u64, Error> {
        self.shared.iter().for_each(|shared| shared.stop.store(true, Ordering::Relaxed));
        self.threads.into_iter().try_for_each(JoinHandle::join)?;
        Ok(self.shared.iter().map(|shared| shared.wrong.load(Ordering::Relaxed)).sum())
    }
}
