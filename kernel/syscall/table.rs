//! Calls on capability tables.

use alloc::boxed::Box;

use tessera_abi::syscall::number;
use tessera_abi::{Error, Handle, ObjectKind, Rights};

use super::{Caller, Outcome, Result};
use crate::base::effort::Effort;
use crate::object::cap_table::{CapTable, SLOTS_MAX};
use crate::object::id::{ObjectRef, TableId, ThreadId};
use crate::object::links::{Chain, List};
use crate::sched::ending;
use crate::state::kernel::Kernel;
use crate::state::memory::{reserve_block, reserve_heap};

/// What a thread remembers that makes a table, besides the table's number.
const IS_BEGUN: u64 = 1 << 32;

/// Effort of ending a thread.
const ENDING_UNITS: u32 = 80;

/// Slots that are made for a unit of work.
const SLOTS_A_UNIT: u32 = 2;

impl Caller<'_> {
    pub(super) fn table_create(&mut self, account: Handle, slots: u64) -> Result<Outcome> {
        let payer = self.number_of(account, ObjectKind::Account, Rights::CHARGE)?;
        if slots == 0 || slots > SLOTS_MAX {
            return Err(Error::BadArgument);
        }
        if !Effort::of_entry().spend(slots as u32 / SLOTS_A_UNIT) {
            return self.table_by_steps(payer, slots as u32);
        }
        let own = self.table();
        let (blocks, Kernel { accounts, tables, frames, .. }) = (CapTable::blocks(slots), &mut *self.kernel);
        let slot_bytes = blocks[0] + blocks[1];
        let mut payer = accounts.open(payer).ok_or(Error::BadHandle)?;
        tables.ensure_room()?;
        payer.object.ensure_object::<CapTable>(slot_bytes)?;
        tables.at(own).ensure_slot()?;
        reserve_heap(frames, 2)?;
        blocks.into_iter().try_for_each(|bytes| reserve_block(frames, bytes))?;
        let mut table = Box::new(CapTable::begin(payer.id, slots as u32));
        table.add_slots(slots as u32);
        payer.charge_object::<CapTable>(slot_bytes);
        let paid = (Rights::all(), Some(payer.id.index()));
        let id = tables.insert_boxed(table);
        let handle = self.kernel.insert_paid(own, ObjectRef::CapTable(id), paid);
        Ok(handle.bits().into())
    }

    /// Makes a table step by step. Until it is done nobody can name it, and its thread keeps it.
    #[inline(never)]
    fn table_by_steps(&mut self, payer: u32, slots: u32) -> Result<Outcome> {
        let index = match self.progress(number::table_create) {
            0 => self.begin_table(payer, slots)?,
            word => self.table_begun(word as u32, payer, slots)?,
        };
        if !self.kernel.tables.at_mut(index).add_slots(Effort::of_entry().left() * SLOTS_A_UNIT) {
            return Ok(self.again(number::table_create, IS_BEGUN | u64::from(index)));
        }
        let id = self.kernel.tables.id_at(index).expect("its thread keeps it");
        let own = self.table();
        let tables = &mut self.kernel.tables;
        if let Err(error) = tables.at(own).ensure_slot() {
            tables.release_at(index);
            return Err(error);
        }
        Ok(self.kernel.insert_owned(self.table(), ObjectRef::CapTable(id)).bits().into())
    }

    /// Makes the record of a table that gets its slots step by step, all of which are paid for now. Gives its number.
    fn begin_table(&mut self, payer: u32, slots: u32) -> Result<u32> {
        let blocks = CapTable::blocks(u64::from(slots));
        let own = self.table();
        let Kernel { accounts, tables, frames, .. } = &mut *self.kernel;
        let mut payer = accounts.open(payer).ok_or(Error::BadHandle)?;
        tables.ensure_room()?;
        payer.object.ensure_object::<CapTable>(blocks[0] + blocks[1])?;
        tables.at(own).ensure_slot()?;
        reserve_heap(frames, 2)?;
        blocks.into_iter().try_for_each(|bytes| reserve_block(frames, bytes))?;
        let table = Box::new(CapTable::begin(payer.id, slots));
        payer.charge_object::<CapTable>(blocks[0] + blocks[1]);
        Ok(tables.insert_boxed(table).index())
    }

    /// The table that the step before left, if it is what this one is to make.
    fn table_begun(&mut self, index: u32, payer: u32, slots: u32) -> Result<u32> {
        let account = self.kernel.accounts.id_at(payer);
        if account.is_some_and(|account| self.kernel.tables.at(index).is_being_made(account, slots)) {
            return Ok(index);
        }
        // The program has put another call in the place of the one that was under way.
        self.kernel.tables.release_at(index);
        self.begin_table(payer, slots)
    }

    pub(super) fn table_stop_threads(&mut self, table: Handle) -> Result<Outcome> {
        let mut ended = self.progress(number::table_stop_threads);
        let table = self.cap_table(table, Rights::CONTROL)?;
        let mut effort = Effort::of_entry();
        while let Some(id) = self.first_but_caller(table) {
            if !effort.is_left() {
                return Ok(self.again(number::table_stop_threads, ended));
            }
            effort.spend(ENDING_UNITS);
            ending::stop_thread(self.kernel, id, &mut effort);
            ended += 1;
        }
        Ok(ended.into())
    }

    /// The first thread that uses a table and is not the caller.
    fn first_but_caller(&self, table: TableId) -> Option<ThreadId> {
        let threads = &self.kernel.threads;
        let first = self.kernel.tables.find(table)?.threads.first(threads)?;
        if first == self.thread { List::after(threads, Chain::Table, first) } else { Some(first) }
    }
}
