//! One object of each kind, valid arguments for every call, and which right each argument needs.

#![allow(non_upper_case_globals, reason = "the constants of the ABI are named as the calls")]

use crate::{Room, UNMAPPED, fresh_address};
use libvas::gate::Stacks;
use libvas::layout::{GateLayout, Words};
use libvas::{
    Account, Cap, CapTable, Error, Gate, Guest, Handle, Machine, ObjectKind, PAGE_BYTES, Rights, Segment, Space,
    Subtree, TOP_SLOT_BYTES, Thread, program,
};
use tessera_abi::syscall::number::*;

/// One object of each kind, none of them used for anything yet.
#[derive(Debug)]
pub struct Fixture {
    /// An account with 1 MiB.
    pub account: Cap<Account>,
    /// A space with the program in it, and one page mapped at `address`.
    pub space: Cap<Space>,
    /// An empty subtree.
    pub subtree: Cap<Subtree>,
    /// A segment of two pages.
    pub segment: Cap<Segment>,
    /// A segment of a page, which is mapped nowhere.
    pub spare: Cap<Segment>,
    /// A thread that has not started.
    pub thread: Cap<Thread>,
    /// A table of eight slots.
    pub table: Cap<CapTable>,
    /// A gate into the space, at an address where nothing is.
    pub gate: Cap<Gate>,
    /// A guest, without anything to execute.
    pub guest: Cap<Guest>,
    /// The machine, as the program was given it.
    pub machine: &'static Cap<Machine>,
    /// A page to write to.
    pub room: Room,
    /// Where the space has its page; behind it there is nothing.
    pub address: u64,
}

impl Fixture {
    /// Makes them.
    ///
    /// # Errors
    /// What making objects can fail with.
    pub fn new() -> Result<Fixture, Error> {
        let account = program().account();
        let (space, segment) = (program().new_space()?, Segment::new(account, 2 * PAGE_BYTES)?);
        let (table, address) = (CapTable::new(account, 8)?, fresh_address());
        space.map(address, &segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
        let stacks = Stacks { start: address, stack_bytes: PAGE_BYTES, count: 1 };
        // SAFETY: nothing is mapped at the entry.
        let gate = unsafe { Gate::new_at(account, &space, &table, UNMAPPED, stacks) }?;
        Ok(Fixture {
            gate,
            guest: Cap::new_guest(account, &segment, PAGE_BYTES)?,
            account: account.split(1 << 20)?,
            subtree: Subtree::new(account)?,
            thread: Thread::new(account, &table, &space, 0)?,
            machine: program().machine().ok_or(Error::MissingRight)?,
            room: Room::new(1)?,
            spare: Segment::new(account, PAGE_BYTES)?,
            space,
            segment,
            table,
            address,
        })
    }

    /// The handle of the object of a kind.
    pub fn handle(&self, kind: ObjectKind) -> Handle {
        match kind {
            ObjectKind::Account => self.account.handle(),
            ObjectKind::Space => self.space.handle(),
            ObjectKind::Subtree => self.subtree.handle(),
            ObjectKind::Segment => self.segment.handle(),
            ObjectKind::Thread => self.thread.handle(),
            ObjectKind::CapTable => self.table.handle(),
            ObjectKind::Gate => self.gate.handle(),
            ObjectKind::Guest => self.guest.handle(),
            ObjectKind::Machine => self.machine.handle(),
        }
    }

    /// Arguments with which a call succeeds (or, for calls that would end the caller or the machine, would).
    pub fn words(&self, call: u64) -> [u64; 6] {
        let of = |kind| self.handle(kind).bits();
        let (account, space) = (of(ObjectKind::Account), of(ObjectKind::Space));
        let (thread, machine) = (of(ObjectKind::Thread), of(ObjectKind::Machine));
        let buffer = self.room.address();
        match call {
            space_switch | space_switch_until => [space, 0, 0, 0, 0, 0],
            space_jump => [space, self.address, self.address, 0, 0, 0],
            console_write => [buffer, 0, 0, 0, 0, 0],
            thread_create => [account, of(ObjectKind::CapTable), space, 0, 0, 0],
            thread_start => [thread, self.address, self.address, 0, 0, 0],
            thread_join | thread_stop | thread_set_priority => [thread, 0, 0, 0, 0, 0],
            thread_set_affinity => [thread, 1, 0, 0, 0, 0],
            thread_info => [thread, buffer, 0, 0, 0, 0],
            thread_set_fallback => [space, self.address, self.address, 0, 0, 0],
            account_create => [account, PAGE_BYTES, 0, 0, 0, 0],
            account_end => [account, 0, 0, 0, 0, 0],
            account_info => [account, buffer, 0, 0, 0, 0],
            table_create => [account, 1, 0, 0, 0, 0],
            segment_create => [account, PAGE_BYTES, 0, 0, 0, 0],
            subtree_create => [account, 3, 0, 0, 0, 0],
            space_create | space_create_local => [account, 0, 0, 0, 0, 0],
            table_stop_threads => [of(ObjectKind::CapTable), 0, 0, 0, 0, 0],
            counters => [0, buffer, 0, 0, 0, 0],
            machine_power_off | machine_check | machine_provoke => [machine, 0, 0, 0, 0, 0],
            machine_info => [machine, buffer, 0, 0, 0, 0],
            gate_create => [account, space, of(ObjectKind::CapTable), layout(), 0, 0],
            gate_info => [of(ObjectKind::Gate), buffer, 0, 0, 0, 0],
            guest_create => [account, of(ObjectKind::Segment), PAGE_BYTES, 0, 0, 0],
            guest_run => [of(ObjectKind::Guest), space, 0, 0, 0, 0],
            guest_kick => [of(ObjectKind::Guest), 0, 0, 0, 0, 0],
            gate_close => [of(ObjectKind::Gate), 0, 0, 0, 0, 0],
            handler_set => [space, of(ObjectKind::Gate), 1, 0, 0, 0],
            interrupted_read | interrupted_write => [buffer, 0, 0, 0, 0, 0],
            space_clone => [payer(), space, 0, 0, 0, 0],
            view_create => [account, space, u64::from(Rights::READ.bits()), 0, 0, 0],
            _ => self.memory_words(call),
        }
    }

    /// [`Fixture::words`] of the calls on capabilities and memory.
    fn memory_words(&self, call: u64) -> [u64; 6] {
        let (space, segment, subtree) =
            (self.space.handle().bits(), self.segment.handle().bits(), self.subtree.handle());
        let (buffer, address) = (self.room.address(), self.address);
        let [read, read_write, read_execute, all] =
            [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE, Rights::ACCESS].map(|set| u64::from(set.bits()));
        match call {
            capability_derive => [segment, read, 0, 0, 0, 0],
            gate_call => [self.gate.handle().bits(), 0, segment, read, 0, 0],
            capability_copy => [segment, self.table.handle().bits(), read, 0, 0, 0],
            capability_delete | capability_revoke | capability_revoke_badge => [segment, 0, 0, 0, 0, 0],
            lent_list => [segment, buffer, 1, 0, 0, 0],
            capability_info | segment_info => [segment, buffer, 0, 0, 0, 0],
            object_set_name => [segment, buffer, 0, 0, 0, 0],
            space_info => [space, buffer, 0, 0, 0, 0],
            subtree_info => [subtree.bits(), buffer, 0, 0, 0, 0],
            pin => [space, self.address, PAGE_BYTES, 0, 0, 0],
            written_list => [space, 0, buffer, 1, 0, 0],
            subtree_clone => [payer(), subtree.bits(), 0, 0, 0, 0],
            subtree_seal | subtree_withdraw => [subtree.bits(), 0, 0, 0, 0, 0],
            subtree_publish => [self.machine.handle().bits(), subtree.bits(), 40 * TOP_SLOT_BYTES, read_execute, 0, 0],
            mappings_list => [space, 0, buffer, 1, 0, 0],
            subtree_attach | subtree_attach_core => [space, subtree.bits(), 40 * TOP_SLOT_BYTES, all, 0, 0],
            subtree_detach | subtree_detach_core => [space, 0, 0, 0, 0, 0],
            map | map_private => [space, segment, 0, address + PAGE_BYTES, PAGE_BYTES, read_write],
            segment_grow => [segment, 2 * PAGE_BYTES, 0, 0, 0, 0],
            segment_discard => [self.spare.handle().bits(), 0, PAGE_BYTES, 0, 0, 0],
            mapping_move => [space, address, PAGE_BYTES, space, address + 4 * PAGE_BYTES, 1],
            unmap => [space, address, PAGE_BYTES, 0, 0, 0],
            protect => [space, address, PAGE_BYTES, read, 0, 0],
            memory_read | memory_write => [space, address, buffer, 8, 0, 0],
            _ => [0; 6],
        }
    }
}

/// Who pays for the space and the subtree: nobody else can for their clones.
fn payer() -> u64 {
    program().account().handle().bits()
}

/// The address of a layout that a gate can have: an entry and a stack where nothing is.
fn layout() -> u64 {
    static LAYOUT: [u64; GateLayout::COUNT] = [UNMAPPED, UNMAPPED, PAGE_BYTES, 1];
    LAYOUT.as_ptr().expose_provenance() as u64
}

/// A call's argument and a right that the capability it names must carry.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// The call's number.
    pub call: u64,
    /// The argument's position.
    pub argument: usize,
    /// The right; where there are several, one of them is enough.
    pub right: Rights,
}

const fn need(call: u64, argument: usize, right: Rights) -> Need {
    Need { call, argument, right }
}

/// Every right that a call needs with the arguments of [`Fixture::words`], as the ABI documents it.
pub const NEEDS: &[Need] = &[
    need(space_switch, 0, Rights::SWITCH),
    need(space_switch_until, 0, Rights::SWITCH),
    need(space_jump, 0, Rights::SWITCH),
    need(thread_create, 0, Rights::CHARGE),
    need(thread_create, 1, Rights::CONTROL),
    need(thread_create, 2, Rights::SWITCH),
    need(thread_start, 0, Rights::REGISTERS),
    need(thread_join, 0, Rights::WAIT),
    need(thread_info, 0, Rights::CONTROL),
    need(thread_stop, 0, Rights::CONTROL),
    need(thread_set_priority, 0, Rights::CONTROL),
    need(thread_set_affinity, 0, Rights::CONTROL),
    need(thread_set_fallback, 0, Rights::SWITCH),
    need(account_create, 0, Rights::SPLIT),
    need(account_info, 0, Rights::CHARGE.union(Rights::CONTROL)),
    need(account_end, 0, Rights::CONTROL),
    need(capability_copy, 0, Rights::GRANT),
    need(capability_copy, 1, Rights::INSERT),
    need(object_set_name, 0, Rights::CONTROL),
    need(table_create, 0, Rights::CHARGE),
    need(table_stop_threads, 0, Rights::CONTROL),
    need(segment_create, 0, Rights::CHARGE),
    need(segment_info, 0, Rights::READ.union(Rights::CONTROL)),
    need(space_create, 0, Rights::CHARGE),
    need(space_create_local, 0, Rights::CHARGE),
    need(space_info, 0, Rights::INSPECT),
    need(mappings_list, 0, Rights::INSPECT),
    need(subtree_create, 0, Rights::CHARGE),
    need(subtree_info, 0, Rights::INSPECT),
    need(subtree_attach, 0, Rights::MAP),
    need(subtree_attach, 1, Rights::READ),
    need(subtree_attach, 1, Rights::WRITE),
    need(subtree_attach, 1, Rights::EXECUTE),
    need(subtree_attach_core, 0, Rights::MAP),
    need(subtree_attach_core, 1, Rights::READ),
    need(subtree_attach_core, 1, Rights::WRITE),
    need(subtree_attach_core, 1, Rights::EXECUTE),
    need(subtree_detach, 0, Rights::MAP),
    need(subtree_detach_core, 0, Rights::MAP),
    need(subtree_seal, 0, Rights::CONTROL),
    need(subtree_withdraw, 0, Rights::CONTROL),
    need(subtree_publish, 0, Rights::CONTROL),
    need(subtree_publish, 1, Rights::READ),
    need(subtree_publish, 1, Rights::EXECUTE),
    need(guest_create, 0, Rights::CHARGE),
    need(guest_create, 1, Rights::READ),
    need(guest_create, 1, Rights::WRITE),
    need(guest_run, 0, Rights::RUN),
    need(guest_run, 1, Rights::RUN),
    need(guest_kick, 0, Rights::KICK),
    need(gate_create, 0, Rights::CHARGE),
    need(gate_create, 1, Rights::SWITCH),
    need(gate_create, 2, Rights::CONTROL),
    need(gate_close, 0, Rights::CONTROL),
    need(handler_set, 0, Rights::CONTROL),
    need(handler_set, 1, Rights::CALL),
    need(gate_call, 0, Rights::CALL),
    need(gate_call, 2, Rights::GRANT),
    need(space_clone, 0, Rights::CHARGE),
    need(space_clone, 1, Rights::INSPECT),
    need(space_clone, 1, Rights::MAP),
    need(subtree_clone, 0, Rights::CHARGE),
    need(subtree_clone, 1, Rights::INSPECT),
    need(subtree_clone, 1, Rights::MAP),
    need(subtree_clone, 1, Rights::READ),
    need(view_create, 0, Rights::CHARGE),
    need(view_create, 1, Rights::INSPECT),
    need(map, 0, Rights::MAP),
    need(map, 1, Rights::READ),
    need(map, 1, Rights::WRITE),
    need(map_private, 0, Rights::MAP),
    need(map_private, 1, Rights::READ),
    need(segment_grow, 0, Rights::CONTROL),
    need(segment_discard, 0, Rights::WRITE),
    need(mapping_move, 0, Rights::MAP),
    need(mapping_move, 0, Rights::INSPECT),
    need(mapping_move, 3, Rights::MAP),
    need(unmap, 0, Rights::MAP),
    need(pin, 0, Rights::MAP),
    need(written_list, 0, Rights::INSPECT),
    need(protect, 0, Rights::MAP),
    need(memory_read, 0, Rights::INSPECT),
    need(memory_write, 0, Rights::MAP),
    need(machine_power_off, 0, Rights::CONTROL),
    need(machine_check, 0, Rights::INSPECT),
    need(machine_provoke, 0, Rights::CONTROL),
    need(machine_info, 0, Rights::INSPECT),
];
