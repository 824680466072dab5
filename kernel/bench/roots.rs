//! Two root tables that no space has, for benchmarks of the hardware's own instructions.

use tessera_abi::TOP_SLOT_BYTES;
use tessera_arch::{Frame, VirtAddr, load_root, root_word};

use crate::bench::benchmark::NO_MEMORY;
use crate::cpu::tags::TagWord;
use crate::paging::page_table::new_table;
use crate::state::kernel::Kernel;

/// A user address.
pub(crate) const ADDRESS: VirtAddr = VirtAddr::new(2 * TOP_SLOT_BYTES);

/// Root tables in which nothing is mapped, and for each a tag that no space has; 0 where the machine has none. The first
/// one is in force.
pub(crate) struct Roots {
    roots: [Frame; 2],
    /// Their tags.
    pub(crate) tags: [u16; 2],
}

impl Roots {
    pub(crate) fn new(kernel: &mut Kernel) -> Result<Roots, &'static str> {
        kernel.ensure_frames(2).map_err(|_| NO_MEMORY)?;
        let roots = [(); 2].map(|()| new_table(&mut kernel.frames));
        roots.iter().for_each(|root| tessera_arch::prepare_root(*root));
        tessera_arch::publish_tables();
        let (bits, generation) = (kernel.tags.bits(), kernel.tags.generation());
        let mut spare = (1..1_u32 << bits).map(|tag| tag as u16);
        let mut next = || spare.find(|tag| !kernel.tags.is_taken(TagWord::new(generation, *tag))).unwrap_or(0);
        let roots = Roots { roots, tags: [next(), next()] };
        load_root(roots.word(0));
        Ok(roots)
    }

    /// Whether each has a tag.
    pub(crate) fn have_tags(&self) -> bool {
        self.tags.iter().all(|tag| *tag != 0)
    }

    /// What the root register takes for one of them, with its tag.
    #[inline(always)]
    pub(crate) fn word(&self, index: usize) -> u64 {
        root_word(self.roots[index], self.tags[index])
    }

    /// The same without a tag.
    #[inline(always)]
    pub(crate) fn untagged_word(&self, index: usize) -> u64 {
        root_word(self.roots[index], 0)
    }

    /// Gives them back, and their tags, under which nothing is held any more.
    pub(crate) fn give_back(self, kernel: &mut Kernel) {
        kernel.shared.leave_space(&kernel.shared.cpus[tessera_arch::cpu_index()]);
        tessera_arch::invalidate_all();
        for root in self.roots {
            tessera_arch::strip_root(root);
            kernel.frames.free_table(root);
        }
    }
}
