//! Room at each space to note what it sees of a change.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

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
    /// On which CPUs. Empty while nothing is noted.
    pub(crate) cpus: AtomicU64,
    /// Whether views of the space see it too.
    pub(crate) in_views: AtomicBool,
    /// The space that was noted before this one.
    pub(crate) next: AtomicU32,
}

impl Note {
    /// Nothing is noted.
    pub(crate) const fn new() -> Note {
        let (first, count, cpus) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Note { first, count, cpus, in_views: AtomicBool::new(false), next: AtomicU32::new(NO_SPACE) }
    }

    /// Whether nothing is noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.cpus.load(Relaxed) == 0
    }
}
