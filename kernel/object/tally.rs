//! A tally at each object: what a check counted anew, beside what it is compared with.

use core::cell::Cell;

/// What was counted of one object. It lies in the store, beside what it is compared with.
#[derive(Debug, Default)]
pub struct Tally {
    references: Cell<u32>,
    amount: Cell<u64>,
}

impl Tally {
    /// Everything that refers to the object.
    pub fn references(&self) -> u32 {
        self.references.get()
    }

    /// For an account what is charged to it, bytes; for a table its threads, for a segment its mappings, for a space its
    /// views, for a subtree its places.
    pub fn amount(&self) -> u64 {
        self.amount.get()
    }

    pub(crate) fn refer(&self) {
        self.references.set(self.references.get() + 1);
    }

    pub(crate) fn refer_with(&self, amount: u64) {
        self.refer();
        self.amount.set(self.amount.get() + amount);
    }

    /// As if it had been referred to so many times.
    pub(crate) fn refer_times(&self, count: u32) {
        self.references.set(self.references.get() + count);
        self.amount.set(self.amount.get() + u64::from(count));
    }

    pub(crate) fn clear(&self) {
        self.references.set(0);
        self.amount.set(0);
    }
}
