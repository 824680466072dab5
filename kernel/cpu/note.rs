//! Room at each space to note what it sees of a change.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::cpu::handshake::NO_SPACE;

/// Room at each space to note what it sees of the change that is under way, while the ways to it are gathered, and to
/// chain the spaces found so far. It lies among the words that the change visits next; the holder of the kernel's lock
/// alone uses it (`tlb::audience`), and it is empty between changes.
#[derive(Debug)]
pub struct Note {
    /// The first page.
    pub(crate) first: AtomicU64,
    /// How many pages.
    pub(crate) count: AtomicU64,
    /// On which CPUs, a bit each, and whether in views. Zero while nothing is noted.
    pub(crate) cpus: AtomicU32,
    /// The space that was noted before this one.
    pub(crate) next: AtomicU32,
}

impl Note {
    /// Nothing is noted.
    pub(crate) const fn new() -> Note {
        let (first, count) = (AtomicU64::new(0), AtomicU64::new(0));
        Note { first, count, cpus: AtomicU32::new(0), next: AtomicU32::new(NO_SPACE) }
    }

    /// Whether nothing is noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.cpus.load(Relaxed) == 0
    }
}
