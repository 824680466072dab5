//! The service in a thread of its own, in a space of its own, on the caller's CPU.

use crate::answer_to;
use core::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use libvas::thread::{self, Builder, JoinHandle};
use libvas::{Cap, Error, Space, program};

/// Whose turn it is: a state of [`TURN`].
const CALLER: u64 = 0;
const WORKER: u64 = 1;
const OVER: u64 = 2;

/// Who has the number's place. It is in the program's memory, which both spaces show.
static TURN: AtomicU64 = AtomicU64::new(CALLER);

/// The number, and then the answer.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The thread that answers.
pub(crate) struct Worker {
    thread: JoinHandle<()>,
    _space: Cap<Space>,
}

impl Worker {
    pub(crate) fn start() -> Result<Worker, Error> {
        let space = program().new_space()?;
        // The caller's priority: else one would not yield to the other.
        let priority = program().thread().info()?.priority;
        let thread = Builder::new().name("worker").space(&space).cpus(1).priority(priority).spawn(serve)?;
        Ok(Worker { thread, _space: space })
    }

    /// One request.
    pub(crate) fn ask(&self, number: u64) -> u64 {
        NUMBER.store(number, Relaxed);
        TURN.store(WORKER, Release);
        while TURN.load(Acquire) != CALLER {
            thread::yield_now();
        }
        NUMBER.load(Relaxed)
    }

    /// Lets it end.
    pub(crate) fn end(self) -> Result<(), Error> {
        TURN.store(OVER, Release);
        self.thread.join()
    }
}

fn serve() {
    loop {
        match TURN.load(Acquire) {
            CALLER => thread::yield_now(),
            WORKER => {
                NUMBER.store(answer_to(NUMBER.load(Relaxed)), Relaxed);
                TURN.store(CALLER, Release);
            }
            _ => return,
        }
    }
}
