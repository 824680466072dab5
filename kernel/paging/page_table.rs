//! Page-table trees: walking, growing, pruning. What is mapped where, and why, is `address_map`'s business.
//!
//! Invariants: every table but the root has at least one present entry, and its frame's record counts them;
//! entries are only ever changed under the kernel's lock, while hardware walkers read them at any time. An entry that
//! leads to another tree's table is marked as shared: no walk here follows it.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{PAGE_BYTES, Rights, TOP_SLOTS};
use tessera_arch::{Format, Frame, Leaf, PageFormat, TABLE_ENTRIES, TOP_LEVEL, VirtAddr, table};

use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::FrameAllocator;
use crate::mem::FrameList;
use crate::paging::chunk::{Chunk, chunk, entry_pages};
use crate::paging::range::PageRange;
use crate::paging::slots::{Slots, for_each, is_cloned, is_own_table};

/// A tree of tables.
#[derive(Debug)]
pub struct Tree {
    /// The root table.
    pub root: Frame,
    /// Level of the root's entries: 3 for a space, less for a subtree.
    pub level: u8,
    /// Tables in the tree, the root included, and those that were cut loose.
    pub tables: u64,
    /// Tables of a tree that goes to which nothing leads any more: what is in them is taken out table by table. With each
    /// goes which part of the tree it was ([`loose_note`]).
    pub(crate) loose: FrameList,
    /// Entries that lead to subtrees attached here.
    pub(crate) attached: u64,
    /// Of these, the ones below the root.
    pub(crate) attached_below: u64,
    /// Whether some of the tables may be in common with clones, so that a walk over the tree's own may end too early.
    pub(crate) has_cloned: bool,
    /// Whether it has let go of some of these with all that was below them, which is counted still.
    pub(crate) has_let_go: bool,
    /// The first and the last of the root's entries that changed since [`Tree::take_changed`]; kept for top-level roots
    /// only.
    changed: (u8, u8),
}

/// So many large pages are few.
const LARGE_MOST: u64 = 64;

/// Levels of tables below a root.
pub(super) const LEVELS: u32 = TOP_LEVEL as u32;

/// Where a table was, in 32 bits: a lowest table's pages are a multiple of its entries.
fn loose_note(level: u8, page: u64) -> u32 {
    (page / TABLE_ENTRIES as u64) as u32 * LEVELS + u32::from(level)
}

const _: () = assert!(
    tessera_abi::USER_END / PAGE_BYTES / TABLE_ENTRIES as u64 * (LEVELS as u64) < 1 << u32::BITS,
    "a table's place and level go into 32 bits"
);

/// What that says where none changed: the first is behind the last.
const UNCHANGED: (u8, u8) = (u8::MAX, 0);

/// An entry for one page, of a table that is there.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    holder: Frame,
    index: usize,
}

impl Slot {
    #[inline(always)]
    pub(super) fn new(holder: Frame, address: VirtAddr) -> Slot {
        Slot { holder, index: address.table_index(0) }
    }

    /// Takes the entry out, to put another one in; gives whether there was one.
    #[inline(always)]
    pub fn open(self) -> bool {
        let slot = &table(self.holder)[self.index];
        let is_taken = slot.load(Relaxed) != 0;
        if is_taken {
            slot.store(0, Relaxed);
        }
        is_taken
    }

    /// Writes another entry where one was taken out.
    #[inline(always)]
    pub fn refill(self, frame: Frame, leaf: Leaf) {
        table(self.holder)[self.index].store(Format::leaf_entry(frame.start(), 0, leaf), Relaxed);
    }

    /// Writes the entry, where there is none. The table has not gone since it was looked up.
    #[inline(always)]
    pub fn fill(self, frames: &mut FrameAllocator, frame: Frame, leaf: Leaf) {
        table(self.holder)[self.index].store(Format::leaf_entry(frame.start(), 0, leaf), Relaxed);
        frames.change_table_entries(self.holder, 1);
    }
}

/// Counts the tables that mapping a series of runs, in order of address, will add.
#[derive(Debug, Default)]
pub struct TableCount {
    /// Tables to add.
    pub tables: u64,
    counted: [Option<u64>; 4],
}

impl TableCount {
    /// What was counted up to an address, as [`TableCount::so_far`] said.
    pub fn resumed(address: VirtAddr, (tables, counted): (u64, u64)) -> TableCount {
        let counted = core::array::from_fn(|level| (counted >> level & 1 != 0).then(|| prefix(address, level)));
        TableCount { tables, counted }
    }

    /// How many tables were counted up to an address, and, a bit for each level, whether that for the address is one of them.
    pub fn so_far(&self, address: VirtAddr) -> (u64, u64) {
        let bits = (0..self.counted.len()).filter(|level| self.counted[*level] == Some(prefix(address, *level)));
        (self.tables, bits.map(|level| 1 << level).sum())
    }

    /// Notes an extent of frames (or of pages without any, which take no table yet).
    pub fn add(&mut self, tree: &Tree, address: VirtAddr, frame: Frame, pages: u64) {
        let mut done = 0;
        while done < pages {
            let address = VirtAddr::new(address.value() + done * PAGE_BYTES);
            let chunk = chunk(tree.level, address, frame.offset(done), pages - done);
            self.add_chunk(tree, address, chunk.level);
            done += chunk.entries * entry_pages(chunk.level);
        }
    }

    fn add_chunk(&mut self, tree: &Tree, address: VirtAddr, level: u8) {
        let missing_below = tree.walk(address, level).1;
        for level in level..missing_below {
            let prefix = prefix(address, usize::from(level));
            if self.counted[usize::from(level)] != Some(prefix) {
                self.counted[usize::from(level)] = Some(prefix);
                self.tables += 1;
            }
        }
    }
}

/// What addresses have in common whose entries at a level are in one table.
fn prefix(address: VirtAddr, level: usize) -> u64 {
    address.value() >> (12 + 9 * (level + 1))
}

impl Tree {
    /// A tree of nothing but its root, a cleared table whose entries have this level.
    pub fn new(root: Frame, level: u8) -> Tree {
        Tree {
            root,
            level,
            tables: 1,
            attached: 0,
            attached_below: 0,
            loose: FrameList::new(),
            has_cloned: false,
            has_let_go: false,
            changed: UNCHANGED,
        }
    }

    /// Whether the root's entries were written since [`Tree::take_changed`]: known of top-level roots only.
    pub fn is_root_changed(&self) -> bool {
        self.changed.0 <= self.changed.1
    }

    /// Which of the root's entries were written since the last call: whoever has copies of them copies anew.
    pub fn take_changed(&mut self) -> Option<(usize, usize)> {
        let (first, last) = core::mem::replace(&mut self.changed, UNCHANGED);
        (first <= last).then_some((usize::from(first), usize::from(last)))
    }

    /// Notes that any of the root's entries may have been written.
    pub(super) fn note_all_changed(&mut self) {
        if self.level == TOP_LEVEL {
            self.changed = (0, (TOP_SLOTS - 1) as u8);
        }
    }

    /// Forgets that entries of the root were written: nobody had copies of them before, and who has some now has made them since.
    pub fn forget_changed(&mut self) {
        self.changed = UNCHANGED;
    }

    /// Whether no entry at a level for an address is present, nor one above it that would cover it.
    #[inline(always)]
    pub fn is_free(&self, address: VirtAddr, level: u8) -> bool {
        let (holder, at) = self.walk(address, level);
        table(holder)[address.table_index(at)].load(Relaxed) == 0
    }

    /// The entry for a page, if the table is there that has it.
    #[inline(always)]
    pub fn slot(&self, address: VirtAddr) -> Option<Slot> {
        let (holder, level) = self.walk(address, 0);
        (level == 0).then_some(Slot { holder, index: address.table_index(0) })
    }

    /// Where the entries go that map a run of contiguous frames with the largest pages possible, if one table has them
    /// all and is there.
    #[inline(always)]
    pub fn slots(&self, address: VirtAddr, first: Frame, pages: u64) -> Option<Slots> {
        // What is shorter than a large page cannot be one.
        if pages < entry_pages(1) {
            let is_all = address.table_index(0) as u64 + pages <= TABLE_ENTRIES as u64;
            return self.slots_of(address, Chunk { level: 0, entries: pages }).filter(|_| is_all);
        }
        let chunk = chunk(self.level, address, first, pages);
        let is_all = chunk.entries * entry_pages(chunk.level) == pages;
        self.slots_of(address, chunk).filter(|_| is_all)
    }

    #[inline(always)]
    fn slots_of(&self, address: VirtAddr, chunk: Chunk) -> Option<Slots> {
        let (holder, level) = self.walk(address, chunk.level);
        (level == chunk.level).then_some(Slots::new(holder, address, chunk))
    }

    /// The entries for pages, if one lowest table has them all and is there.
    #[inline(always)]
    pub fn lowest_slots(&self, range: PageRange) -> Option<Slots> {
        let (start, count) = (range.first as usize % TABLE_ENTRIES, range.count as usize);
        if count > TABLE_ENTRIES - start {
            return None;
        }
        // Level by level, each with its own shift; a subtree has fewer.
        let (mut holder, address) = (self.root, range.start());
        if self.level >= 3 {
            holder = own_table_below(holder, address, 3)?;
        }
        if self.level >= 2 {
            holder = own_table_below(holder, address, 2)?;
        }
        if self.level >= 1 {
            holder = own_table_below(holder, address, 1)?;
        }
        Some(Slots { holder, level: 0, start, count })
    }

    /// The entries for pages that are shown by large ones, if these are few and one table has them all.
    #[inline(never)]
    pub fn large_slots(&self, range: PageRange) -> Option<Slots> {
        let (size, address) = (entry_pages(1), range.start());
        let entries = range.count / size;
        if !range.first.is_multiple_of(size) || !range.count.is_multiple_of(size) || entries > LARGE_MOST {
            return None;
        }
        let (holder, level) = self.walk(address, 1);
        let is_all = level == 1 && leaves(holder, level, address, entries) == entries;
        is_all.then_some(Slots::new(holder, address, Chunk { level, entries }))
    }

    /// Maps a run of contiguous frames with the largest pages possible. The range holds nothing yet, and as
    /// many tables as `TableCount` said can be allocated. Code was published before.
    pub fn map(&mut self, frames: &mut FrameAllocator, address: VirtAddr, first: Frame, pages: u64, leaf: Leaf) {
        let mut done = 0;
        while done < pages {
            let address = VirtAddr::new(address.value() + done * PAGE_BYTES);
            let frame = first.offset(done);
            let chunk = chunk(self.level, address, frame, pages - done);
            let holder = self.grow_to(frames, address, chunk.level);
            Slots::new(holder, address, chunk).fill(frames, frame, leaf);
            done += chunk.entries * entry_pages(chunk.level);
        }
    }

    /// Maps one page, where nothing is yet, under the same conditions.
    pub fn map_page(&mut self, frames: &mut FrameAllocator, address: VirtAddr, frame: Frame, leaf: Leaf) {
        let holder = self.grow_to(frames, address, 0);
        self.write(frames, holder, address, 0, Format::leaf_entry(frame.start(), 0, leaf));
    }

    /// Takes all translations out of a range; tables that become empty go to `freed`, not to be reused before
    /// the range was invalidated. No large page straddles the range's ends.
    #[inline(always)]
    pub fn unmap(&mut self, frames: &mut FrameAllocator, address: VirtAddr, pages: u64, freed: &mut FrameList) {
        let mut done = 0;
        while done < pages {
            let address = VirtAddr::new(address.value() + done * PAGE_BYTES);
            let (slots, advance) = self.chunk_at(address, pages - done);
            self.clear_slots(frames, slots, address, freed);
            done += advance;
        }
    }

    /// Takes all translations out of entries, the first of which is for this address, on the same conditions.
    #[inline(always)]
    pub fn clear_slots(&mut self, frames: &mut FrameAllocator, slots: Slots, address: VirtAddr, freed: &mut FrameList) {
        let mut removed = 0;
        for_each(slots.entries(), |slot| {
            if slot.load(Relaxed) != 0 {
                slot.store(0, Relaxed);
                removed += 1;
            }
        });
        if frames.change_table_entries(slots.holder, -removed) == 0 && removed != 0 {
            self.prune(frames, address, freed);
        }
    }

    /// Makes what is in a range fit to be fetched as code, before it may be. No large page straddles the range's ends.
    pub fn publish_code(&self, address: VirtAddr, pages: u64) {
        let mut done = 0;
        while done < pages {
            let address = VirtAddr::new(address.value() + done * PAGE_BYTES);
            let (slots, advance) = self.chunk_at(address, pages - done);
            for slot in slots.entries() {
                let entry = slot.load(Relaxed);
                if Format::is_present(entry) {
                    tessera_arch::clean_code(Frame::containing(Format::address(entry)), entry_pages(slots.level));
                }
            }
            done += advance;
        }
        tessera_arch::publish_code();
    }

    /// Gives all translations in a range new rights. No large page straddles the range's ends. Code was published before.
    #[inline(always)]
    pub fn protect(&mut self, address: VirtAddr, pages: u64, leaf: Leaf) {
        let mut done = 0;
        while done < pages {
            let address = VirtAddr::new(address.value() + done * PAGE_BYTES);
            let (slots, advance) = self.chunk_at(address, pages - done);
            slots.protect(leaf);
            done += advance;
        }
    }

    /// The frame that `address` translates to, and what entries and leaf allow.
    pub fn translate(&self, address: VirtAddr) -> Option<(Frame, Rights)> {
        let (mut holder, mut level) = self.walk(address, 0);
        let (mut bounds, mut entry) = (Rights::ACCESS, table(holder)[address.table_index(level)].load(Relaxed));
        while level > 0 && (is_cloned(entry) || is_own_table(entry, level)) {
            bounds &= Format::bounds(entry);
            (holder, level) = (Frame::containing(Format::address(entry)), level - 1);
            entry = table(holder)[address.table_index(level)].load(Relaxed);
        }
        if !Format::is_present(entry) || Format::is_table(entry, level) {
            return None;
        }
        let rights = Format::leaf(entry).rights & bounds;
        let within = (address.value() / PAGE_BYTES) % entry_pages(level);
        Some((Frame::containing(Format::address(entry)).offset(within), rights))
    }

    /// Takes all entries out of the root, none of which leads to a table of the tree.
    pub fn clear_root(&mut self, frames: &mut FrameAllocator) {
        let entries = frames.table_entries(self.root);
        let mut left = entries;
        for slot in own_entries(self.root, self.level) {
            // Behind the last entry nothing is left to do.
            if left == 0 {
                break;
            }
            left -= u16::from(Format::is_present(slot.load(Relaxed)));
            slot.store(0, Relaxed);
        }
        frames.change_table_entries(self.root, -i32::from(entries));
    }

    /// Counts the root only, of a tree that was taken apart and has let go of tables that clones have.
    pub fn forget_cloned(&mut self) {
        if self.has_let_go {
            (self.tables, self.has_let_go) = (1, false);
        }
    }

    /// Puts a table, to which nothing leads any more, with those that are cut loose: what is in it begins at a page, and its
    /// entries are of a level.
    pub fn cut_loose(&mut self, frames: &mut FrameAllocator, lower: Frame, level: u8, page: u64) {
        frames.push_noted(&mut self.loose, lower, loose_note(level, page));
    }

    /// The table that was cut loose last, the level of its entries, and the page that it begins with.
    pub fn first_loose(&self, frames: &FrameAllocator) -> Option<(Frame, u8, u64)> {
        let (lower, note) = frames.first_of(&self.loose)?;
        Some((lower, (note % LEVELS) as u8, u64::from(note / LEVELS) * TABLE_ENTRIES as u64))
    }

    /// Frees that table, in which nothing is any more.
    pub fn free_loose(&mut self, frames: &mut FrameAllocator) {
        frames.free_first(&mut self.loose);
        self.tables -= 1;
    }

    /// The table at the lowest level not below `level` that the walk for `address` reaches, and its level.
    #[inline(always)]
    pub(crate) fn walk(&self, address: VirtAddr, level: u8) -> (Frame, u8) {
        walk_from(self.root, self.level, address, level)
    }

    /// The entries that stand for the next part of a range, and how many pages that is.
    #[inline(always)]
    pub(super) fn chunk_at(&self, address: VirtAddr, pages: u64) -> (Slots, u64) {
        let (holder, level) = self.walk(address, 0);
        if level == 0 {
            let entries = ((TABLE_ENTRIES - address.table_index(0)) as u64).min(pages);
            return (Slots::new(holder, address, Chunk { level, entries }), entries);
        }
        let (size, within) = (entry_pages(level), (address.value() / PAGE_BYTES) % entry_pages(level));
        let entries =
            if within != 0 || pages < 2 * size { 1 } else { leaves(holder, level, address, pages / size).max(1) };
        (Slots::new(holder, address, Chunk { level, entries }), entries * size - within)
    }

    pub(crate) fn grow_to(&mut self, frames: &mut FrameAllocator, address: VirtAddr, level: u8) -> Frame {
        let (mut holder, mut at) = self.walk(address, level);
        while at > level {
            let lower = new_table(frames);
            self.write(frames, holder, address, at, Format::table_entry(lower.start(), Rights::ACCESS));
            self.tables += 1;
            (holder, at) = (lower, at - 1);
        }
        holder
    }

    /// Writes an entry where there was none, or (0) takes one out; gives how many its table has then.
    #[inline(always)]
    pub(crate) fn write(
        &mut self,
        frames: &mut FrameAllocator,
        holder: Frame,
        address: VirtAddr,
        level: u8,
        entry: u64,
    ) -> u16 {
        self.write_again(holder, address, level, entry);
        frames.change_table_entries(holder, if entry == 0 { -1 } else { 1 })
    }

    /// Writes an entry in the place of another one.
    #[inline(always)]
    pub(super) fn write_again(&mut self, holder: Frame, address: VirtAddr, level: u8, entry: u64) {
        let index = address.table_index(level);
        table(holder)[index].store(entry, Relaxed);
        if level == TOP_LEVEL {
            let (slot, (first, last)) = (index as u8, self.changed);
            self.changed = (first.min(slot), last.max(slot));
        }
    }

    /// Takes the tables out that are empty on the way to an address: the lowest is, and each one above it that has no
    /// other entry.
    #[inline(never)]
    pub(crate) fn prune(&mut self, frames: &mut FrameAllocator, address: VirtAddr, freed: &mut FrameList) {
        let (mut path, mut at) = ([self.root; TOP_LEVEL as usize + 1], self.level);
        while at > 0 {
            let entry = table(path[usize::from(at)])[address.table_index(at)].load(Relaxed);
            if !is_own_table(entry, at) {
                break;
            }
            at -= 1;
            path[usize::from(at)] = Frame::containing(Format::address(entry));
        }
        let mut entries = frames.table_entries(path[usize::from(at)]);
        while entries == 0 && at < self.level {
            let empty = path[usize::from(at)];
            at += 1;
            entries = self.write(frames, path[usize::from(at)], address, at, 0);
            self.tables -= 1;
            if is_seeded(Mutant::TableFreedAtOnce) {
                frames.free(empty, 0);
            } else {
                frames.push(freed, empty);
            }
        }
    }
}

/// Allocates an empty table. Whoever sees an entry that leads to it sees it empty: a walker may run ahead of stores.
pub fn new_table(frames: &mut FrameAllocator) -> Frame {
    let frame = frames.take_cleared().unwrap_or_else(|| clear_frame(frames));
    tessera_arch::publish_tables();
    frame
}

#[inline(never)]
fn clear_frame(frames: &mut FrameAllocator) -> Frame {
    let frame = frames.allocate(0).expect("enough frames were found free before");
    tessera_arch::clear_frames(frame, 1);
    frame
}

/// The entries of a table that are for user memory: a top-level table may hold the kernel's behind them.
pub(crate) fn own_entries(holder: Frame, level: u8) -> &'static [AtomicU64] {
    let entries = if level == TOP_LEVEL { TOP_SLOTS } else { TABLE_ENTRIES };
    &table(holder)[..entries]
}

/// The table at the lowest level not below `level` that the walk from a root, whose entries are at `at`, reaches without
/// leaving the tree.
#[inline(always)]
pub(crate) fn walk_from(root: Frame, mut at: u8, address: VirtAddr, level: u8) -> (Frame, u8) {
    let mut holder = root;
    while at > level {
        let entry = table(holder)[address.table_index(at)].load(Relaxed);
        if !is_own_table(entry, at) {
            break;
        }
        holder = Frame::containing(Format::address(entry));
        at -= 1;
    }
    (holder, at)
}

/// The table that an entry at a level leads to on the way to an address, if it is of the same tree.
#[inline(always)]
fn own_table_below(holder: Frame, address: VirtAddr, level: u8) -> Option<Frame> {
    let entry = table(holder)[address.table_index(level)].load(Relaxed);
    is_own_table(entry, level).then(|| Frame::containing(Format::address(entry)))
}

/// How many entries at a level, from the one for an address on and at most so many, are in one table and lead to none.
fn leaves(holder: Frame, level: u8, address: VirtAddr, most: u64) -> u64 {
    let entries = table(holder)[address.table_index(level)..].iter().take(most as usize);
    let leads_to_none = |entry: &u64| !Format::is_present(*entry) || !Format::is_table(*entry, level);
    entries.map(|entry| entry.load(Relaxed)).take_while(leads_to_none).count() as u64
}
