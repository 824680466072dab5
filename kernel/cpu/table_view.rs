//! A capability table as it is read without the lock.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::Handle;

use crate::cpu::cap_word::{CapSlot, CapWord};
use crate::cpu::slice_pointer::{SlicePointer, Words};

/// Bytes of a slot's record, in which its badge comes first.
pub const RECORD_BYTES: usize = 64;

/// What a CPU finds of a table. It lies in the table, and is as long there as that.
#[derive(Debug)]
pub struct TableView {
    /// The slots.
    pub(crate) slots: SlicePointer<CapSlot>,
    /// The badges of those that were ever in use.
    pub(crate) badges: Words<RECORD_BYTES>,
    number: AtomicU32,
}

/// That of no table.
pub(crate) static NO_TABLE: TableView =
    TableView { slots: SlicePointer::none(), badges: Words::none(), number: AtomicU32::new(u32::MAX) };

impl TableView {
    /// That of a table that has no number yet.
    pub(crate) fn new(slots: SlicePointer<CapSlot>, badges: Words<RECORD_BYTES>) -> TableView {
        TableView { slots, badges, number: AtomicU32::new(u32::MAX) }
    }

    /// Says which table it is.
    pub(crate) fn set_number(&self, number: u32) {
        self.number.store(number, Relaxed);
    }

    /// What the capability permits, and to what, that a handle names.
    #[inline(always)]
    pub fn word_of(&self, handle: Handle) -> Option<CapWord> {
        self.slots.get(handle.slot())?.read(handle.generation())
    }

    /// The table's number.
    #[inline(always)]
    pub fn number(&self) -> u32 {
        self.number.load(Relaxed)
    }
}
