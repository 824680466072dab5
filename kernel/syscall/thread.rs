//! Calls on threads.

use alloc::boxed::Box;

use tessera_abi::layout::{FallbackReason, ThreadInfo, ThreadState};
use tessera_abi::{Error, Handle, ObjectKind, PRIORITY_MAX, Rights};
use tessera_arch::VirtAddr;

use super::space::ensure_entry;
use super::{Caller, Outcome, Result};
use crate::base::cpu_set;
use crate::base::effort::Effort;
use crate::object::derivation;
use crate::object::id::{CapId, ObjectRef, ThreadId};
use crate::object::thread::{CONTEXT_BYTES, Fallback, Thread};
use crate::object::use_pool::{Use, UseKind};
use crate::sched::{ending, inside, locks, preference, ready, running, waits};
use crate::state::kernel::Kernel;
use crate::state::memory::reserve_heap;

/// The most threads that may wait for each other in a row behind the one that is joined.
const JOIN_CHAIN_MAX: usize = 1024;

impl Caller<'_> {
    pub(super) fn thread_create(
        &mut self,
        account: Handle,
        table: Handle,
        space: Handle,
        priority: u64,
    ) -> Result<u64> {
        let payer_number = self.number_of(account, ObjectKind::Account, Rights::CHARGE)?;
        // Who runs a thread with a table has all that it holds; putting something in is less.
        let table = self.cap_table(table, Rights::CONTROL)?;
        let own = self.table();
        let by = CapId::at(own, space.slot());
        let space = self.space(space, Rights::SWITCH)?;
        locks::ensure_none(self.kernel, space)?;
        let priority = self.allowed_priority(priority)?;
        let Kernel { accounts, tables, threads, frames, .. } = &mut *self.kernel;
        threads.ensure_room()?;
        let mut payer = accounts.open(payer_number).ok_or(Error::BadHandle)?;
        tables.at(own).ensure_slot()?;
        reserve_heap(frames, 4)?;
        payer.try_charge_object::<Thread>(CONTEXT_BYTES)?;
        let mut thread = Box::new(Thread::new(payer.id, table, space, priority));
        thread.set_cpu(self.cpu);
        let id = ending::add_paid_thread(self.kernel, thread, Some(by));
        let paid = (Rights::all(), Some(payer_number));
        Ok(self.kernel.insert_paid(own, ObjectRef::Thread(id), paid).bits())
    }

    pub(super) fn thread_start(&mut self, thread: Handle, ip: u64, sp: u64, argument: u64) -> Result<u64> {
        let id = self.thread(thread, Rights::REGISTERS)?;
        ensure_entry(ip, sp)?;
        if self.kernel.threads[id].state != ThreadState::Created {
            return Err(Error::BadState);
        }
        self.kernel.threads[id].context.registers_mut().set_entry(ip, sp, [argument, 0]);
        ending::start_thread(self.kernel, id);
        Ok(0)
    }

    pub(super) fn yield_now(&mut self) -> Result<u64> {
        running::end_turn(self.kernel, self.cpu);
        Ok(0)
    }

    pub(super) fn sleep(&mut self, nanoseconds: u64) -> Result<Outcome> {
        ready::finish_call(self.kernel, self.thread, Ok(0));
        running::stop_current(self.kernel, self.cpu);
        let wake_ns = tessera_arch::now_ns().saturating_add(nanoseconds);
        self.kernel.scheduler.add_sleeper(&mut self.kernel.threads, self.thread, wake_ns);
        Ok(Outcome::Unfinished)
    }

    pub(super) fn thread_exit(&mut self, code: u64) -> Result<Outcome> {
        if self.kernel.threads[self.thread].depth() != 0 {
            // It is not this program's thread: who called sees that nothing came of it.
            let (reason, mut effort) = (FallbackReason::SpaceDestroyed, Effort::of_entry());
            ending::unwind(self.kernel, self.thread, Error::Faulted, reason, &mut effort);
            return Ok(Outcome::Unfinished);
        }
        self.kernel.threads[self.thread].set_exit_code(code);
        ending::end_thread(self.kernel, self.thread, ThreadState::Exited);
        Ok(Outcome::Unfinished)
    }

    pub(super) fn thread_join(&mut self, thread: Handle) -> Result<Outcome> {
        let target = self.thread(thread, Rights::WAIT)?;
        self.ensure_end_of_waiting(target)?;
        if locks::may_hold(self.kernel, self.thread) && waits::is_waiting_for(self.kernel, target, self.thread) {
            return Err(Error::Deadlock);
        }
        if self.kernel.threads[target].has_ended() {
            return ending::join_result(self.kernel, target).map(Outcome::Done);
        }
        running::stop_current(self.kernel, self.cpu);
        ending::join(self.kernel, self.thread, target);
        Ok(Outcome::Unfinished)
    }

    pub(super) fn thread_info(&mut self, thread: Handle, buffer: u64) -> Result<u64> {
        let id = self.thread(thread, Rights::CONTROL)?;
        let thread = &self.kernel.threads[id];
        // The registers of a thread that runs on another CPU are there, not here.
        let elsewhere = thread.cpu() != self.cpu && running::current(self.kernel, thread.cpu()) == Some(id);
        let registers = (!elsewhere).then(|| thread.context.registers());
        let info = ThreadInfo {
            state: thread.state as u64,
            priority: u64::from(thread.priority),
            space: u64::from(running::space_of(self.kernel, id).index()),
            exit_code: thread.exit_code(),
            cpu: thread.cpu() as u64,
            affinity: thread.affinity & cpu_set::first(self.kernel.cpus()),
            instruction_pointer: registers.map_or(0, |registers| registers.instruction_pointer()),
            stack_pointer: registers.map_or(0, |registers| registers.stack_pointer()),
            calls: thread.depth() as u64,
        };
        self.write(buffer, &info).map(|()| 0)
    }

    pub(super) fn thread_stop(&mut self, thread: Handle) -> Result<u64> {
        let id = self.thread(thread, Rights::CONTROL)?;
        ending::stop_thread(self.kernel, id, &mut Effort::of_entry());
        Ok(0)
    }

    pub(super) fn thread_set_priority(&mut self, thread: Handle, priority: u64) -> Result<u64> {
        let id = self.thread(thread, Rights::CONTROL)?;
        let priority = self.allowed_priority(priority)?;
        let old = preference::set_priority(self.kernel, id, priority);
        Ok(u64::from(old))
    }

    pub(super) fn thread_set_affinity(&mut self, thread: Handle, cpus: u64) -> Result<u64> {
        let id = self.thread(thread, Rights::CONTROL)?;
        let affinity = cpus & cpu_set::first(self.kernel.cpus());
        if affinity == 0 {
            return Err(Error::BadArgument);
        }
        // A thread that has ended is in no space any more: the one with that number may be another.
        if !self.kernel.threads[id].has_ended() {
            let space = running::space_of(self.kernel, id);
            let only_cpu = self.kernel.shared.space_words(space.index()).only_cpu();
            if only_cpu.is_some_and(|only| affinity & (1 << only) == 0) {
                return Err(Error::WrongCpu);
            }
        }
        preference::set_affinity(self.kernel, id, affinity);
        Ok(0)
    }

    pub(super) fn thread_set_pointer(&mut self, value: u64) -> Result<u64> {
        if value != 0 && !VirtAddr::new(value).is_user() {
            return Err(Error::BadAddress);
        }
        let registers = self.kernel.threads[self.thread].context.registers_mut();
        let before = registers.thread_pointer();
        registers.set_thread_pointer(value);
        Ok(before)
    }

    pub(super) fn thread_set_fallback(&mut self, space: Handle, ip: u64, sp: u64) -> Result<u64> {
        if space == Handle::NONE {
            inside::set_fallback(self.kernel, self.thread, None);
            return Ok(0);
        }
        let through = CapId::at(self.table(), space.slot());
        let space = self.space(space, Rights::SWITCH)?;
        ensure_entry(ip, sp)?;
        let use_of_space = Use::of_number(UseKind::Fallback, self.thread.index());
        let is_noted = inside::is_noted(self.kernel, through, space);
        let before = self.kernel.threads.at(self.thread.index()).fallback.and_then(|before| before.lent);
        // Mostly it is the same space by the same capability.
        if let Some(lent) = before.filter(|lent| {
            is_noted && derivation::is_right_behind(&self.kernel.tables, &self.kernel.uses, *lent, through)
        }) {
            let fallback = Fallback { space, instruction_pointer: ip, stack_pointer: sp, lent: Some(lent) };
            self.kernel.threads.at_mut(self.thread.index()).fallback = Some(fallback);
            return Ok(0);
        }
        let lent = is_noted.then(|| self.kernel.lend(through, use_of_space));
        let fallback = Fallback { space, instruction_pointer: ip, stack_pointer: sp, lent };
        inside::set_fallback(self.kernel, self.thread, Some(fallback));
        Ok(0)
    }

    fn allowed_priority(&self, priority: u64) -> Result<u8> {
        let own = self.kernel.threads.at(self.thread.index()).priority;
        u8::try_from(priority).ok().filter(|priority| *priority <= own.min(PRIORITY_MAX)).ok_or(Error::BadArgument)
    }

    /// Checks that the caller is not among the threads that `target` waits for, directly or through others.
    fn ensure_end_of_waiting(&self, target: ThreadId) -> Result<()> {
        let mut at = Some(target.index());
        for _ in 0..JOIN_CHAIN_MAX {
            let Some(number) = at else { return Ok(()) };
            if number == self.thread.index() {
                return Err(Error::Deadlock);
            }
            // Who is waited for is there.
            at = self.kernel.threads.at(number).joining();
        }
        if at.is_none() { Ok(()) } else { Err(Error::LimitReached) }
    }
}
