//! Looking pages up as the hardware does: from a root down, through the root's own tables and those it shows of others.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{PAGE_BYTES, Rights};
use tessera_arch::{Access, Format, Frame, PageFormat, TABLE_ENTRIES, TOP_LEVEL, VirtAddr, table};

use crate::paging::chunk::entry_pages;

/// No table holds the entries of this part of memory.
const NOWHERE: u64 = u64::MAX;

/// Looks pages up from one root, for one kind of access. It remembers the lowest table that it came to, so while it is
/// in use tables may be added, and none may go.
#[derive(Debug)]
pub struct Walker {
    root: Frame,
    access: Access,
    lowest: Frame,
    /// The part of memory whose entries are in that table.
    part: u64,
}

impl Walker {
    /// A walker that has not gone anywhere.
    #[inline(always)]
    pub fn new(root: Frame, access: Access) -> Walker {
        Walker { root, access, lowest: root, part: NOWHERE }
    }

    /// What it looks for.
    #[inline(always)]
    pub fn access(&self) -> Access {
        self.access
    }

    /// The frame that user mode comes to at a page, if it may access it so.
    #[inline(always)]
    pub fn frame(&mut self, page: u64) -> Option<Frame> {
        if page / TABLE_ENTRIES as u64 != self.part
            && let Some(frame) = self.descend(page)?
        {
            return Some(frame);
        }
        let entry = table(self.lowest)[page as usize % TABLE_ENTRIES].load(Relaxed);
        self.memory(entry)
    }

    /// Goes down to the lowest table; gives the frame if a large page comes first.
    #[inline(always)]
    fn descend(&mut self, page: u64) -> Option<Option<Frame>> {
        let address = VirtAddr::new(page * PAGE_BYTES);
        let mut holder = self.root;
        for level in (1..=TOP_LEVEL).rev() {
            let entry = table(holder)[address.table_index(level)].load(Relaxed);
            if !Format::is_table(entry, level) {
                return Some(Some(self.memory(entry)?.offset(page % entry_pages(level))));
            }
            // What an entry on the way forbids, none below it allows.
            if !Format::is_present(entry) || !self.is_allowed(|| Format::bounds(entry)) {
                return None;
            }
            holder = Frame::containing(Format::address(entry));
        }
        (self.lowest, self.part) = (holder, page / TABLE_ENTRIES as u64);
        Some(None)
    }

    /// The memory that a leaf leads to.
    #[inline(always)]
    fn memory(&self, leaf: u64) -> Option<Frame> {
        let is_reached = Format::is_present(leaf) && self.is_allowed(|| Format::leaf(leaf).rights);
        is_reached.then(|| Frame::containing(Format::address(leaf)))
    }

    /// Reading, no entry that is present forbids.
    #[inline(always)]
    fn is_allowed(&self, rights: impl FnOnce() -> Rights) -> bool {
        match self.access {
            Access::Read => true,
            Access::Write => rights().contains(Rights::WRITE),
            Access::Execute => rights().contains(Rights::EXECUTE),
        }
    }
}
