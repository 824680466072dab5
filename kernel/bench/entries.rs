//! A tree of page tables that no CPU ever walks, to write entries in.

use tessera_abi::{PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::{Frame, Leaf, TOP_LEVEL, VirtAddr};

use crate::bench::benchmark::NO_MEMORY;
use crate::mem::{FrameAllocator, FrameList};
use crate::paging::chunk::entry_pages;
use crate::paging::page_table::{Tree, new_table};
use crate::state::kernel::Kernel;

/// Where entries would lead; nobody follows them. Pages of every size may begin there.
const FRAME: Frame = Frame::new(1 << 18);
/// The first address of two tables at every level.
const START: u64 = 2 * TOP_SLOT_BYTES;
const LEAF: Leaf = Leaf { rights: Rights::READ_WRITE, global: false };
/// The tables of a tree with two of the lowest level, at most.
const TABLES: u64 = 6;

/// The tree, and room for entries that lie in two tables one behind the other: all but the first entry of the one, and the
/// first of the other. An entry on either side keeps the tables.
pub(crate) struct Entries<'a> {
    tree: Tree,
    frames: &'a mut FrameAllocator,
    /// Pages that an entry stands for.
    pages: u64,
    /// How many entries are written at once.
    count: u64,
}

impl<'a> Entries<'a> {
    /// Entries of a level, so many, up to those of a table.
    pub(crate) fn new(kernel: &'a mut Kernel, level: u8, count: u64) -> Result<Entries<'a>, &'static str> {
        kernel.ensure_frames(TABLES).map_err(|_| NO_MEMORY)?;
        let frames = &mut kernel.frames;
        let tree = Tree::new(new_table(frames), TOP_LEVEL);
        let mut entries = Entries { tree, frames, pages: entry_pages(level), count };
        for index in [0, tessera_arch::TABLE_ENTRIES as u64 + 1] {
            let (address, first) = entries.place(index);
            entries.tree.map(entries.frames, address, first, entries.pages, LEAF);
        }
        Ok(entries)
    }

    /// The address of an entry by its number in the two tables, and the frame to which it leads.
    #[inline(always)]
    fn place(&self, index: u64) -> (VirtAddr, Frame) {
        (VirtAddr::new(START + index * self.pages * PAGE_BYTES), FRAME.offset(index * self.pages))
    }

    /// Writes all of them, and makes them visible to walkers.
    #[inline(always)]
    pub(crate) fn map(&mut self) {
        let (address, first) = self.place(1);
        self.tree.map(self.frames, address, first, self.count * self.pages, LEAF);
        tessera_arch::publish_tables();
    }

    /// Takes all of them out, and makes that visible to walkers.
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        let mut freed = FrameList::new();
        self.tree.unmap(self.frames, self.place(1).0, self.count * self.pages, &mut freed);
        tessera_arch::publish_tables();
        self.frames.free_list(freed);
    }

    /// Gives the tables back.
    pub(crate) fn give_back(mut self) {
        self.clear();
        let mut freed = FrameList::new();
        for index in [0, tessera_arch::TABLE_ENTRIES as u64 + 1] {
            let address = self.place(index).0;
            self.tree.unmap(self.frames, address, self.pages, &mut freed);
        }
        self.frames.free_list(freed);
        self.frames.free_table(self.tree.root);
    }
}
