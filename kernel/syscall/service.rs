//! From each call to the function that serves it, in the file of the object that it works on.

use tessera_abi::syscall::Service;
use tessera_abi::{Handle, Rights};

use super::{Caller, Outcome, Result};

impl Service for Caller<'_> {
    type Outcome = Outcome;

    fn null(&mut self) -> Result<Outcome> {
        Ok(Outcome::Done(0))
    }

    fn space_switch(&mut self, space: Handle) -> Result<Outcome> {
        Caller::space_switch(self, space).map(Outcome::Done)
    }

    fn space_jump(
        &mut self,
        space: Handle,
        instruction_pointer: u64,
        stack_pointer: u64,
        argument: u64,
    ) -> Result<Outcome> {
        Caller::space_jump(self, space, instruction_pointer, stack_pointer, argument)
    }

    fn yield_now(&mut self) -> Result<Outcome> {
        Caller::yield_now(self)
    }

    fn sleep(&mut self, nanoseconds: u64) -> Result<Outcome> {
        Caller::sleep(self, nanoseconds)
    }

    fn clock(&mut self) -> Result<Outcome> {
        Ok(Outcome::Done(tessera_arch::now_ns()))
    }

    fn console_write(&mut self, text: u64, length_bytes: u64) -> Result<Outcome> {
        Caller::console_write(self, text, length_bytes)
    }

    fn thread_create(&mut self, account: Handle, table: Handle, space: Handle, priority: u64) -> Result<Outcome> {
        Caller::thread_create(self, account, table, space, priority).map(Outcome::Done)
    }

    fn thread_start(
        &mut self,
        thread: Handle,
        instruction_pointer: u64,
        stack_pointer: u64,
        argument: u64,
    ) -> Result<Outcome> {
        Caller::thread_start(self, thread, instruction_pointer, stack_pointer, argument).map(Outcome::Done)
    }

    fn thread_exit(&mut self, code: u64) -> Result<Outcome> {
        Caller::thread_exit(self, code)
    }

    fn thread_join(&mut self, thread: Handle) -> Result<Outcome> {
        Caller::thread_join(self, thread)
    }

    fn thread_info(&mut self, thread: Handle, buffer: u64) -> Result<Outcome> {
        Caller::thread_info(self, thread, buffer).map(Outcome::Done)
    }

    fn thread_stop(&mut self, thread: Handle) -> Result<Outcome> {
        Caller::thread_stop(self, thread).map(Outcome::Done)
    }

    fn thread_set_priority(&mut self, thread: Handle, priority: u64) -> Result<Outcome> {
        Caller::thread_set_priority(self, thread, priority).map(Outcome::Done)
    }

    fn thread_set_pointer(&mut self, value: u64) -> Result<Outcome> {
        Caller::thread_set_pointer(self, value).map(Outcome::Done)
    }

    fn thread_set_fallback(&mut self, space: Handle, instruction_pointer: u64, stack_pointer: u64) -> Result<Outcome> {
        Caller::thread_set_fallback(self, space, instruction_pointer, stack_pointer).map(Outcome::Done)
    }

    fn account_create(&mut self, account: Handle, bytes: u64) -> Result<Outcome> {
        Caller::account_create(self, account, bytes).map(Outcome::Done)
    }

    fn account_info(&mut self, account: Handle, buffer: u64) -> Result<Outcome> {
        Caller::account_info(self, account, buffer).map(Outcome::Done)
    }

    fn capability_derive(&mut self, handle: Handle, rights: Rights, badge: u64) -> Result<Outcome> {
        Caller::capability_derive(self, handle, rights, badge).map(Outcome::Done)
    }

    fn capability_copy(&mut self, handle: Handle, table: Handle, rights: Rights, badge: u64) -> Result<Outcome> {
        Caller::capability_copy(self, handle, table, rights, badge).map(Outcome::Done)
    }

    fn capability_delete(&mut self, handle: Handle) -> Result<Outcome> {
        Caller::capability_delete(self, handle).map(Outcome::Done)
    }

    fn capability_info(&mut self, handle: Handle, buffer: u64) -> Result<Outcome> {
        Caller::capability_info(self, handle, buffer).map(Outcome::Done)
    }

    fn object_set_name(&mut self, handle: Handle, text: u64, length_bytes: u64) -> Result<Outcome> {
        Caller::object_set_name(self, handle, text, length_bytes).map(Outcome::Done)
    }

    fn table_create(&mut self, account: Handle, slots: u64) -> Result<Outcome> {
        Caller::table_create(self, account, slots).map(Outcome::Done)
    }

    fn segment_create(&mut self, account: Handle, length_bytes: u64, flags: u64) -> Result<Outcome> {
        Caller::segment_create(self, account, length_bytes, flags).map(Outcome::Done)
    }

    fn segment_info(&mut self, segment: Handle, buffer: u64) -> Result<Outcome> {
        Caller::segment_info(self, segment, buffer).map(Outcome::Done)
    }

    fn space_create(&mut self, account: Handle) -> Result<Outcome> {
        Caller::space_create(self, account).map(Outcome::Done)
    }

    fn space_info(&mut self, space: Handle, buffer: u64) -> Result<Outcome> {
        Caller::space_info(self, space, buffer).map(Outcome::Done)
    }

    fn mappings_list(&mut self, target: Handle, from: u64, buffer: u64, capacity: u64) -> Result<Outcome> {
        Caller::mappings_list(self, target, from, buffer, capacity).map(Outcome::Done)
    }

    fn subtree_create(&mut self, account: Handle, level: u64) -> Result<Outcome> {
        Caller::subtree_create(self, account, level).map(Outcome::Done)
    }

    fn subtree_info(&mut self, subtree: Handle, buffer: u64) -> Result<Outcome> {
        Caller::subtree_info(self, subtree, buffer).map(Outcome::Done)
    }

    fn subtree_attach(
        &mut self,
        target: Handle,
        subtree: Handle,
        address: u64,
        bounds: Rights,
        flags: u64,
    ) -> Result<Outcome> {
        Caller::subtree_attach(self, target, subtree, address, bounds, flags).map(Outcome::Done)
    }

    fn subtree_detach(&mut self, target: Handle, address: u64) -> Result<Outcome> {
        Caller::subtree_detach(self, target, address).map(Outcome::Done)
    }

    fn map(
        &mut self,
        target: Handle,
        segment: Handle,
        offset: u64,
        address: u64,
        length_bytes: u64,
        rights: Rights,
    ) -> Result<Outcome> {
        Caller::map(self, target, segment, offset, address, length_bytes, rights).map(Outcome::Done)
    }

    fn unmap(&mut self, target: Handle, address: u64, length_bytes: u64) -> Result<Outcome> {
        Caller::unmap(self, target, address, length_bytes).map(Outcome::Done)
    }

    fn protect(&mut self, target: Handle, address: u64, length_bytes: u64, rights: Rights) -> Result<Outcome> {
        Caller::protect(self, target, address, length_bytes, rights).map(Outcome::Done)
    }

    fn memory_read(&mut self, space: Handle, address: u64, buffer: u64, length_bytes: u64) -> Result<Outcome> {
        Caller::memory_read(self, space, address, buffer, length_bytes).map(Outcome::Done)
    }

    fn memory_write(&mut self, space: Handle, address: u64, buffer: u64, length_bytes: u64) -> Result<Outcome> {
        Caller::memory_write(self, space, address, buffer, length_bytes).map(Outcome::Done)
    }

    fn counters(&mut self, cpu: u64, buffer: u64) -> Result<Outcome> {
        Caller::counters(self, cpu, buffer).map(Outcome::Done)
    }

    fn machine_power_off(&mut self, machine: Handle, code: u64) -> Result<Outcome> {
        Caller::machine_power_off(self, machine, code).map(Outcome::Done)
    }

    fn machine_check(&mut self, machine: Handle) -> Result<Outcome> {
        Caller::machine_check(self, machine).map(Outcome::Done)
    }

    fn machine_provoke(&mut self, machine: Handle, what: u64) -> Result<Outcome> {
        Caller::machine_provoke(self, machine, what).map(Outcome::Done)
    }

    fn machine_info(&mut self, machine: Handle, buffer: u64) -> Result<Outcome> {
        Caller::machine_info(self, machine, buffer).map(Outcome::Done)
    }

    fn thread_set_affinity(&mut self, thread: Handle, cpus: u64) -> Result<Outcome> {
        Caller::thread_set_affinity(self, thread, cpus).map(Outcome::Done)
    }

    fn space_create_local(&mut self, account: Handle, cpu: u64) -> Result<Outcome> {
        Caller::space_create_local(self, account, cpu).map(Outcome::Done)
    }

    fn subtree_attach_core(
        &mut self,
        space: Handle,
        subtree: Handle,
        address: u64,
        bounds: Rights,
        cpu: u64,
    ) -> Result<Outcome> {
        Caller::subtree_attach_core(self, space, subtree, address, bounds, cpu).map(Outcome::Done)
    }

    fn subtree_detach_core(&mut self, space: Handle, address: u64, cpu: u64) -> Result<Outcome> {
        Caller::subtree_detach_core(self, space, address, cpu).map(Outcome::Done)
    }

    fn table_stop_threads(&mut self, table: Handle) -> Result<Outcome> {
        Caller::table_stop_threads(self, table).map(Outcome::Done)
    }

    fn subtree_seal(&mut self, subtree: Handle) -> Result<Outcome> {
        Caller::subtree_seal(self, subtree).map(Outcome::Done)
    }

    fn subtree_withdraw(&mut self, subtree: Handle) -> Result<Outcome> {
        Caller::subtree_withdraw(self, subtree).map(Outcome::Done)
    }

    fn subtree_publish(&mut self, machine: Handle, subtree: Handle, address: u64, bounds: Rights) -> Result<Outcome> {
        Caller::subtree_publish(self, machine, subtree, address, bounds).map(Outcome::Done)
    }

    fn view_create(&mut self, account: Handle, space: Handle, bounds: Rights) -> Result<Outcome> {
        Caller::view_create(self, account, space, bounds).map(Outcome::Done)
    }
}
