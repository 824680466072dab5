//! Capability tables: slots that name objects, with rights.
//!
//! A slot has two halves. The *hot* half is what a use of the capability needs, in two words that the fast
//! path reads without a lock; the *record* holds badge and derivation links, read and written under the
//! kernel's lock only.

use alloc::vec::Vec;
use core::mem::offset_of;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::layout::Name;
use tessera_abi::{Error, Handle, ObjectKind, Rights};

use crate::base::cpu_set::CpuSet;
use crate::base::steps;
use crate::cpu::cap_word::{CapSlot, CapWord};
use crate::cpu::slice_pointer::{SlicePointer, Words};
use crate::cpu::table_view::{RECORD_BYTES, TableView};
use crate::mem::block;
use crate::object::id::{AccountId, Object, kind};
use crate::object::links::List;
use crate::object::neighbour::Neighbours;

/// The most slots of one table.
pub const SLOTS_MAX: u64 = 65_536;

pub(super) const NO_SLOT: u32 = u32::MAX;

/// Slots that were never in use get their records so many at once, when there is no other free one.
const SLOTS_AT_ONCE: usize = 8;

/// The half of a slot that is used under the lock.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct CapRecord {
    /// The badge given when it was derived. It is read without the lock.
    badge: AtomicU64,
    /// What the capability names, as a word without rights; free for a free slot. The capability keeps the object, so
    /// its number says which it is.
    pub object: CapWord,
    /// Where it stands in the derivation list.
    pub neighbours: Neighbours,
    /// Of a free slot, the next one that is free.
    pub(super) next_free: u32,
    /// Of one that is closed because it is being moved, the rights that it had.
    kept: Rights,
    /// Of one that is being deleted, the CPUs that were not looked at yet whether their thread came in by it.
    unasked: CpuSet,
}

impl CapRecord {
    /// A free slot's, behind which there is no other.
    const fn free(next_free: u32) -> CapRecord {
        CapRecord {
            badge: AtomicU64::new(0),
            object: CapWord::FREE,
            neighbours: Neighbours::NOBODY,
            next_free,
            kept: Rights::empty(),
            unasked: 0,
        }
    }

    /// The badge given when it was derived.
    #[inline(always)]
    pub fn badge(&self) -> u64 {
        self.badge.load(Relaxed)
    }
}

// Each slot costs its table's account one. Found by a shift.
const _: () = assert!(size_of::<CapRecord>() == RECORD_BYTES, "a record is a cache line");
const _: () = assert!(offset_of!(CapRecord, badge) == 0, "a badge comes first in its record");

/// A table of capabilities, shared by the threads of one program.
#[derive(Debug)]
pub struct CapTable {
    /// For people; a program's table carries the program's name.
    pub name: Name,
    /// Who pays.
    pub account: AccountId,
    /// Whether a gate was ever made that leads with it.
    pub is_of_gate: bool,
    /// Threads that use the table and have not ended.
    pub threads: List,
    /// Whether one of them was ever started, or was stopped before. Then their end empties the table.
    pub is_in_use: bool,
    /// What CPUs find of it without the lock.
    pub view: TableView,
    /// There is room for all from the start, so that they stay where they are.
    pub(super) hot: Vec<CapSlot>,
    slots: u32,
    /// Of the slots that were ever in use, and of a few more; there is room for all.
    pub(super) records: Vec<CapRecord>,
    /// The first free one among them: there is one unless the table is full.
    pub(super) first_free: u32,
    used: u32,
    /// While it is being emptied, the first slot that was not looked at yet, plus one; else zero.
    pub emptied: u32,
}

impl Object for CapTable {
    type Kind = kind::CapTable;
    const KIND: ObjectKind = ObjectKind::CapTable;
    const WHAT: &'static str = "table";

    #[inline(always)]
    fn payer(&self) -> Option<AccountId> {
        Some(self.account)
    }

    #[inline(always)]
    fn extra_bytes(&self) -> u64 {
        CapTable::slot_bytes(u64::from(self.slots()))
    }

    #[inline(always)]
    fn be_numbered(&mut self, number: u32) {
        self.view.set_number(number);
    }
}

impl CapTable {
    /// A table of so many slots, one at least, of which none is there before [`CapTable::add_slots`]. The kernel heap has room
    /// for [`CapTable::blocks`].
    #[inline(always)]
    pub fn begin(account: AccountId, slots: u32) -> CapTable {
        let (hot, mut records) = (Vec::with_capacity(slots as usize), Vec::with_capacity(slots as usize));
        records.push(CapRecord::free(NO_SLOT));
        let view = TableView::new(SlicePointer::of(&hot, slots as usize), Words::from(&records[0].badge));
        CapTable {
            view,
            name: Name::EMPTY,
            account,
            is_of_gate: false,
            threads: List::default(),
            is_in_use: false,
            hot,
            slots,
            records,
            first_free: 0,
            used: 0,
            emptied: 0,
        }
    }

    /// Makes so many more of its slots, or as many as are missing; gives whether all are there. Nobody uses the table yet.
    #[inline(always)]
    pub fn add_slots(&mut self, most: u32) -> bool {
        let count = (self.hot.len() + most as usize).min(self.slots as usize);
        let missing = count - self.hot.len();
        self.hot.extend((0..missing).map(|_| CapSlot::new()));
        count == self.slots as usize
    }

    /// Whether it is being made, with so many slots for an account.
    pub fn is_being_made(&self, account: AccountId, slots: u32) -> bool {
        self.hot.len() < self.slots as usize && (self.account, self.slots) == (account, slots)
    }

    /// The two blocks that so many slots take, bytes each.
    pub const fn blocks(slots: u64) -> [u64; 2] {
        [block::list_bytes::<CapSlot>(slots), block::list_bytes::<CapRecord>(slots)]
    }

    /// Bytes that so many slots take.
    pub const fn slot_bytes(slots: u64) -> u64 {
        let [hot, records] = CapTable::blocks(slots);
        hot + records
    }

    /// How many slots it has.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// How many capabilities it holds.
    pub fn used(&self) -> u32 {
        self.used
    }

    /// The slots, one half of each, for the fast path.
    pub fn cap_slots(&self) -> &[CapSlot] {
        &self.hot
    }

    /// Whether one more capability fits.
    ///
    /// # Errors
    /// `TableFull` if not.
    #[inline(always)]
    pub fn ensure_slot(&self) -> Result<(), Error> {
        self.free_slot().map(|_| ())
    }

    /// The slot that the next capability gets.
    ///
    /// # Errors
    /// `TableFull` if none is left.
    #[inline(always)]
    pub fn free_slot(&self) -> Result<u32, Error> {
        if self.first_free == NO_SLOT { Err(Error::TableFull) } else { Ok(self.first_free) }
    }

    /// The slot that a handle names.
    ///
    /// # Errors
    /// `BadHandle` if it names none that is in use.
    pub fn slot_of(&self, handle: Handle) -> Result<u32, Error> {
        let hot = self.hot.get(handle.slot() as usize).ok_or(Error::BadHandle)?;
        let word = hot.read(handle.generation()).filter(|word| *word != CapWord::FREE);
        word.map(|_| handle.slot()).ok_or(Error::BadHandle)
    }

    /// The handle that names what is in a slot now.
    pub fn handle_of(&self, slot: u32) -> Handle {
        Handle::new(slot, self.hot[slot as usize].generation())
    }

    /// Whether the capability in a slot was derived from another one.
    #[inline(always)]
    pub fn is_derived(&self, slot: u32) -> bool {
        self.hot[slot as usize].word().is_derived()
    }

    /// Whether the capability in a slot is being deleted.
    pub fn is_closed(&self, slot: u32) -> bool {
        self.hot[slot as usize].word().is_closed()
    }

    /// The rights of the capability in a slot.
    pub fn rights(&self, slot: u32) -> Rights {
        self.hot[slot as usize].word().rights()
    }

    /// Lets nobody do anything with the capability in a slot any more, which is about to go. Gives what it names, its handle, and
    /// which of these CPUs were not looked at since.
    #[inline(always)]
    pub(crate) fn close(&mut self, slot: u32, cpus: CpuSet) -> (CapWord, Handle, CpuSet) {
        let (hot, record) = (&self.hot[slot as usize], &mut self.records[slot as usize]);
        let (word, generation) = (hot.word(), hot.generation());
        if !word.is_closed() {
            hot.close(word, generation);
            record.unasked = cpus;
        }
        record.kept = Rights::empty();
        (record.object, Handle::new(slot, generation), record.unasked)
    }

    /// Only these CPUs were not looked at since a capability was closed.
    pub(crate) fn set_unasked(&mut self, slot: u32, cpus: CpuSet) {
        self.records[slot as usize].unasked = cpus;
    }

    /// A capability was closed in order to be moved, and had these rights.
    pub(crate) fn keep_rights(&mut self, slot: u32, rights: Rights) {
        self.records[slot as usize].kept = rights;
    }

    /// The rights of one that is closed, if it is being moved.
    pub(crate) fn kept_rights(&self, slot: u32) -> Rights {
        self.records[slot as usize].kept
    }

    /// Gives one that was closed in order to be moved its rights back.
    pub(crate) fn reopen(&mut self, slot: u32) {
        let (hot, record) = (&self.hot[slot as usize], &mut self.records[slot as usize]);
        if hot.word().is_closed() && !record.kept.is_empty() {
            hot.reopen(record.kept);
            record.kept = Rights::empty();
        }
    }

    /// The record of a slot.
    pub fn record(&self, slot: u32) -> &CapRecord {
        steps::count();
        &self.records[slot as usize]
    }

    /// The record of a slot, to change its links.
    pub fn record_mut(&mut self, slot: u32) -> &mut CapRecord {
        &mut self.records[slot as usize]
    }

    /// Puts a capability into the next free slot, of which there is one; its neighbours are seen to by the caller. Gives its
    /// handle.
    #[inline(always)]
    pub(super) fn insert(&mut self, word: CapWord, badge: u64, neighbours: Neighbours) -> Handle {
        let (records, hot, slot) = (&mut self.records[..], &self.hot[..], self.first_free);
        let record = &mut records[slot as usize];
        let next_free = record.next_free;
        (record.object, record.neighbours) = (word.with(Rights::empty()), neighbours);
        record.badge.store(badge, Relaxed);
        let handle = hot[slot as usize].fill(slot, word);
        self.used += 1;
        self.first_free = next_free;
        if next_free == NO_SLOT {
            self.add_free_slots();
        }
        handle
    }

    /// Makes the next slots free that were never in use, if there are any.
    #[cold]
    #[inline(never)]
    fn add_free_slots(&mut self) {
        let first = self.records.len();
        let end = self.hot.len().min(first + SLOTS_AT_ONCE);
        for slot in first..end {
            let next_free = if slot + 1 == end { NO_SLOT } else { slot as u32 + 1 };
            self.records.push(CapRecord::free(next_free));
        }
        if first < end {
            self.first_free = first as u32;
        }
    }

    /// Empties a slot; the handle is stale from here on. Gives what it named, and the neighbours,
    /// which are to be seen to.
    #[inline(always)]
    pub fn remove(&mut self, slot: u32) -> (CapWord, Neighbours) {
        let record = &mut self.records[slot as usize];
        let gone = (record.object, record.neighbours);
        self.used -= 1;
        // What else a free slot's record says means nothing.
        record.object = CapWord::FREE;
        // A slot whose generations have run out stays empty for ever: a handle kept since its first would name what
        // comes next.
        if self.hot[slot as usize].empty() {
            record.next_free = core::mem::replace(&mut self.first_free, slot);
        }
        gone
    }

    /// As if so many more capabilities had come and gone in the slot that is taken next: for tests.
    #[cfg(not(target_os = "none"))]
    pub fn skip_generations(&mut self, count: u32) {
        if let Some(hot) = self.hot.get(self.first_free as usize) {
            hot.clear(hot.generation().saturating_add(count));
        }
    }

    /// How many of its slots were ever in use, and a few more.
    pub fn known_slots(&self) -> u32 {
        self.records.len() as u32
    }

    /// What the capabilities in its slots from one on name, as words without rights; free for free slots. So many at most;
    /// none behind the last that was ever in use.
    pub fn objects_from(&self, slot: u32, most: u32) -> impl Iterator<Item = CapWord> {
        let records = self.records.get(slot as usize..).unwrap_or(&[]);
        records.iter().take(most as usize).inspect(|_| steps::count()).map(|record| record.object)
    }

    /// The first slot in use at or behind `from`.
    pub fn next_used(&self, from: u32) -> Option<u32> {
        self.next_used_before(from, self.records.len() as u32)
    }

    /// The same, of those before another one.
    pub fn next_used_before(&self, from: u32, end: u32) -> Option<u32> {
        (from..end.min(self.records.len() as u32)).find(|slot| self.records[*slot as usize].object != CapWord::FREE)
    }
}

#[cfg(test)]
mod tests {
    use super::{CapTable, CapWord, NO_SLOT, Neighbours};
    use crate::object::account::Account;
    use crate::object::store::Store;
    use tessera_abi::{ObjectKind, Rights};

    /// A table with capabilities in slots 0 and 2; 1 is free again.
    fn table() -> CapTable {
        let account = Store::of(1).insert(Account::new(0, None));
        let mut table = CapTable::begin(account, 8);
        table.add_slots(8);
        for _ in 0..3 {
            table.insert(CapWord::new(ObjectKind::Account, Rights::CHARGE, account.index()), 0, Neighbours::NOBODY);
        }
        table.remove(1);
        table
    }

    #[test]
    fn a_table_that_is_well_passes_its_check() {
        assert_eq!(table().check(), 3 * 8 + 6 + 2);
    }

    fn set_word(table: &CapTable, slot: usize, word: CapWord) {
        table.hot[slot].clear(table.hot[slot].generation());
        table.hot[slot].fill(slot as u32, word);
    }

    macro_rules! found {
        ($($test:ident: $harm:expr, $reason:literal;)*) => {$(
            #[test]
            #[should_panic(expected = $reason)]
            fn $test() {
                let harm: fn(&mut CapTable) = $harm;
                let mut table = table();
                harm(&mut table);
                table.check();
            }
        )*};
    }

    found! {
        a_word_that_stays_behind_is_found:
            |table| set_word(table, 1, CapWord::new(ObjectKind::Account, Rights::CHARGE, 0)), "a slot's word says";
        a_word_that_is_lost_is_found: |table| set_word(table, 2, CapWord::FREE), "a slot's word says";
        a_word_for_another_object_is_found:
            |table| set_word(table, 2, CapWord::new(ObjectKind::Account, Rights::CHARGE, 1)), "a slot's word says";
        a_word_for_another_kind_is_found:
            |table| set_word(table, 2, CapWord::new(ObjectKind::Space, Rights::CHARGE, 0)), "a slot's word says";
        rights_that_do_not_exist_are_found:
            |table| set_word(table, 2, CapWord(1 << 53 | table.hot[2].word().0)), "a slot's word says";
        a_generation_of_zero_is_found:
            |table| table.hot[7].clear(0), "no handle has generation 0";
        a_miscount_is_found: |table| table.used += 1, "a table counts its capabilities";
        a_free_slot_that_is_lost_is_found:
            |table| table.first_free = NO_SLOT, "every free slot is in the list";
        a_slot_in_use_in_the_list_is_found: |table| table.first_free = 2, "holds each once, and no other";
        a_list_that_goes_round_is_found: |table| table.records[1].next_free = 1, "holds each once, and no other";
        a_list_that_leaves_the_table_is_found: |table| table.first_free = 8, "stays in the table";
    }
}
