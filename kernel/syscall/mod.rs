//! System calls: each checks everything first and changes nothing until nothing can be refused any more.
//!
//! One file per kind of object. `dispatch` leads from the decoded call to the function that serves it.

mod account;
mod capability;
mod machine;
mod mapping;
mod segment;
mod space;
mod subtree;
mod table;
mod thread;

use tessera_abi::{Call, Error, Handle, ObjectKind, Rights};

use crate::account::Account;
use crate::address_space::MapOwner;
use crate::cap_table::{CapId, CapTable};
use crate::derivation;
use crate::kernel::Kernel;
use crate::object::ObjectRef;
use crate::space::Space;
use crate::store::Id;
use crate::subtree::Subtree;
use crate::thread::Thread;
use crate::user_memory::{self, UserSlice};

/// How a call that was not refused ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this value.
    Done(u64),
    /// Not yet, or never: the result is set by whoever ends the wait, or the thread goes on elsewhere.
    Unfinished,
}

/// Who calls: the thread, what it holds and where it is.
pub(crate) struct Caller<'a> {
    kernel: &'a mut Kernel,
    cpu: usize,
    thread: Id<Thread>,
    table: Id<CapTable>,
    space: Id<Space>,
}

type Result<T> = core::result::Result<T, Error>;

/// Serves a call of the thread that is current on the CPU.
///
/// # Errors
/// What the call's entry in the table says.
pub fn dispatch(kernel: &mut Kernel, cpu: usize, thread: Id<Thread>, call: Call) -> Result<Outcome> {
    let table = kernel.threads[thread].table.ok_or(Error::BadState)?;
    let space = kernel.space_of(thread);
    let mut caller = Caller { kernel, cpu, thread, table, space };
    if let Some(outcome) = caller.control(call) {
        return outcome;
    }
    caller.serve(call).map(Outcome::Done)
}

impl Caller<'_> {
    /// Calls that may not return to their caller at once; `None` for all others.
    fn control(&mut self, call: Call) -> Option<Result<Outcome>> {
        Some(match call {
            Call::SpaceJump { space, instruction_pointer, stack_pointer, argument } => {
                self.space_jump(space, instruction_pointer, stack_pointer, argument)
            }
            Call::YieldNow {} => self.yield_now(),
            Call::Sleep { nanoseconds } => self.sleep(nanoseconds),
            Call::ThreadExit { code } => self.thread_exit(code),
            Call::ThreadJoin { thread } => self.thread_join(thread),
            _ => return None,
        })
    }

    fn serve(&mut self, call: Call) -> Result<u64> {
        match call {
            Call::Null {} => Ok(0),
            Call::SpaceSwitch { space } => self.space_switch(space),
            Call::Clock {} => Ok(tessera_arch::now_ns()),
            Call::ConsoleWrite { text, length_bytes } => self.console_write(text, length_bytes),
            Call::SpaceCreate { account } => self.space_create(account),
            Call::SpaceCreateLocal { account, cpu } => self.space_create_local(account, cpu),
            Call::SpaceInfo { space, buffer } => self.space_info(space, buffer),
            Call::MappingsList { target, from, buffer, capacity } => self.mappings_list(target, from, buffer, capacity),
            Call::Map { target, segment, offset, address, length_bytes, rights } => {
                self.map(target, segment, offset, address, length_bytes, rights)
            }
            Call::Unmap { target, address, length_bytes } => self.unmap(target, address, length_bytes),
            Call::Protect { target, address, length_bytes, rights } => {
                self.protect(target, address, length_bytes, rights)
            }
            Call::MemoryRead { space, address, buffer, length_bytes } => {
                self.memory_read(space, address, buffer, length_bytes)
            }
            Call::MemoryWrite { space, address, buffer, length_bytes } => {
                self.memory_write(space, address, buffer, length_bytes)
            }
            Call::SubtreeCreate { account, level } => self.subtree_create(account, level),
            Call::SubtreeInfo { subtree, buffer } => self.subtree_info(subtree, buffer),
            Call::SubtreeAttach { space, subtree, address, bounds } => {
                self.subtree_attach(space, subtree, address, bounds, None)
            }
            Call::SubtreeDetach { space, address } => self.subtree_detach(space, address, None),
            Call::SubtreeAttachCore { space, subtree, address, bounds, cpu } => {
                self.subtree_attach(space, subtree, address, bounds, Some(cpu))
            }
            Call::SubtreeDetachCore { space, address, cpu } => self.subtree_detach(space, address, Some(cpu)),
            Call::SegmentCreate { account, length_bytes, flags } => self.segment_create(account, length_bytes, flags),
            Call::SegmentInfo { segment, buffer } => self.segment_info(segment, buffer),
            other => self.serve_authority(other),
        }
    }

    /// Threads, accounts, tables, capabilities, the machine.
    fn serve_authority(&mut self, call: Call) -> Result<u64> {
        match call {
            Call::ThreadCreate { account, table, space, priority } => {
                self.thread_create(account, table, space, priority)
            }
            Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument } => {
                self.thread_start(thread, instruction_pointer, stack_pointer, argument)
            }
            Call::ThreadInfo { thread, buffer } => self.thread_info(thread, buffer),
            Call::ThreadStop { thread } => self.thread_stop(thread),
            Call::ThreadSetPriority { thread, priority } => self.thread_set_priority(thread, priority),
            Call::ThreadSetAffinity { thread, cpus } => self.thread_set_affinity(thread, cpus),
            Call::ThreadSetPointer { value } => self.thread_set_pointer(value),
            Call::ThreadSetFallback { space, instruction_pointer, stack_pointer } => {
                self.thread_set_fallback(space, instruction_pointer, stack_pointer)
            }
            Call::AccountCreate { account, bytes } => self.account_create(account, bytes),
            Call::AccountInfo { account, buffer } => self.account_info(account, buffer),
            Call::CapabilityDerive { handle, rights, badge } => self.capability_derive(handle, rights, badge),
            Call::CapabilityCopy { handle, table, rights, badge } => self.capability_copy(handle, table, rights, badge),
            Call::CapabilityDelete { handle } => self.capability_delete(handle),
            Call::CapabilityInfo { handle, buffer } => self.capability_info(handle, buffer),
            Call::ObjectSetName { handle, text, length_bytes } => self.object_set_name(handle, text, length_bytes),
            Call::TableCreate { account, slots } => self.table_create(account, slots),
            Call::TableStopThreads { table } => self.table_stop_threads(table),
            Call::Counters { cpu, buffer } => self.counters(cpu, buffer),
            Call::MachinePowerOff { machine, code } => self.machine_power_off(machine, code),
            Call::MachineCheck { machine } => self.machine_check(machine),
            Call::MachineProvoke { machine, what } => self.machine_provoke(machine, what),
            Call::MachineInfo { machine, buffer } => self.machine_info(machine, buffer),
            // `control` and `serve` have every other call.
            _ => Err(Error::BadCall),
        }
    }

    /// The capability that a handle names in the caller's table.
    fn capability(&self, handle: Handle) -> Result<(CapId, ObjectRef, Rights)> {
        let table = &self.kernel.tables[self.table];
        let slot = table.slot_of(handle)?;
        let object = table.record(slot).object.ok_or(Error::BadHandle)?;
        Ok((CapId { table: self.table, slot }, object, table.rights(slot)))
    }

    fn object(&self, handle: Handle, needed: Rights) -> Result<ObjectRef> {
        let (_, object, rights) = self.capability(handle)?;
        if rights.contains(needed) { Ok(object) } else { Err(Error::MissingRight) }
    }

    fn machine(&self, handle: Handle, needed: Rights) -> Result<()> {
        let (_, object, rights) = self.capability(handle)?;
        match object {
            ObjectRef::Machine if rights.contains(needed) => Ok(()),
            ObjectRef::Machine => Err(Error::MissingRight),
            _ => Err(Error::WrongObject),
        }
    }

    /// What `map` and its kin may work on: a space or a subtree.
    fn map_owner(&self, handle: Handle, needed: Rights) -> Result<MapOwner> {
        let (_, object, rights) = self.capability(handle)?;
        let owner = match object {
            ObjectRef::Space(id) => MapOwner::Space(id),
            ObjectRef::Subtree(id) => MapOwner::Subtree(id),
            _ => return Err(Error::WrongObject),
        };
        if rights.contains(needed) { Ok(owner) } else { Err(Error::MissingRight) }
    }

    /// The CPU with this number, if it runs.
    fn running_cpu(&self, cpu: u64) -> Result<usize> {
        usize::try_from(cpu).ok().filter(|cpu| *cpu < self.kernel.cpus()).ok_or(Error::BadArgument)
    }

    /// Checks what every call that makes an object needs: a free slot and room on the kernel heap.
    fn ensure_can_create(&mut self, heap_pages: u64) -> Result<()> {
        self.kernel.tables[self.table].ensure_slot()?;
        self.kernel.ensure_heap(heap_pages)
    }

    fn write<T: tessera_abi::layout::Words>(&mut self, address: u64, value: &T) -> Result<()> {
        user_memory::write_structure(self.kernel, self.space, address, value)
    }

    /// Reads a text argument into `buffer`.
    fn text<'b>(&mut self, address: u64, length_bytes: u64, buffer: &'b mut [u8]) -> Result<&'b str> {
        if length_bytes > buffer.len() as u64 {
            return Err(Error::BadText);
        }
        let buffer = &mut buffer[..length_bytes as usize];
        UserSlice::new(self.space, address, length_bytes)?.read(self.kernel, buffer)?;
        core::str::from_utf8(buffer).map_err(|_| Error::BadText)
    }

    fn console_write(&mut self, address: u64, length_bytes: u64) -> Result<u64> {
        let mut buffer = [0; 4096];
        let text = self.text(address, length_bytes, &mut buffer)?;
        crate::log::program_text(text);
        Ok(0)
    }

    fn derive_into(
        &mut self,
        parent: (CapId, ObjectRef, Rights),
        table: Id<CapTable>,
        rights: Rights,
        badge: u64,
    ) -> Result<u64> {
        let (parent, object, held) = parent;
        if !held.contains(rights) {
            return Err(Error::MissingRight);
        }
        self.kernel.tables[table].ensure_slot()?;
        self.kernel.retain(object);
        let child = derivation::insert_child(&mut self.kernel.tables, parent, table, object, rights, badge);
        Ok(self.kernel.tables[table].handle_of(child.slot).bits())
    }
}

macro_rules! lookups {
    ($($function:ident $kind:ident $object:ty;)*) => {
        impl Caller<'_> {
            $(
                #[doc = concat!("The ", stringify!($kind), " that a handle names, if it carries the rights.")]
                fn $function(&self, handle: Handle, needed: Rights) -> Result<Id<$object>> {
                    let (_, object, rights) = self.capability(handle)?;
                    let ObjectRef::$kind(id) = object else { return Err(Error::WrongObject) };
                    debug_assert_eq!(object.kind(), ObjectKind::$kind);
                    if rights.contains(needed) { Ok(id) } else { Err(Error::MissingRight) }
                }
            )*
        }
    };
}

lookups! {
    account Account Account;
    space Space Space;
    subtree Subtree Subtree;
    thread Thread Thread;
    cap_table CapTable CapTable;
}
