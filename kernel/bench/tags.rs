//! A tag allocator of the benchmarks' own, so that the kernel's stays as it is.

use crate::bench::benchmark::NO_MEMORY;
use crate::cpu::tags::{TagAllocator, TagWord};
use crate::state::kernel::Kernel;

/// Bits in a tag, for a machine that has none.
const USUAL_BITS: u32 = 12;

/// The allocator, as wide as the machine's.
pub(crate) struct Tags {
    pub(crate) allocator: TagAllocator,
    /// Tags that are live on a CPU: as many as there are CPUs, if there are so many tags.
    live: u16,
    /// Tags given out in this generation.
    given: u32,
}

impl Tags {
    pub(crate) fn new(kernel: &mut Kernel) -> Result<Tags, &'static str> {
        let bits = if kernel.tags.bits() == 0 { USUAL_BITS } else { kernel.tags.bits() };
        let map_bytes = size_of::<u64>() * TagAllocator::words(bits);
        (0..2).try_for_each(|_| kernel.reserve_block(map_bytes as u64)).map_err(|_| NO_MEMORY)?;
        let live = kernel.cpus().min((1 << bits) - 1) as u16;
        Ok(Tags { allocator: TagAllocator::new(bits, kernel.cpus()), live, given: 0 })
    }

    /// Begins a new generation in which the live tags stay with their owners, and gives one out.
    #[inline(always)]
    pub(crate) fn roll_over(&mut self) -> TagWord {
        let generation = self.allocator.generation();
        self.allocator.roll_over((1..=self.live).map(|tag| TagWord::new(generation, tag)), (TagWord::default(), false))
    }

    /// Sees that another tag can be given out.
    pub(crate) fn ensure_free(&mut self) {
        self.given += 1;
        if self.given >= 1 << self.allocator.bits() {
            self.allocator.roll_over(core::iter::empty(), (TagWord::default(), false));
            // The one that it gave, and the next.
            self.given = 2;
        }
    }
}
