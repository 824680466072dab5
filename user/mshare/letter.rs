//! The letter: all that the donor tells the consumer, as plain numbers.

use core::sync::atomic::{AtomicU64, Ordering};

/// Numbers that mean something in the consumer's capability table, and one that does not.
pub(crate) struct Letter([AtomicU64; 4]);

/// What the numbers are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item {
    /// The consumer's handle of its space.
    Space,
    /// Its handle of the region: it may look at it, and attach it to be read.
    Region,
    /// Another handle of the region: it may look at it, and no more.
    LookOnly,
    /// The donor's own handle of the region, which is of no use to anybody else.
    DonorsRegion,
}

/// The letter that lies in the program's memory, which both sides see.
pub(crate) static LETTER: Letter = Letter([const { AtomicU64::new(0) }; 4]);

impl Letter {
    /// Writes a number.
    pub(crate) fn write(&self, item: Item, number: u64) {
        self.0[item as usize].store(number, Ordering::Relaxed);
    }

    /// Reads a number.
    pub(crate) fn read(&self, item: Item) -> u64 {
        self.0[item as usize].load(Ordering::Relaxed)
    }
}
