//! The frame allocator: a buddy system over all free memory.
//!
//! A record per frame, outside the frames themselves, holds the free lists' links, so the allocator never
//! touches the memory it hands out, and counts the present entries of frames used as page tables. A table that is given
//! back with none left holds zeros: a few of these are kept apart, and the next tables need not be cleared.
//! (Knuth, The Art of Computer Programming 1, section 2.5, "buddy system".)

use tessera_arch::{Frame, PhysRange};

/// Blocks have 2^0 to 2^18 frames: 4 KiB to 1 GiB, the largest page.
pub const ORDER_MAX: u8 = 18;

pub(super) const ORDERS: usize = ORDER_MAX as usize + 1;
pub(super) const NONE: u32 = u32::MAX;

/// Single frames that are kept as they are when they come back, so that what takes one and gives it back (a first touch)
/// neither takes a large block apart nor puts it together.
const LOOSE_MAX: u32 = 32;

/// Frames that are kept which hold zeros: as many as a few spaces have tables.
const CLEARED_MAX: u32 = 16;

/// What a frame is used for, as far as the allocator cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// No memory the allocator manages.
    Outside,
    /// First frame of a free block of this order.
    Free(u8),
    /// A free frame that was not merged with its buddy.
    Loose,
    /// The same, which holds zeros.
    Cleared,
    /// Inside a free block, or handed out.
    Taken,
}

/// The record of one frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameRecord {
    pub(super) next: u32,
    pub(super) previous: u32,
    pub(super) usage: Use,
    entries: u16,
}

impl FrameRecord {
    /// The record of a frame that the allocator does not manage.
    pub const OUTSIDE: FrameRecord = FrameRecord { next: NONE, previous: NONE, usage: Use::Outside, entries: 0 };
}

/// Frames chained through their records; used for tables that wait for their invalidation.
#[derive(Debug)]
#[must_use = "frames in a list that is dropped are lost"]
pub struct FrameList {
    pub(super) head: u32,
    pub(super) count: u32,
}

impl FrameList {
    /// The list of no frames.
    pub const fn new() -> FrameList {
        FrameList { head: NONE, count: 0 }
    }

    /// How many frames are in it.
    pub fn count(&self) -> u64 {
        u64::from(self.count)
    }
}

impl Default for FrameList {
    fn default() -> FrameList {
        FrameList::new()
    }
}

/// Allocates and frees blocks of frames.
pub struct FrameAllocator {
    pub(super) records: &'static mut [FrameRecord],
    first: u64,
    pub(super) heads: [u32; ORDERS],
    pub(super) loose: FrameList,
    pub(super) cleared: FrameList,
    pub(super) free_frames: u64,
    managed_frames: u64,
}

impl FrameAllocator {
    /// Starts with no free memory. `records[0]` stands for the frame `first`.
    ///
    /// A multiple of 2^18 should be chosen for `first`, or blocks of 1 GiB will not be aligned.
    pub fn new(records: &'static mut [FrameRecord], first: Frame) -> FrameAllocator {
        let (first, heads, loose, cleared) = (first.number(), [NONE; ORDERS], FrameList::new(), FrameList::new());
        FrameAllocator { records, first, heads, loose, cleared, free_frames: 0, managed_frames: 0 }
    }

    /// Takes a range of free memory in.
    pub fn add(&mut self, range: PhysRange) {
        let mut next = Frame::containing(range.start).number();
        let end = Frame::containing(range.end()).number();
        while next < end {
            let alignment = (next.trailing_zeros() as u8).min(ORDER_MAX);
            let fitting = ((end - next).ilog2() as u8).min(ORDER_MAX);
            let order = alignment.min(fitting);
            for number in next..next + (1 << order) {
                self.records[(number - self.first) as usize].usage = Use::Taken;
            }
            self.free(Frame::new(next), order);
            self.managed_frames += 1 << order;
            next += 1 << order;
        }
    }

    /// Frames free now.
    pub fn free_frames(&self) -> u64 {
        self.free_frames
    }

    /// Frames managed in all.
    pub fn managed_frames(&self) -> u64 {
        self.managed_frames
    }

    /// Takes a block of exactly 2^order frames, aligned to its size; its contents are whatever was there.
    pub fn allocate(&mut self, order: u8) -> Option<Frame> {
        if order == 0 && self.loose.count != 0 {
            return Some(self.take_loose());
        }
        let Some(mut found) = self.order_with_block(order) else {
            if self.loose.count == 0 && self.cleared.count == 0 {
                return None;
            }
            self.merge_kept();
            return self.allocate(order);
        };
        let index = self.heads[usize::from(found)];
        self.unlink(index, found);
        while found > order {
            found -= 1;
            self.link(index + (1 << found), found);
        }
        self.free_frames -= 1 << order;
        Some(Frame::new(self.first + u64::from(index)))
    }

    /// Takes a frame that holds zeros, if one was kept.
    #[inline(always)]
    pub fn take_cleared(&mut self) -> Option<Frame> {
        if self.cleared.count == 0 {
            return None;
        }
        let frame = take_first(&mut self.cleared, self.records, self.first);
        self.free_frames -= 1;
        tessera_arch::note_reuse(frame);
        Some(frame)
    }

    /// Takes the largest block of at most 2^order frames that there is.
    pub fn allocate_up_to(&mut self, order: u8) -> Option<(Frame, u8)> {
        (0..=order.min(ORDER_MAX)).rev().find_map(|order| self.allocate(order).map(|frame| (frame, order)))
    }

    /// Gives a block back that `allocate` handed out with this order, or a part of it that is a block itself.
    ///
    /// # Panics
    /// If the frame is free already or was never managed.
    pub fn free(&mut self, frame: Frame, order: u8) {
        let index = self.index(frame);
        assert_eq!(self.records[index as usize].usage, Use::Taken, "{frame:?} freed twice");
        tessera_arch::note_free(frame, 1 << order);
        self.free_frames += 1 << order;
        if order == 0 && self.loose.count < LOOSE_MAX {
            let record = &mut self.records[index as usize];
            (record.usage, record.next) = (Use::Loose, self.loose.head);
            (self.loose.head, self.loose.count) = (index, self.loose.count + 1);
            return;
        }
        self.merge(index, order);
    }

    /// Puts a block that is counted as free on the list of its size, together with its buddies that are free.
    fn merge(&mut self, mut index: u32, mut order: u8) {
        while order < ORDER_MAX {
            let Some(buddy) = self.free_buddy(index, order) else { break };
            self.unlink(buddy, order);
            index = index.min(buddy);
            order += 1;
        }
        self.link(index, order);
    }

    /// Takes exactly so many frames, one behind the other.
    pub fn allocate_extent(&mut self, count: u64) -> Option<Frame> {
        let order = u8::try_from(count.next_power_of_two().ilog2()).ok().filter(|order| *order <= ORDER_MAX)?;
        let first = self.allocate(order)?;
        self.free_extent(first.offset(count), (1 << order) - count);
        Some(first)
    }

    /// Gives frames back that lie one behind the other, each of which was handed out.
    pub fn free_extent(&mut self, first: Frame, count: u64) {
        let mut done = 0;
        while done < count {
            let frame = first.offset(done);
            let order = frame.number().trailing_zeros().min((count - done).ilog2()).min(u32::from(ORDER_MAX)) as u8;
            self.free(frame, order);
            done += 1 << order;
        }
    }

    /// How many present entries the table in this frame has.
    pub fn table_entries(&self, table: Frame) -> u16 {
        self.records[self.index(table) as usize].entries
    }

    /// Notes that a table gained (or lost) entries; gives the new count.
    #[inline(always)]
    pub fn change_table_entries(&mut self, table: Frame, change: i32) -> u16 {
        let index = self.index(table) as usize;
        let record = &mut self.records[index];
        record.entries = record.entries.checked_add_signed(change as i16).expect("a table counts its own entries");
        record.entries
    }

    /// Notes a number with a root table: that of the subtree whose root it is, or how many views have it. A frame in use needs
    /// no link.
    pub fn set_table_owner(&mut self, table: Frame, owner: u32) {
        let index = self.index(table) as usize;
        self.records[index].next = owner;
    }

    /// The number that was noted with a root table.
    #[inline(always)]
    pub fn table_owner(&self, table: Frame) -> u32 {
        self.records[self.index(table) as usize].next
    }

    /// Notes by how many entries a table is led to that clones have in common, or by how many leaves of a map's private pages a
    /// page is held.
    pub fn set_sharers(&mut self, frame: Frame, sharers: u32) {
        self.set_table_owner(frame, sharers);
    }

    /// How many they are.
    #[inline(always)]
    pub fn sharers(&self, frame: Frame) -> u32 {
        self.table_owner(frame)
    }

    /// Notes one more.
    pub fn add_sharer(&mut self, frame: Frame) {
        let index = self.index(frame) as usize;
        self.records[index].next += 1;
    }

    /// Notes one less; gives whether none is left.
    pub fn drop_sharer(&mut self, frame: Frame) -> bool {
        let index = self.index(frame) as usize;
        self.records[index].next -= 1;
        self.records[index].next == 0
    }

    /// Notes one less, unless there is but one; gives whether others are left.
    #[inline(always)]
    pub fn leave_to_others(&mut self, frame: Frame) -> bool {
        let index = self.index(frame) as usize;
        let sharers = &mut self.records[index].next;
        let has_others = *sharers != 1;
        *sharers -= u32::from(has_others);
        has_others
    }

    /// Notes a number with a frame in use that is no table; [`FrameAllocator::position`] may tell it.
    pub fn set_position(&mut self, frame: Frame, position: u32) {
        if let Some(record) = self.records.get_mut(frame.number().wrapping_sub(self.first) as usize) {
            record.previous = position;
        }
    }

    /// The number that was noted with a frame, or any other if none was.
    pub fn position(&self, frame: Frame) -> Option<u32> {
        Some(self.records.get(frame.number().wrapping_sub(self.first) as usize)?.previous)
    }

    /// Gives a frame back that was a table. If it counts no entries, it holds none: it is kept for the next table.
    ///
    /// # Panics
    /// As [`FrameAllocator::free`].
    pub fn free_table(&mut self, table: Frame) {
        let index = self.index(table);
        let record = &mut self.records[index as usize];
        if core::mem::take(&mut record.entries) != 0 || self.cleared.count == CLEARED_MAX {
            return self.free(table, 0);
        }
        assert_eq!(record.usage, Use::Taken, "{table:?} freed twice");
        tessera_arch::note_free(table, 1);
        self.free_frames += 1;
        (record.usage, record.next) = (Use::Cleared, self.cleared.head);
        (self.cleared.head, self.cleared.count) = (index, self.cleared.count + 1);
    }

    /// Puts a frame on a list.
    pub fn push(&mut self, list: &mut FrameList, frame: Frame) {
        let index = self.index(frame);
        self.records[index as usize].next = list.head;
        list.head = index;
        list.count += 1;
    }

    /// Frees all frames of a list of tables, which mostly is of none; gives how many there were.
    #[inline(always)]
    pub fn free_list(&mut self, list: FrameList) -> u64 {
        if list.count == 0 { 0 } else { self.free_each(list) }
    }

    #[inline(never)]
    fn free_each(&mut self, list: FrameList) -> u64 {
        let mut next = list.head;
        while next != NONE {
            let index = next;
            next = self.records[index as usize].next;
            self.free_table(Frame::new(self.first + u64::from(index)));
        }
        list.count()
    }

    /// Puts a frame on a list with a number, which [`FrameAllocator::first_of`] tells.
    pub fn push_noted(&mut self, list: &mut FrameList, frame: Frame, note: u32) {
        self.push(list, frame);
        self.records[list.head as usize].previous = note;
    }

    /// The first frame of a list, and the number that was put there with it.
    pub fn first_of(&self, list: &FrameList) -> Option<(Frame, u32)> {
        (list.count != 0).then(|| (self.frame(list.head), self.records[list.head as usize].previous))
    }

    /// The frame behind one that is in a list, or the first of all, and the number that was put there with it.
    pub fn next_of(&self, list: &FrameList, before: Option<Frame>) -> Option<(Frame, u32)> {
        let Some(before) = before else { return self.first_of(list) };
        let next = self.records[self.index(before) as usize].next;
        (next != NONE).then(|| (self.frame(next), self.records[next as usize].previous))
    }

    /// Frees the first frame of a list of tables.
    pub fn free_first(&mut self, list: &mut FrameList) {
        let first = self.frame(list.head);
        (list.head, list.count) = (self.records[list.head as usize].next, list.count - 1);
        self.free_table(first);
    }

    fn order_with_block(&self, order: u8) -> Option<u8> {
        (order..=ORDER_MAX).find(|order| self.heads[usize::from(*order)] != NONE)
    }

    fn take_loose(&mut self) -> Frame {
        self.free_frames -= 1;
        take_first(&mut self.loose, self.records, self.first)
    }

    /// Puts the frames that are kept together with their buddies.
    fn merge_kept(&mut self) {
        while self.loose.count != 0 {
            let frame = take_first(&mut self.loose, self.records, self.first);
            self.merge(self.index(frame), 0);
        }
        while self.cleared.count != 0 {
            let frame = take_first(&mut self.cleared, self.records, self.first);
            self.merge(self.index(frame), 0);
        }
    }

    fn index(&self, frame: Frame) -> u32 {
        (frame.number() - self.first) as u32
    }

    pub(super) fn frame(&self, index: u32) -> Frame {
        Frame::new(self.first + u64::from(index))
    }

    fn free_buddy(&self, index: u32, order: u8) -> Option<u32> {
        let number = self.first + u64::from(index);
        let buddy = (number ^ (1 << order)).checked_sub(self.first)?;
        let record = self.records.get(buddy as usize)?;
        (record.usage == Use::Free(order)).then_some(buddy as u32)
    }

    fn link(&mut self, index: u32, order: u8) {
        let head = self.heads[usize::from(order)];
        if head != NONE {
            self.records[head as usize].previous = index;
        }
        let record = &mut self.records[index as usize];
        (record.next, record.previous, record.usage) = (head, NONE, Use::Free(order));
        self.heads[usize::from(order)] = index;
    }

    fn unlink(&mut self, index: u32, order: u8) {
        let FrameRecord { next, previous, .. } = self.records[index as usize];
        if next != NONE {
            self.records[next as usize].previous = previous;
        }
        if previous == NONE {
            self.heads[usize::from(order)] = next;
        } else {
            self.records[previous as usize].next = next;
        }
        self.records[index as usize].usage = Use::Taken;
    }
}

/// Takes the first frame off a list of free ones that has some; `first` is the frame of the first record.
#[inline(always)]
fn take_first(list: &mut FrameList, records: &mut [FrameRecord], first: u64) -> Frame {
    let index = list.head;
    let record = &mut records[index as usize];
    (list.head, record.usage) = (record.next, Use::Taken);
    list.count -= 1;
    Frame::new(first + u64::from(index))
}

#[cfg(test)]
mod tests {
    use super::{FrameAllocator, FrameRecord};
    use tessera_arch::{Frame, PhysAddr, PhysRange};

    fn allocator(frames: u64) -> FrameAllocator {
        let records = vec![FrameRecord::OUTSIDE; frames as usize + 8].leak();
        let mut allocator = FrameAllocator::new(records, Frame::new(0x100));
        allocator.add(PhysRange { start: PhysAddr::new(0x101_000), length_bytes: (frames - 1) * 4096 });
        allocator
    }

    #[test]
    fn all_memory_can_be_taken_and_comes_back_merged() {
        let mut allocator = allocator(1024);
        let mut taken = Vec::new();
        while let Some(frame) = allocator.allocate(0) {
            taken.push(frame);
        }
        assert_eq!((taken.len(), allocator.free_frames()), (1023, 0));
        for frame in taken {
            allocator.free(frame, 0);
        }
        allocator.check();
        let big = allocator.allocate(9).expect("buddies merged again");
        assert_eq!(big.number() % 512, 0);
    }

    #[test]
    #[should_panic(expected = "freed twice")]
    fn double_free_is_caught() {
        let mut allocator = allocator(64);
        let frame = allocator.allocate(0).expect("memory is free");
        allocator.free(frame, 0);
        allocator.free(frame, 0);
    }

    #[test]
    fn lists_hold_frames_until_freed() {
        let mut allocator = allocator(64);
        let mut list = super::FrameList::new();
        for _ in 0..5 {
            let frame = allocator.allocate(0).expect("memory is free");
            allocator.change_table_entries(frame, 3);
            allocator.push(&mut list, frame);
        }
        assert_eq!((allocator.free_frames(), list.count()), (58, 5));
        assert_eq!(allocator.free_list(list), 5);
        assert_eq!(allocator.free_frames(), 63);
        let frame = allocator.allocate(0).expect("memory is free");
        assert_eq!(allocator.table_entries(frame), 0);
    }
}
