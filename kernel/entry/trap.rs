//! What happens when a thread comes into the kernel.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, Ordering};

use tessera_abi::guest::{GuestEnd, GuestException, OWN_NUMBER};
use tessera_abi::layout::{FallbackReason, Name, ThreadState};
use tessera_abi::{Error, Rights};
use tessera_arch::{Access, CallResult, Fault, FaultKind, Interrupt, Trap};

use crate::base::effort::Effort;
use crate::base::log::{Word, log};
use crate::lifecycle::reap;
use crate::object::doomed::Debt;
use crate::object::guest::Came;
use crate::object::id::ThreadId;
use crate::object::thread::Pending;
use crate::sched::ending;
use crate::sched::guests;
use crate::sched::running::{self, Next};
use crate::sched::turn;
use crate::state::kernel::Kernel;
use crate::syscall::HANDLERS;
use crate::vm::fault::{self, AccessError};

/// About how long a line about a fault is.
const FAULT_LINE_BYTES: u64 = 256;

/// Chooses who goes on when the kernel is left, and sees to the fault that it was taken off its CPU with. Gives whether
/// there is anyone.
pub fn schedule(kernel: &mut Kernel, cpu: usize) -> bool {
    loop {
        match running::schedule(kernel, cpu) {
            // What it owes, it sees to before it leaves the kernel.
            Next::Owes(debt) => {
                owe_still(kernel, cpu, debt);
                return true;
            }
            Next::Runs => return true,
            Next::Nothing => return false,
            Next::Faults(fault) => handle(kernel, cpu, Trap::Fault(fault)),
        }
    }
}

/// The CPU's thread, which was just chosen to run, owes something still.
pub(crate) fn owe_still(kernel: &mut Kernel, cpu: usize, debt: Debt) {
    if let Some(id) = running::current(kernel, cpu) {
        kernel.threads[id].pending = Some(Box::new(Pending::Debt(debt)));
        kernel.scheduler.cpus[cpu].need_resched.set(false);
    }
}

/// Sees to a trap of the CPU's current thread.
pub fn handle(kernel: &mut Kernel, cpu: usize, trap: Trap) {
    match trap {
        Trap::Call => {
            if call(kernel, cpu) {
                return finish_step(kernel, cpu);
            }
        }
        Trap::GuestCall => guest_call(kernel, cpu),
        Trap::Fault(what) => fault(kernel, cpu, what),
        // Without the thread's turn, no interrupt need ever come: waiting is yielding.
        Trap::Wait => wait(kernel, cpu),
        Trap::Interrupt(what) => interrupt(kernel, cpu, what),
    }
    finish(kernel);
}

/// What may have to be done after anything that changed objects.
#[inline(always)]
pub fn finish(kernel: &mut Kernel) {
    reap::reap(kernel);
    kernel.top_up_heap();
}

/// The same after a step of a long call, which has had the entry's effort: what is doomed is left to the next entry.
#[cold]
#[inline(never)]
fn finish_step(kernel: &mut Kernel, cpu: usize) {
    kernel.scheduler.cpus[cpu].spent_units = u32::MAX;
    finish(kernel);
    kernel.scheduler.cpus[cpu].spent_units = 0;
}

/// Sees to an interrupt, of a running thread or of an idle CPU.
pub fn interrupt(kernel: &mut Kernel, cpu: usize, interrupt: Interrupt) {
    match interrupt {
        Interrupt::Timer => {
            running::tick(kernel, cpu);
            guests::end_overdue(kernel, cpu);
        }
        Interrupt::Reschedule | Interrupt::Shootdown => {}
        Interrupt::Spurious => kernel.shared.cpus[cpu].counters.spurious_interrupts.add(1),
    }
    let unexplained = tessera_arch::take_unexplained_interrupts();
    if unexplained != 0 {
        note_unexplained(kernel, cpu, unexplained);
    }
}

/// Counts interrupts that cannot be masked and have no known cause, and tells of the first.
fn note_unexplained(kernel: &Kernel, cpu: usize, count: u64) {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    kernel.shared.cpus[cpu].counters.spurious_interrupts.add(count);
    if !IS_TOLD.swap(true, Ordering::Relaxed) {
        log!(
            kernel.shared.console,
            "CPU {cpu} had an interrupt that cannot be masked, for no known cause; further ones are only counted"
        );
    }
}

/// Serves a call; gives whether that was a step of it, which is to be made again.
fn call(kernel: &mut Kernel, cpu: usize) -> bool {
    // A step that was done before the registers were saved is not followed by a second one.
    let is_again = core::mem::take(&mut kernel.scheduler.cpus[cpu].is_again);
    // None if another CPU made this one let the thread go meanwhile, which will make the call anew.
    let Some(id) = running::current(kernel, cpu) else { return is_again };
    if !is_again {
        serve(kernel, cpu, id);
    }
    let is_step = is_again || core::mem::take(&mut kernel.scheduler.cpus[cpu].is_again);
    if is_step {
        // What is pending is served in user mode, before the instruction that makes the call again.
        tessera_arch::restart_call();
    }
    is_step
}

fn serve(kernel: &mut Kernel, cpu: usize, id: ThreadId) {
    let line = &kernel.shared.cpus[cpu];
    line.counters.system_calls.add(1);
    let registers = kernel.threads[id].context.registers();
    let (number, words) = (registers.call_number(), registers.call_arguments());
    let bad_call = CallResult { status: Error::BadCall.status(), value: 0 };
    let result = HANDLERS.get(number as usize).map_or(bad_call, |handler| handler(kernel, line, &words));
    if result != CallResult::COMMON {
        kernel.threads[id].context.registers_mut().set_result(result.status, result.value);
    }
}

fn fault(kernel: &mut Kernel, cpu: usize, fault: Fault) {
    // None likewise; the thread has kept the fault.
    let Some(id) = running::current(kernel, cpu) else { return };
    kernel.shared.cpus[cpu].counters.faults.add(1);
    let mut denial = None;
    if fault.kind == FaultKind::Page {
        denial = fault::handle_fault(kernel, running::space_of(kernel, id), fault.address, fault.access).err();
        if denial.is_none() {
            return;
        }
    }
    if guests::is_in_guest(&kernel.shared.cpus[cpu]) {
        return guests::leave(kernel, cpu, id, came_by(fault));
    }
    // A flood of faults waits for the line like a flood of text: the thread keeps its fault until its turn comes.
    if !turn::takes_turn(kernel, cpu, id, FAULT_LINE_BYTES) {
        kernel.threads[id].pending = Some(Box::new(Pending::Fault(fault)));
        return;
    }
    match denial {
        Some(denial) => report(kernel, id, fault, format_args!("{}", Missing(denial, fault.access))),
        None => report(kernel, id, fault, format_args!("{}", describe_kind(fault.kind))),
    }
    if kernel.threads[id].depth() != 0 {
        let (reason, mut effort) = (FallbackReason::SpaceDestroyed, Effort::of_entry());
        return ending::unwind(kernel, id, Error::Faulted, reason, &mut effort);
    }
    ending::end_thread(kernel, id, ThreadState::Faulted);
}

/// The calling CPU's thread waits for an interrupt; a guest's supervisor is told.
fn wait(kernel: &mut Kernel, cpu: usize) {
    let line = &kernel.shared.cpus[cpu];
    match running::current(kernel, cpu).filter(|_| guests::is_in_guest(line)) {
        None => running::requeue_current(kernel, cpu),
        Some(id) => {
            let words = [GuestException::Wait as u64, kernel.threads[id].context.registers().instruction_pointer(), 0];
            guests::leave(kernel, cpu, id, Came { end: GuestEnd::Exception, words });
        }
    }
}

/// A guest has made a system call: it comes out, unless another CPU made this one let the thread go meanwhile.
fn guest_call(kernel: &mut Kernel, cpu: usize) {
    let Some(id) = running::current(kernel, cpu) else { return };
    let number = kernel.threads[id].context.registers().call_number();
    guests::leave(kernel, cpu, id, Came { end: GuestEnd::Call, words: [number, 0, 0] });
}

/// What a guest's supervisor is told of a fault.
fn came_by(fault: Fault) -> Came {
    let access = match fault.access {
        Access::Read => 0,
        Access::Write => 1,
        Access::Execute => 2,
    };
    let (end, number) = match fault.kind {
        FaultKind::Page => (GuestEnd::Fault, 0),
        FaultKind::Instruction => (GuestEnd::Exception, GuestException::Instruction as u64),
        FaultKind::Address => (GuestEnd::Exception, GuestException::Address as u64),
        FaultKind::Arithmetic => (GuestEnd::Exception, GuestException::Arithmetic as u64),
        FaultKind::Breakpoint => (GuestEnd::Breakpoint, 0),
        FaultKind::Step => (GuestEnd::Step, 0),
        FaultKind::Other(number) => (GuestEnd::Exception, OWN_NUMBER | u64::from(number)),
    };
    Came { end, words: [number, fault.address.value(), access] }
}

fn report(kernel: &Kernel, id: ThreadId, fault: Fault, missing: core::fmt::Arguments<'_>) {
    let thread = &kernel.threads[id];
    let program = thread.table.map_or(Name::EMPTY, |table| kernel.tables[table].name);
    let access = match fault.access {
        Access::Read => "read",
        Access::Write => "write",
        Access::Execute => "execute",
    };
    log!(
        kernel.shared.console,
        "fault: program={} thread={} space={} address={:#x} access={access} ip={:#x} : {missing}",
        Word(program),
        Word(thread.name),
        Word(kernel.spaces[running::space_of(kernel, id)].name),
        fault.address.value(),
        thread.context.registers().instruction_pointer(),
    );
}

struct Missing(AccessError, Access);

impl core::fmt::Display for Missing {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let right = match self.1 {
            Access::Read => "read",
            Access::Write => "write",
            Access::Execute => "execute",
        };
        match self.0 {
            AccessError::NothingMapped => out.write_str("nothing is mapped there"),
            AccessError::MappingForbids(rights) => {
                write!(out, "the mapping lacks the right to {right}; it allows to {}", Allowed(rights))
            }
            AccessError::BoundsForbid(bounds) => write!(
                out,
                "the mapping would allow it, but the subtree is attached here without the right to {right}; its \
                 bounds allow to {}",
                Allowed(bounds)
            ),
            AccessError::ViewForbids(bounds) => write!(
                out,
                "the mapping would allow it, but the space is a view without the right to {right}; its bounds allow to \
                 {}",
                Allowed(bounds)
            ),
            AccessError::AccountExhausted => {
                out.write_str("the page gets its memory at first touch, and the account is exhausted")
            }
            AccessError::OutOfMemory => {
                out.write_str("the page gets its memory at first touch, and the machine has none left")
            }
        }
    }
}

struct Allowed(Rights);

impl core::fmt::Display for Allowed {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("read")?;
        if self.0.contains(Rights::WRITE) {
            out.write_str(", write")?;
        }
        if self.0.contains(Rights::EXECUTE) {
            out.write_str(", execute")?;
        }
        Ok(())
    }
}

fn describe_kind(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Page => "a page",
        FaultKind::Instruction => "the instruction does not exist or is not for user programs",
        FaultKind::Address => "the address is not one the instruction can use",
        FaultKind::Arithmetic => "the arithmetic has no result",
        FaultKind::Breakpoint => "a breakpoint, and no debugger to tell",
        FaultKind::Step => "a single step, and no debugger to tell",
        FaultKind::Other(_) => "an exception that means nothing to the kernel",
    }
}
