//! What happens when a thread comes into the kernel.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, Ordering};

use tessera_abi::guest::{GuestEnd, GuestException};
use tessera_abi::layout::{FallbackReason, Name, ThreadState};
use tessera_abi::{Error, Rights};
use tessera_arch::{Access, Fault, FaultKind, Interrupt, Trap};

use crate::base::effort::Effort;
use crate::base::log::{Word, log};
use crate::entry::calls::{self, Served};
use crate::lifecycle::reap;
use crate::object::doomed::Debt;
use crate::object::guest::Came;
use crate::object::id::{SubtreeId, ThreadId};
use crate::object::interrupted::Asked;
use crate::object::thread::{Asking, Pending};
use crate::sched::ending;
use crate::sched::guests;
use crate::sched::running::{self, Next};
use crate::sched::turn;
use crate::sched::upcall;
use crate::state::kernel::Kernel;
use crate::state::scheduler::Left;
use crate::vm::fault;
use crate::vm::showing::AccessError;

/// About how long a line about a fault is.
const FAULT_LINE_BYTES: u64 = 256;

/// Chooses who goes on when the kernel is left, and sees to the fault that it was taken off its CPU with. Gives whether
/// there is anyone. If that thread does not go on, whoever is next is chosen behind a break (`reap::has_to_go_on`): very many
/// may have waited for one handler.
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
            Next::Asks(pending) => {
                handle_pending(kernel, cpu, pending);
                if running::current(kernel, cpu).is_none() {
                    running::leave(kernel, cpu);
                    kernel.scheduler.cpus[cpu].needs_break = true;
                    return false;
                }
            }
        }
    }
}

/// Sees to what a thread came with that was just chosen to run.
pub(super) fn handle_pending(kernel: &mut Kernel, cpu: usize, pending: Pending) {
    match pending {
        Pending::Asks(Asking::Fault(what, asked)) => fault(kernel, cpu, what, asked),
        Pending::Served(gate, stack, asking) => {
            upcall::with_stack(kernel, (gate, stack), |kernel| handle_pending(kernel, cpu, Pending::Asks(asking)));
        }
        pending => calls::handle_pending(kernel, cpu, pending),
    }
    finish(kernel);
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
            let served = calls::call(kernel, cpu);
            return end_call(kernel, cpu, served);
        }
        Trap::GuestCall => {
            let served = guest_call(kernel, cpu);
            return end_call(kernel, cpu, served);
        }
        Trap::Fault(what) => fault(kernel, cpu, what, Asked::Nobody),
        // Without the thread's turn, no interrupt need ever come: waiting is yielding.
        Trap::Wait => wait(kernel, cpu),
        Trap::Interrupt(what) => interrupt(kernel, cpu, what),
    }
    finish(kernel);
}

/// What may have to be done after a call.
#[inline(always)]
pub(super) fn end_call(kernel: &mut Kernel, cpu: usize, served: Served) {
    if is_step(kernel, cpu, served) { finish_step(kernel, cpu) } else { finish(kernel) }
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

/// Whether a call was a step of one, when what it has left to be done is done.
#[inline(always)]
fn is_step(kernel: &mut Kernel, cpu: usize, served: Served) -> bool {
    match served {
        Served::Done => false,
        Served::Step => true,
        Served::Left => see_to_left(kernel, cpu),
    }
}

/// Does what the answer of a handler has left to be done; gives whether that was a step of a call.
#[cold]
#[inline(never)]
fn see_to_left(kernel: &mut Kernel, cpu: usize) -> bool {
    match core::mem::take(&mut kernel.scheduler.cpus[cpu].left) {
        Left::Nothing => {}
        Left::Fault(what, asked) => fault(kernel, cpu, what, asked),
        Left::Call => return calls::make(kernel, cpu) == Served::Step,
    }
    false
}

fn fault(kernel: &mut Kernel, cpu: usize, fault: Fault, asked: Asked) {
    // None likewise; the thread has kept the fault.
    let Some(id) = running::current(kernel, cpu) else { return };
    kernel.shared.cpus[cpu].counters.faults.add(u64::from(asked == Asked::Nobody));
    let mut denial = None;
    if fault.kind == FaultKind::Page {
        denial = fault::handle_fault(kernel, running::space_here(kernel, cpu, id), fault.address, fault.access).err();
        if denial.is_none() {
            return;
        }
    }
    let within = if kernel.subtree_handlers == 0 { None } else { subtree_of(kernel, id, &fault) };
    if upcall::ask(kernel, cpu, id, fault, (within, asked)) {
        return;
    }
    if guests::is_in_guest(&kernel.shared.cpus[cpu]) {
        return guests::leave(kernel, cpu, id, came_by(fault));
    }
    // A flood of faults waits for the line like a flood of text: the thread keeps its fault until its turn comes.
    if !turn::takes_turn(kernel, cpu, id, FAULT_LINE_BYTES) {
        kernel.threads[id].pending = Some(Box::new(Pending::Asks(Asking::Fault(fault, Asked::Thread))));
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

/// The subtree in which the address of a fault lies, and where there.
#[cold]
#[inline(never)]
fn subtree_of(kernel: &Kernel, id: ThreadId, fault: &Fault) -> Option<(SubtreeId, u64)> {
    let is_page = fault.kind == FaultKind::Page && fault.address.is_user();
    is_page.then(|| fault::subtree_at(kernel, running::space_of(kernel, id), fault.address)).flatten()
}

/// The calling CPU's thread waits for an interrupt; a guest's supervisor is told.
fn wait(kernel: &mut Kernel, cpu: usize) {
    let line = &kernel.shared.cpus[cpu];
    match running::current(kernel, cpu).filter(|_| guests::is_in_guest(line)) {
        None => running::requeue_current(kernel, cpu),
        Some(id) => {
            let words = [GuestException::Wait as u64, guests::registers(kernel, cpu, id).instruction_pointer(), 0];
            guests::leave(kernel, cpu, id, Came { end: GuestEnd::Exception, words });
        }
    }
}

/// A guest has made a system call: it comes out, unless another CPU made this one let the thread go meanwhile. Or a thread that has a
/// handler has.
fn guest_call(kernel: &mut Kernel, cpu: usize) -> Served {
    let Some(id) = running::current(kernel, cpu) else { return Served::Done };
    let line = &kernel.shared.cpus[cpu];
    if !guests::is_in_guest(line) {
        return calls::handle(kernel, cpu, id);
    }
    let number = guests::registers(kernel, cpu, id).call_number();
    guests::leave(kernel, cpu, id, Came { end: GuestEnd::Call, words: [number, 0, 0] });
    Served::Done
}

/// What a guest's supervisor is told of a fault.
fn came_by(fault: Fault) -> Came {
    let (end, words) = upcall::told_of_fault(&fault);
    Came { end, words }
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
