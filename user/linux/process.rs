//! A thread of a Linux process: all that its system calls look at and change. Most processes have one.

use crate::errno::Errno;
use crate::files::Files;
use crate::memory::Memory;
use crate::signals::{Reason, Signals};
use alloc::string::String;
use demonstration::Random;
use libvas::GuestContext;

/// The number of the first process; who has no parent any more has the one before.
pub const FIRST: u64 = 2;

/// See above.
pub(crate) const NO_PARENT: u64 = FIRST - 1;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(u8),
    /// As by a signal.
    Killed(u8),
}

impl Ended {
    /// The exit status, as shells have it.
    pub fn status(self) -> u8 {
        match self {
            Ended::Exited(status) => status,
            Ended::Killed(signal) => 128 | signal,
        }
    }

    /// What `wait4` tells a parent.
    pub(crate) fn told(self) -> u32 {
        match self {
            Ended::Exited(status) => u32::from(status) << 8,
            Ended::Killed(signal) => u32::from(signal),
        }
    }
}

/// Numbers by which others know a process and its thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) number: u64,
    /// The thread's own; that of the first is the process's.
    pub(crate) thread: u64,
    pub(crate) parent: u64,
    pub(crate) group: u64,
    pub(crate) session: u64,
}

/// A call that is not served yet, and how far it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// When it ends at the latest, nanoseconds since boot.
    pub(crate) until_ns: Option<u64>,
    /// What it has done of what it is to do.
    pub(crate) done: u64,
    /// The child that has to give back what it has of its parent.
    pub(crate) child: Option<u64>,
    /// The word of memory at which somebody may wake it (`futex`).
    pub(crate) word: Option<u64>,
    /// Whether what it waits for has come: the call is served when it is made next.
    pub(crate) is_woken: bool,
}

/// A thread, with what it has in common with others of its process.
pub struct Process<'a> {
    pub(crate) identity: Identity,
    pub(crate) name: String,
    /// Where its file is.
    pub(crate) path: String,
    pub(crate) guest: GuestContext,
    pub(crate) memory: Memory<'a>,
    /// Whether that is its parent's, which waits (`vfork`).
    pub(crate) is_borrower: bool,
    pub(crate) files: Files<'a>,
    pub(crate) signals: Signals,
    pub(crate) random: Random,
    /// The call that is made anew until it is served: its number and its arguments.
    pub(crate) waits_in: Option<(u64, [u64; 6])>,
    pub(crate) progress: Progress,
    pub(crate) is_stopped: bool,
    /// The word that is cleared when it ends, for who waits for that; 0 for none.
    pub(crate) clears: u64,
    /// Set by what ends it.
    pub(crate) ended: Option<Ended>,
    /// Whether that ends this thread only.
    pub(crate) is_alone: bool,
}

impl Process<'_> {
    /// Has the call that is being served wait, until a time at most.
    pub(crate) fn wait_until(&mut self, until_ns: Option<u64>) -> Errno {
        self.progress.until_ns = until_ns;
        Errno::RESTART
    }

    /// A signal comes to this thread.
    pub(crate) fn raise(&mut self, number: u8, reason: Reason) {
        self.signals.raise(number, reason);
    }

    /// The call is over.
    pub fn end_wait(&mut self) {
        self.waits_in = None;
        self.progress = Progress::default();
        self.signals.end_wait();
    }
}
