//! How late a sleeper wakes while a thread ends for which very many others wait.

use crate::measure::Benchmark;
use crate::support::crowd::Threads;
use crate::support::lateness::lateness;
use crate::support::runner::SpareStack;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libvas::{Cap, Error, Handle, Rights, Thread, program, thread};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "lateness_thread_stop_joined",
    points: &[],
    axis: "",
    what: "how late a sleeper wakes while another thread stops a thread that 30,000 others wait for",
    leaves_out: "their own ends",
    measure: |meter, _| lateness(meter, joined, |joined| joined.thread.stop().map(|()| joined)),
}];

const JOINERS: u64 = 30_000;

/// A thread that has not ended, and those that wait for it.
struct Joined {
    thread: Cap<Thread>,
    _joiners: Threads,
}

/// How many threads have begun to wait.
static BEGUN: AtomicU64 = AtomicU64::new(0);

fn joined() -> Result<Joined, Error> {
    let (joiners, stack) = (Threads::none()?, SpareStack::new());
    let home = program().space();
    let priority = program().thread().info()?.priority;
    let thread = Thread::new(program().account(), program().table(), home, 0)?;
    let theirs = thread.copy_into(&joiners.used, Rights::WAIT, 0)?;
    BEGUN.store(0, Relaxed);
    for number in 1..=JOINERS {
        let joiner = joiners.add(home, priority)?;
        // SAFETY: the function is this program's. The threads share a stack, each of them begins when the one before waits,
        // and none goes on behind that: they are stopped while something of a higher priority runs.
        unsafe { joiner.start(wait as *const () as usize as u64, stack.top(), theirs.bits())? };
        thread::yield_now();
        if BEGUN.load(Relaxed) != number {
            return Err(Error::BadState);
        }
        // Woken, it is not to run.
        joiner.set_priority(0)?;
    }
    Ok(Joined { thread, _joiners: joiners })
}

extern "C" fn wait(thread: u64) -> ! {
    BEGUN.fetch_add(1, Relaxed);
    // The capability is the table's, for all of them.
    let thread = core::mem::ManuallyDrop::new(Cap::<Thread>::from_handle(Handle::from_bits(thread)));
    let _ = thread.join();
    thread::exit(0)
}
