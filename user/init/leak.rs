//! The leak check: what exists before a program and after it must be the same.

use alloc::vec::Vec;
use init::figures::{Figure, changed};
use libvas::{Cap, Error, Machine, program};
use rt::println;

/// What existed at some moment.
pub(crate) struct Census([Figure; 9]);

/// Sizes of the blocks for which the heap keeps what memory it has once taken, as powers of two: 16 bytes to 32 KiB.
const KEPT_SIZES: core::ops::RangeInclusive<u32> = 4..=15;

/// Lets the heap take the memory that it keeps for blocks of each size: it is not the programs' to leave behind.
pub(crate) fn warm_heap() {
    KEPT_SIZES.for_each(|power| drop(core::hint::black_box(Vec::<u8>::with_capacity(1 << power))));
}

impl Census {
    pub(crate) fn take(machine: &Cap<Machine>) -> Result<Census, Error> {
        let info = machine.info()?;
        Ok(Census([
            ("accounts", info.accounts),
            ("spaces", info.spaces),
            ("subtrees", info.subtrees),
            ("segments", info.segments),
            ("threads", info.threads),
            ("tables", info.tables),
            ("capabilities", info.capabilities),
            // The kernel keeps what its heap has taken; only both together are what nobody uses.
            ("bytes of memory, free or in the kernel's heap", info.free_bytes + info.heap_held_bytes),
            ("bytes charged", program().account().info()?.used_bytes),
        ]))
    }

    /// Says what has changed since; whether nothing has.
    pub(crate) fn compare(&self, after: &Census, name: &str) -> bool {
        let mut same = true;
        for (figure, before, after) in changed(self.0, after.0) {
            println!("[init] LEAK after {name}: {figure}: {before} before, {after} after");
            same = false;
        }
        same
    }
}
