//! Making the pager: an account, a space, a table with what it needs and nothing else, and the gate that is the handler.

use crate::paging::{Done, FRAMES, MEMORY, MEMORY_HANDLE, PAGES, Paging, REGION_HANDLE};
use core::sync::atomic::Ordering::Relaxed;
use libvas::gate::Stacks;
use libvas::handler::Deciding;
use libvas::layout::AccountInfo;
use libvas::{
    Account, Cap, CapTable, Error, Gate, PAGE_BYTES, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, program, raw,
};

/// What the pager may use at most: its memory, and what there is around it.
const BUDGET: u64 = (FRAMES + PAGES + 64) * PAGE_BYTES;

/// Room in its table.
const TABLE_SLOTS: u64 = 4;

/// Where its stack is. There is one, so that it does one thing at a time.
const STACKS: u64 = MEMORY + TOP_SLOT_BYTES;
const STACK_BYTES: u64 = 4 * PAGE_BYTES;

/// The pager, as its maker sees it.
pub(crate) struct Pager {
    region: Cap<Subtree>,
    gate: Cap<Gate>,
    space: Cap<Space>,
    table: Cap<CapTable>,
    memory: Cap<Segment>,
    account: Cap<Account>,
}

impl Pager {
    /// Makes it, and has it see to a new subtree.
    pub(crate) fn new() -> Result<Pager, Error> {
        let account = program().account().split(BUDGET)?;
        let (table, space) = (CapTable::new(&account, TABLE_SLOTS)?, Space::new(&account)?);
        table.set_name("pager")?;
        space.set_name("pager")?;
        space.attach_window(0, program().subtree(), Rights::ACCESS)?;
        let (memory, region) = (Segment::new(&account, FRAMES * PAGE_BYTES)?, Subtree::new(&account)?);
        space.map(MEMORY, &memory, 0..FRAMES * PAGE_BYTES, Rights::READ_WRITE)?;
        MEMORY_HANDLE.store(memory.copy_into(&table, Rights::READ, 0)?.bits(), Relaxed);
        REGION_HANDLE.store(region.copy_into(&table, Rights::MAP, 0)?.bits(), Relaxed);
        let stacks = Stacks::new_in(&space, STACKS, STACK_BYTES, 1)?;
        let entry = raw::gate_entry::<Deciding<Paging>> as *const () as usize as u64;
        // SAFETY: the entry code is made for it, the space has the program, and nobody else knows of the stacks.
        let gate = unsafe { Gate::new_at(&account, &space, &table, entry, stacks) }?;
        region.set_handler(&gate)?;
        Ok(Pager { region, gate, space, table, memory, account })
    }

    /// The subtree that clients attach.
    pub(crate) fn region(&self) -> &Cap<Subtree> {
        &self.region
    }

    /// What the pager has done so far.
    pub(crate) fn done(&self) -> Done {
        Done::now()
    }

    /// Takes it down; gives what its account says then.
    pub(crate) fn close(self) -> Result<AccountInfo, Error> {
        let Pager { region, gate, space, table, memory, account } = self;
        gate.close()?;
        drop((region, gate, space, table, memory));
        account.info()
    }
}
