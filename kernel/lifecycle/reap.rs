//! What goes when nothing refers to it any more, by steps.
//!
//! What is doomed is a debt of the thread whose call doomed it: the thread does not go back to its program before it is
//! taken apart, so that accounts are whole when the call returns. A step is what one entry's effort goes for. Between two
//! the CPU gives the kernel's lock up, takes the interrupts that are pending, and runs whoever is more urgent; the thread
//! goes on when its turn has come again (`go_on` in `kernel/entry/upcalls.rs`). A debt whose thread has ended is worked off
//! by CPUs that have nothing to run, and by a step at each entry of anybody.
//!
//! What is doomed last goes first, and what taking an object apart dooms goes after it: lists in front of which objects are
//! put, so that the kernel stack stays flat however long the chain.

use alloc::boxed::Box;

use tessera_abi::ObjectKind;
use tessera_abi::layout::ThreadState;

use crate::base::effort::Effort;
use crate::lifecycle::destroy::End;
use crate::object::account::Account;
use crate::object::cap_table::CapTable;
use crate::object::charge_chain;
use crate::object::derivation;
use crate::object::doomed::Debt;
use crate::object::gate::Gate;
use crate::object::guest::Guest;
use crate::object::id::{ThreadId, with_kinds};
use crate::object::segment::Segment;
use crate::object::space::Space;
use crate::object::subtree::Subtree;
use crate::object::thread::{Pending, Thread};
use crate::sched::{inside, running};
use crate::state::kernel::Kernel;

/// Effort of taking an object apart, besides what depends on what it holds.
const OBJECT_UNITS: u32 = 60;

/// Takes apart what the calling CPU's last thread has doomed, and what nobody owes, as far as one entry goes. Who has to go
/// on with it then, owes it.
#[inline(always)]
pub fn reap(kernel: &mut Kernel) {
    if is_any_doomed(kernel) {
        let run_queue = &mut kernel.scheduler.cpus[tessera_arch::cpu_index()];
        let (owner, mut effort) = (run_queue.caller, Effort::of_entry());
        effort.spend(core::mem::take(&mut run_queue.spent_units));
        reap_as(kernel, Some(owner), effort);
    }
}

/// The same in a call of the thread that is current on a CPU, whose registers are not saved: the first object that cannot
/// go without them is left, with all behind it. Gives whether anything is.
#[inline(always)]
pub fn reap_without_registers(kernel: &mut Kernel, cpu: usize) -> bool {
    let mut effort = Effort::of_entry();
    work(kernel, Some(cpu), &mut effort);
    if !is_any_doomed(kernel) {
        kernel.heir = None;
        return false;
    }
    let is_left = kernel.debts.is_owed();
    if is_left {
        let owner = kernel.scheduler.cpus[cpu].caller;
        settle(kernel, Some(owner));
    }
    kernel.heir = None;
    if !kernel.unowed.is_none() {
        work_unowed(kernel, Some(cpu), &mut effort);
    }
    // What is left then has what is left of the effort when the registers are saved.
    kernel.scheduler.cpus[cpu].spent_units = if is_any_doomed(kernel) { effort.spent() } else { 0 };
    is_left
}

/// Whether there may be anything to be taken apart. After most traps there is nothing, and each pays for this look.
#[inline(always)]
pub fn is_any_doomed(kernel: &Kernel) -> bool {
    kernel.debts.is_any()
}

/// Whether a CPU has to go on taking apart before it does anything else: its thread owes something, or it has none, and
/// somebody's debt is owed by nobody; or only has to take interrupts, and give the lock up, before it chooses a thread.
pub fn has_to_go_on(kernel: &Kernel, cpu: usize) -> bool {
    match running::current(kernel, cpu) {
        Some(id) => !kernel.threads[id].debt().is_none(),
        None => !kernel.unowed.is_none() || kernel.scheduler.cpus[cpu].needs_break,
    }
}

/// The next step of a CPU that has to go on, if that is still so: it has had no lock meanwhile.
pub fn go_on(kernel: &mut Kernel, cpu: usize) {
    kernel.scheduler.cpus[cpu].needs_break = false;
    let owner = running::current(kernel, cpu);
    if let Some(id) = owner {
        let debt = kernel.threads[id].take_debt();
        kernel.debts.put(debt);
    }
    reap_as(kernel, owner, Effort::of_entry());
    kernel.top_up_heap();
}

#[inline(never)]
fn reap_as(kernel: &mut Kernel, owner: Option<ThreadId>, mut effort: Effort) {
    kernel.note_activity();
    work(kernel, None, &mut effort);
    settle(kernel, owner);
    work_unowed(kernel, None, &mut effort);
}

/// What is left of this entry's objects becomes the debt of its thread; if that has ended, of the first who waited for its
/// end; of nobody if there is none.
fn settle(kernel: &mut Kernel, owner: Option<ThreadId>) {
    let heir = kernel.heir.take();
    let debt = kernel.debts.take();
    // Who has something else to see to first owes nothing besides.
    let lives = |id: &ThreadId| kernel.threads.find(*id).is_some_and(|thread| !thread.has_ended() && thread.can_owe());
    // Nor does who sleeps or waits: perhaps for what is to be done.
    let runs = |id: &ThreadId| lives(id) && kernel.threads[*id].state == ThreadState::Ready;
    let Some(id) = owner.filter(runs).or(heir.filter(runs)) else {
        return kernel.leave_unowed(debt);
    };
    if debt.is_none() {
        return;
    }
    let earlier = kernel.threads[id].take_debt();
    let debt = kernel.join_debts(debt, earlier);
    let thread = &mut kernel.threads[id];
    thread.pending = Some(Box::new(Pending::Debt(debt)));
    // The CPU that has it looks again before it leaves the kernel.
    kernel.scheduler.cpus[thread.cpu()].need_resched.set(true);
}

/// A step of what nobody owes, if any effort is left for it.
fn work_unowed(kernel: &mut Kernel, around_cpu: Option<usize>, effort: &mut Effort) {
    if kernel.unowed.is_none() || kernel.debts.is_owed() || !effort.is_left() {
        return;
    }
    let debt = core::mem::replace(&mut kernel.unowed, Debt::NONE);
    kernel.debts.put(debt);
    work(kernel, around_cpu, effort);
    let rest = kernel.debts.take();
    kernel.leave_unowed(rest);
    kernel.heir = None;
}

/// Takes the first object on the list further apart; says whether that did not take registers that are not saved.
macro_rules! work_on_first {
    ([$kernel:ident $first:ident $around_cpu:ident $effort:ident] $($type:ident $store:ident;)*) => {
        match $first.kind() {
            $(Some(ObjectKind::$type) => {
                let index = $first.index();
                let needs_registers = $around_cpu.is_some_and(|cpu| $type::needs_registers($kernel, cpu, index));
                if !needs_registers {
                    match $kernel.$store.take_due(index) {
                        // At one that exists something was left to be done.
                        None => {
                            if !$type::go_on($kernel, index, $effort) {
                                $kernel.$store.list_due(index);
                            }
                        }
                        Some((list, charged)) => {
                            let left = charge_chain::left(&mut $kernel.$store, charged);
                            left.settle(&mut $kernel.accounts, ObjectKind::$type);
                            let is_known = !inside::forget_markers($kernel, list, $effort);
                            if is_known || !$type::take_apart($kernel, index, $effort) {
                                $kernel.$store.list_due(index);
                            } else {
                                derivation::remove_list(&mut $kernel.uses, list);
                            }
                        }
                    }
                }
                !needs_registers
            })*
            Some(ObjectKind::Machine) => unreachable!("the machine is in no store"),
            None => false,
        }
    };
}

#[inline(always)]
fn work(kernel: &mut Kernel, around_cpu: Option<usize>, effort: &mut Effort) {
    while effort.is_left() {
        let first = kernel.debts.first();
        if !with_kinds!(work_on_first kernel first around_cpu effort) {
            return;
        }
        effort.spend(OBJECT_UNITS);
    }
}
