//! Calls on capability tables.

use alloc::boxed::Box;

use tessera_abi::layout::ThreadState;
use tessera_abi::{Error, Handle, ObjectKind, Rights};

use super::{Caller, Result};
use crate::object::cap_table::{CapTable, SLOTS_MAX};
use crate::object::id::ObjectRef;
use crate::object::links::{Chain, List};
use crate::sched::ending;
use crate::state::kernel::Kernel;
use crate::state::memory::{reserve_block, reserve_heap};

impl Caller<'_> {
    pub(super) fn table_create(&mut self, account: Handle, slots: u64) -> Result<u64> {
        let payer = self.number_of(account, ObjectKind::Account, Rights::CHARGE)?;
        if slots == 0 || slots > SLOTS_MAX {
            return Err(Error::BadArgument);
        }
        let blocks = CapTable::blocks(slots);
        let slot_bytes = blocks[0] + blocks[1];
        let Kernel { accounts, tables, frames, .. } = &mut *self.kernel;
        let mut payer = accounts.open(payer).ok_or(Error::BadHandle)?;
        tables.ensure_room()?;
        payer.object.ensure_object::<CapTable>(slot_bytes)?;
        tables.at(self.table.index()).ensure_slot()?;
        reserve_heap(frames, 2)?;
        blocks.into_iter().try_for_each(|bytes| reserve_block(frames, bytes))?;
        let table = Box::new(CapTable::new(payer.id, slots as u32)?);
        payer.charge_object::<CapTable>(slot_bytes);
        let id = tables.insert_boxed(table);
        Ok(tables.at_mut(self.table.index()).insert(ObjectRef::CapTable(id), Rights::all(), 0).bits())
    }

    pub(super) fn table_stop_threads(&mut self, table: Handle) -> Result<u64> {
        let table = self.cap_table(table, Rights::CONTROL)?;
        let mut ended = 0;
        let mut next = self.kernel.tables[table].threads.first(&self.kernel.threads);
        while let Some(id) = next {
            next = List::after(&self.kernel.threads, Chain::Table, id);
            if id != self.thread {
                ending::end_thread(self.kernel, id, ThreadState::Stopped);
                ended += 1;
            }
        }
        Ok(ended)
    }
}
