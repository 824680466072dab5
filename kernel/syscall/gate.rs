//! Calls on gates.

use alloc::vec;

use tessera_abi::layout::{self, GateLayout, Name};
use tessera_abi::syscall::number;
use tessera_abi::{Error, Handle, ObjectKind, Rights};
use tessera_arch::VirtAddr;

use super::space::ensure_entry;
use super::{Caller, Outcome, Result};
use crate::base::cpu_set;
use crate::base::effort::Effort;
use crate::cpu::gate_words::STACKS_MAX;
use crate::object::gate::Gate;
use crate::object::id::{CapId, GateId, ObjectRef};
use crate::object::links::List;
use crate::object::use_pool::{Use, UseKind};
use crate::sched::calling::{self, Calling, Returning};
use crate::sched::{closing, ending, guests, moving};

/// A stack is a multiple of so many bytes, and begins at one.
const STACK_ALIGNMENT: u64 = 16;

impl Caller<'_> {
    pub(super) fn gate_create(&mut self, account: Handle, space: Handle, table: Handle, layout: u64) -> Result<u64> {
        let account = self.account(account, Rights::CHARGE)?;
        let by = [space, table].map(|handle| CapId::at(self.table(), handle.slot()));
        let space = self.space(space, Rights::SWITCH)?;
        // Who comes in has all that the table holds.
        let table = self.cap_table(table, Rights::CONTROL)?;
        let layout: GateLayout = self.read(layout)?;
        let stack_bytes = ensure_layout(&layout)?;
        self.kernel.gates.ensure_room()?;
        self.kernel.ensure_object::<Gate>(account, Gate::bytes_for(layout.count), 0)?;
        self.ensure_can_create(4)?;
        self.kernel.reserve_block(Gate::block_bytes(layout.count))?;
        let gate = Gate {
            name: Name::EMPTY,
            account,
            space,
            table,
            lent: [None; 2],
            unasked: cpu_set::ALL,
            holders: vec![None; layout.count as usize],
            waiting: List::default(),
            waiting_count: 0,
        };
        self.kernel.charge(&gate);
        let id = self.kernel.gates.insert(gate);
        let lent = by.map(|by| self.kernel.lend(by, Use::of_number(UseKind::Gate, id.index())));
        self.kernel.gates.at_mut(id.index()).lent = lent.map(Some);
        self.kernel.tables.at_mut(table.index()).is_of_gate = true;
        let stacks = (layout.stacks, stack_bytes, layout.count);
        let view = &self.kernel.tables.at(table.index()).view;
        self.kernel.shared.gate_words(id.index()).open(space.index(), view, layout.entry, stacks);
        let paid = (Rights::all(), Some(account.index()));
        Ok(self.kernel.insert_paid(self.table(), ObjectRef::Gate(id), paid).bits())
    }

    pub(super) fn gate_info(&mut self, gate: Handle, buffer: u64) -> Result<u64> {
        let id = self.gate(gate, Rights::empty())?;
        let (gate, words) = (&self.kernel.gates[id], self.kernel.shared.gate_words(id.index()));
        let info = layout::GateInfo {
            is_open: u64::from(words.is_open()),
            space: u64::from(gate.space.index()),
            stacks: gate.holders.len() as u64,
            free: u64::from(words.free_stacks().count_ones()),
            waiting: gate.waiting_count,
        };
        self.write(buffer, &info).map(|()| 0)
    }

    pub(super) fn gate_caller(&mut self) -> Result<u64> {
        calling::is_awaited(self.kernel, self.thread).map(|is_awaited| u64::from(!is_awaited))
    }

    pub(super) fn gate_close(&mut self, gate: Handle, how: u64) -> Result<Outcome> {
        // What was done before stands in the gate.
        self.progress(number::gate_close);
        let id = self.gate(gate, Rights::CONTROL)?;
        let mut effort = Effort::of_entry();
        let is_done = match how {
            0 => closing::close_to_new(self.kernel, id.index(), &mut effort),
            1 => self.close_on_all(id, &mut effort),
            _ => return Err(Error::BadArgument),
        };
        // Who closes it on itself sees its own call end.
        if crate::sched::running::current(self.kernel, self.cpu) != Some(self.thread) {
            return Ok(Outcome::Unfinished);
        }
        Ok(if is_done { Outcome::Done(0) } else { self.again(number::gate_close, 1) })
    }

    fn close_on_all(&mut self, id: GateId, effort: &mut Effort) -> bool {
        closing::close(self.kernel, id.index(), effort)
    }

    pub(super) fn gate_call(
        &mut self,
        gate: Handle,
        flags: u64,
        capability: Handle,
        rights: Rights,
    ) -> Result<Outcome> {
        let is_under_way = self.progress(number::gate_call) != 0;
        let words = [gate.bits(), flags, capability.bits(), u64::from(rights.bits()), 0, 0];
        match calling::call(self.kernel, self.cpu, self.thread, &words) {
            // Its registers are those of the callee, or it waits.
            Ok(Calling::Entered | Calling::Waits) => Ok(Outcome::Unfinished),
            Ok(Calling::Again) => Ok(self.again(number::gate_call, 1)),
            Err(error) => Err(self.refuse_moving(is_under_way, capability, error)),
        }
    }

    pub(super) fn gate_return(&mut self, capability: Handle, rights: Rights, flags: u64) -> Result<Outcome> {
        let is_under_way = self.progress(number::gate_return) != 0;
        if capability != Handle::NONE {
            self.word_of(capability)?;
        }
        let given = [capability.bits(), u64::from(rights.bits()), flags];
        match calling::go_back(self.kernel, self.cpu, self.thread, given) {
            Ok(Returning::Back) => guests::end_kicked(self.kernel, self.cpu, self.thread),
            Ok(Returning::Out(out)) => ending::come_out(self.kernel, self.thread, out),
            Ok(Returning::Again) => return Ok(self.again(number::gate_return, 1)),
            Err(error) => return Err(self.refuse_moving(is_under_way, capability, error)),
        }
        Ok(Outcome::Unfinished)
    }

    /// A call is refused; what a step of it closed in order to move it stays where it is.
    #[cold]
    #[inline(never)]
    fn refuse_moving(&mut self, is_under_way: bool, capability: Handle, error: Error) -> Error {
        if is_under_way {
            moving::give_up(self.kernel, self.table(), capability);
        }
        error
    }

    /// The gate that a handle names, if it carries the rights.
    fn gate(&self, handle: Handle, needed: Rights) -> Result<GateId> {
        let index = self.number_of(handle, ObjectKind::Gate, needed)?;
        self.kernel.gates.id_at(index).ok_or(Error::BadHandle)
    }
}

/// Checks where calls go on; gives the bytes of a stack.
fn ensure_layout(layout: &GateLayout) -> Result<u32> {
    if layout.count == 0 || layout.count > STACKS_MAX {
        return Err(Error::BadArgument);
    }
    if !(layout.stacks | layout.stack_bytes).is_multiple_of(STACK_ALIGNMENT) {
        return Err(Error::Misaligned);
    }
    let bytes = u32::try_from(layout.stack_bytes).ok().filter(|bytes| *bytes != 0).ok_or(Error::BadArgument)?;
    let end = layout.stacks.checked_add(layout.stack_bytes * layout.count).ok_or(Error::BadAddress)?;
    ensure_entry(layout.entry, end)?;
    if VirtAddr::new(layout.stacks).is_user() { Ok(bytes) } else { Err(Error::BadAddress) }
}
