//! Effort: how much of its work a long call does at one entry into the kernel.
//!
//! Work is counted in units of about ten instructions, by whoever goes round a loop whose length programs decide. When an
//! entry's units are spent, what is left is left: the call is made again, or the debt stays. A step may overdraw by what
//! it cannot be cut into.

/// Units of one entry: under a third of the 20,000 instructions for which an entry may work. As much again may go for what a call
/// dooms at its end; entering, deciding and leaving, and the last piece that was begun, come on top.
pub const ENTRY_UNITS: u32 = 600;

/// What clearing a page takes, or copying one.
pub const PAGE_UNITS: u32 = 55;

/// What making a page fit to be fetched as code takes.
pub const CLEAN_UNITS: u32 = 30;

/// What finding a page's frame takes.
pub const LOOK_UNITS: u32 = 4;

/// What giving a page its frame takes on first touch, clearing included.
pub const TOUCH_UNITS: u32 = 100;

/// What is left of an entry's work.
#[derive(Debug)]
pub struct Effort {
    left: u32,
}

impl Effort {
    /// What an entry has to spend.
    #[inline(always)]
    pub fn of_entry() -> Effort {
        Effort { left: entry_units() }
    }

    /// More than anything takes: of work that is done in one go.
    pub fn unlimited() -> Effort {
        Effort { left: u32::MAX }
    }

    /// As much as is asked for: of work of which little is known to be there.
    #[inline(always)]
    pub fn of(units: u32) -> Effort {
        Effort { left: units }
    }

    /// Spends units; gives whether any are left.
    #[inline(always)]
    pub fn spend(&mut self, units: u32) -> bool {
        self.left = self.left.saturating_sub(units);
        self.left != 0
    }

    /// How many of an entry's are spent.
    pub fn spent(&self) -> u32 {
        entry_units().saturating_sub(self.left)
    }

    /// How many are left.
    #[inline(always)]
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Whether any are left.
    #[inline(always)]
    pub fn is_left(&self) -> bool {
        self.left != 0
    }
}

#[cfg(target_os = "none")]
const fn entry_units() -> u32 {
    ENTRY_UNITS
}

#[cfg(not(target_os = "none"))]
pub use on_host::set_entry_units;

#[cfg(not(target_os = "none"))]
use on_host::entry_units;

#[cfg(not(target_os = "none"))]
mod on_host {
    use std::cell::Cell;

    use super::ENTRY_UNITS;

    std::thread_local! {
        static UNITS: Cell<u32> = const { Cell::new(ENTRY_UNITS) };
    }

    pub(super) fn entry_units() -> u32 {
        UNITS.get()
    }

    /// From here on the calling test thread's kernel spends so many units at each entry: 1 cuts work wherever it can be cut.
    pub fn set_entry_units(units: u32) {
        UNITS.set(units.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::{Effort, set_entry_units};

    #[test]
    fn what_is_spent_is_gone_and_the_last_piece_may_overdraw() {
        set_entry_units(10);
        let mut effort = Effort::of_entry();
        assert!(effort.spend(9) && effort.is_left());
        assert!(!effort.spend(5) && !effort.is_left());
        assert!(!effort.spend(0));
        assert!(Effort::of_entry().spend(9), "each entry has its own");
    }
}
