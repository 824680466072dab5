//! A Linux program while it runs: all that its system calls look at and change.

use crate::files::Files;
use crate::memory::Memory;
use crate::output::Output;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use demonstration::Random;
use libvas::GuestContext;
use linux::errno::Errno;
use rt::println;

/// The number of each program, which is alone, and of its only thread.
pub(crate) const PROCESS_NUMBER: u64 = 2;

/// The signals by which a program ends that did what it cannot do; the same numbers on both processors.
pub(crate) mod signal {
    pub(crate) const ILLEGAL: u8 = 4;
    pub(crate) const TRAP: u8 = 5;
    pub(crate) const BUS: u8 = 7;
    pub(crate) const ARITHMETIC: u8 = 8;
    pub(crate) const SEGMENT: u8 = 11;
    pub(crate) const LAST: u64 = 64;
    /// Those that do nothing to a program that does not ask for them: a child's end, going on, urgent data, the window's size.
    pub(crate) const HARMLESS: [u64; 4] = [17, 18, 23, 28];
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this status.
    Exited(u8),
    /// As by a signal.
    Killed(u8),
}

impl Ended {
    /// The exit status, as shells have it.
    pub(crate) fn status(self) -> u8 {
        match self {
            Ended::Exited(status) => status,
            Ended::Killed(signal) => 128 | signal,
        }
    }
}

/// See above.
pub(crate) struct Process<'a> {
    pub(crate) name: &'a str,
    /// Where its file is.
    pub(crate) path: String,
    pub(crate) guest: GuestContext,
    pub(crate) memory: Memory,
    pub(crate) files: Files<'a>,
    pub(crate) output: Output,
    /// What it wants to be done at signals, none of which ever comes: `struct sigaction` by number.
    pub(crate) actions: BTreeMap<u64, [u8; 32]>,
    /// The signals that it does not want now.
    pub(crate) mask: u64,
    pub(crate) random: Random,
    /// Set by the call that ends it.
    pub(crate) ended: Option<Ended>,
    /// The calls that it was told are not there.
    pub(crate) unknown: BTreeSet<u64>,
}

impl Process<'_> {
    /// Refuses a call that is not served, and says so when the program makes it first.
    pub(crate) fn refuse(&mut self, number: u64) -> Errno {
        if self.unknown.insert(number) {
            println!("linux: {}: system call {number} is not served: ENOSYS", self.name);
        }
        Errno::ENOSYS
    }
}
