//! Calls on capability tables.

use alloc::boxed::Box;

use tessera_abi::layout::ThreadState;
use tessera_abi::{Error, Handle, Rights};

use super::{Caller, Result};
use crate::object::cap_table::{CapTable, SLOTS_MAX};
use crate::object::id::ObjectRef;
use crate::object::links::{Chain, List};
use crate::sched::ending;

impl Caller<'_> {
    pub(super) fn table_create(&mut self, account: Handle, slots: u64) -> Result<u64> {
        let (account, payer) = self.payer(account, Rights::CHARGE)?;
        if slots == 0 || slots > SLOTS_MAX {
            return Err(Error::BadArgument);
        }
        let blocks = CapTable::blocks(slots);
        let slot_bytes = blocks[0] + blocks[1];
        self.kernel.tables.ensure_room()?;
        payer.ensure_object::<CapTable>(slot_bytes)?;
        self.ensure_can_create(2)?;
        blocks.into_iter().try_for_each(|bytes| self.kernel.ensure_block(bytes))?;
        let table = Box::new(CapTable::new(account, slots as u32)?);
        self.kernel.charge_object::<CapTable>(account, slot_bytes);
        let id = self.kernel.tables.insert_boxed(table);
        Ok(self.kernel.insert_first(self.table, ObjectRef::CapTable(id)).bits())
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
