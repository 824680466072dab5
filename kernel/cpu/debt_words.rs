//! What every call asks before it leaves the kernel: whether anything is being taken apart.
//!
//! The words lie where a call finds them by one load; what they say is for the holder of the kernel's lock (`object::doomed`).

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The words of the list of what is being taken apart.
#[derive(Debug)]
pub struct DebtWords {
    pub(crate) first: AtomicU64,
    pub(crate) last: AtomicU64,
    /// A bit for each reason to go on.
    pub(crate) due: AtomicU64,
}

impl DebtWords {
    /// Those of an empty list.
    #[expect(clippy::new_without_default, reason = "a machine has one, in a static")]
    pub const fn new() -> DebtWords {
        DebtWords { first: AtomicU64::new(0), last: AtomicU64::new(0), due: AtomicU64::new(0) }
    }

    /// The reasons, a bit each; zero for none.
    #[inline(always)]
    pub fn reasons(&self) -> u64 {
        self.due.load(Relaxed)
    }
}
