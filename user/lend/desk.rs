//! A desk for each borrower: all that the lender tells it, as plain numbers, and what it tells the lender.

use crate::loans::Lent;
use core::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use libvas::Handle;

/// What lies on a desk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item {
    /// The borrower's handle of the lender's segment.
    Segment,
    /// That of its subtree.
    Subtree,
    /// That of its space.
    Space,
    /// That of the borrower's own space.
    Home,
    /// That of its account.
    Account,
    /// Where the stack begins on which it lands.
    LandingStack,
    /// Its handle of the view that it has made.
    View,
    /// How often it has read what is in the lender's space.
    Turns,
    /// Whether the lender has everything back: 1 if so.
    TakenBack,
}

/// A desk, in the program's memory, which all sides see.
pub(crate) struct Desk([AtomicU64; 9]);

/// One for each borrower.
pub(crate) static DESKS: [Desk; 3] = [const { Desk([const { AtomicU64::new(0) }; 9]) }; 3];

impl Desk {
    /// Puts the borrower's handles of what it has borrowed there.
    pub(crate) fn put_loans(&self, lent: Lent) {
        self.write(Item::Segment, lent.segment.bits());
        self.write(Item::Subtree, lent.subtree.bits());
        self.write(Item::Space, lent.space.bits());
    }

    /// Writes a number.
    pub(crate) fn write(&self, item: Item, number: u64) {
        self.0[item as usize].store(number, Release);
    }

    /// Reads a number.
    pub(crate) fn read(&self, item: Item) -> u64 {
        self.0[item as usize].load(Acquire)
    }

    /// Reads a handle.
    pub(crate) fn handle(&self, item: Item) -> Handle {
        Handle::from_bits(self.read(item))
    }
}
