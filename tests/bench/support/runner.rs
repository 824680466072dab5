//! Threads made by hand, for what libvas's own do not show.

use crate::CPU_0;
use crate::measure::{mark_begin, mark_end};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use libvas::raw::STACK_ENTRY_BIAS_BYTES;
use libvas::{Cap, CapTable, Error, Thread, program, raw, thread};

/// A stack of 16 KiB, in every space of the program. Its memory stays taken, so it outlives whoever runs there.
pub(crate) struct SpareStack(&'static mut [u128; 1024]);

impl SpareStack {
    pub(crate) fn new() -> SpareStack {
        SpareStack(Box::leak(Box::new([0; 1024])))
    }

    /// Where the stack pointer stands when a function begins there.
    pub(crate) fn top(&self) -> u64 {
        (&raw const *self.0).expose_provenance() as u64 + size_of::<[u128; 1024]>() as u64 - STACK_ENTRY_BIAS_BYTES
    }
}

/// Starts threads one after the other on one stack: each does nothing but end.
pub(crate) struct Runner {
    stack: SpareStack,
}

impl Runner {
    pub(crate) fn new() -> Runner {
        Runner { stack: SpareStack::new() }
    }

    /// A thread that uses this table; started, it would never run, as its priority is below that of whoever measures.
    #[inline(always)]
    pub(crate) fn idle_thread(table: &Cap<CapTable>) -> Result<Cap<Thread>, Error> {
        let thread = Thread::new(program().account(), table, program().space(), 0)?;
        thread.set_affinity(CPU_0)?;
        Ok(thread)
    }

    /// Starts a thread. It ends as soon as it runs, and is not to be started while another one has not ended.
    #[inline(always)]
    pub(crate) fn start(&self, thread: &Cap<Thread>) -> Result<(), Error> {
        // SAFETY: the function is this program's. It is all that ever runs on the stack, and it has nothing there that
        // another thread could spoil: it never returns.
        unsafe { thread.start(leave as *const () as usize as u64, self.stack.top(), 0) }
    }

    /// Makes the calling thread fall back to where the others begin.
    #[inline(always)]
    pub(crate) fn set_fallback(&self) -> Result<(), Error> {
        // SAFETY: as in `start`. The program's own space stays for as long as there is a thread of the program.
        unsafe { thread::set_fallback(program().space(), leave as *const () as usize as u64, self.stack.top()) }
    }

    /// Threads of low priority that are ready, and never have a turn: as long as they are kept, whoever measures is.
    pub(crate) fn ready_threads(&self, count: usize) -> Result<Vec<Cap<Thread>>, Error> {
        let ready = || {
            let thread = Runner::idle_thread(program().table())?;
            self.start(&thread).map(|()| thread)
        };
        (0..count).map(|_| ready()).collect()
    }

    /// A thread that has ended, and the ticks from its last call to this thread's going on, which are marked if they count.
    pub(crate) fn ended_thread(&self, counts: bool) -> Result<(Cap<Thread>, u64), Error> {
        let priority = program().thread().info()?.priority;
        let thread = Thread::new(program().account(), program().table(), program().space(), priority)?;
        thread.set_affinity(CPU_0)?;
        LEFT_AT.store(0, Relaxed);
        COUNTS.store(counts, Relaxed);
        self.start(&thread)?;
        thread::yield_now();
        let now = raw::cycles();
        if counts {
            mark_end();
        }
        match LEFT_AT.load(Relaxed) {
            0 => Err(Error::BadState),
            began => Ok((thread, now.wrapping_sub(began))),
        }
    }
}

/// A thread that never starts.
#[inline(always)]
pub(crate) fn unstarted(table: &Cap<CapTable>) -> Result<Cap<Thread>, Error> {
    Thread::new(program().account(), table, program().space(), 0)
}

/// A thread of the program that has not started.
pub(crate) fn idle() -> Result<Cap<Thread>, Error> {
    Runner::idle_thread(program().table())
}

/// A capability table for threads that use none.
pub(crate) fn small_table() -> Result<Cap<CapTable>, Error> {
    CapTable::new(program().account(), 8)
}

/// When a thread was about to end.
static LEFT_AT: AtomicU64 = AtomicU64::new(0);

/// Whether its end is one that counts.
static COUNTS: AtomicBool = AtomicBool::new(false);

extern "C" fn leave(_: u64) -> ! {
    if COUNTS.swap(false, Relaxed) {
        mark_begin();
    }
    LEFT_AT.store(raw::cycles(), Relaxed);
    thread::exit(0)
}
