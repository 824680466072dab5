//! `guest_run` and the way back from a guest's system call, as the entry code makes them behind the kernel's lock: the thread's registers
//! are not put into its context, nor the guest's into its own.
//!
//! What stands in the way sends either to the common path (`sched::guests`), which does the same, and tells what is wrong.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{Handle, ObjectKind, Rights};

use crate::cpu::activations::SUSPENDED_MAX;
use crate::cpu::per_cpu::PerCpu;
use crate::object::guest::Standing;
use crate::sched::{enter, guests};
use crate::state::kernel::Kernel;

/// Has the calling CPU's thread run the guest that the first handle names in the space that the second one names, until it wants
/// something. Gives what the entry code needs to go there; 0 if the call is for the common path, and nothing has changed.
#[inline(always)]
pub fn run(kernel: &mut Kernel, line: &PerCpu, [guest, space]: [Handle; 2]) -> u64 {
    let Some([by, to]) = line.table.get().slots.get_both([guest.slot(), space.slot()]) else { return common() };
    let (guest_word, space_word) = (by.word(), to.word());
    let is_by = by.is_for(guest_word, guest.generation(), (ObjectKind::Guest, Rights::RUN));
    if !is_by || !to.is_for(space_word, space.generation(), (ObjectKind::Space, Rights::RUN)) {
        return common();
    }
    // One that another CPU may not enter leads to it by no good pass.
    let pass = line.pass_to(space_word.index()).read();
    let stack = line.activations.get();
    let depth = stack.depth();
    if !pass.is_good() || depth >= SUSPENDED_MAX {
        return common();
    }
    let object = kernel.guests.at_mut(guest_word.index());
    if object.standing != Standing::READY {
        return common();
    }
    let place = object.context.begin_run();
    if place == 0 {
        return common();
    }
    object.standing = Standing::fresh_on(line.index);
    guests::suspend(line, (stack, depth), (guest_word.index(), guest));
    enter::by_good_pass(line, space_word.index(), pass, space.bits());
    line.counters.system_calls.add(1);
    place
}

/// Has the calling CPU's thread come out of the guest that it runs and that has made a system call. Gives what the entry code needs to go
/// on with the thread; 0 likewise.
#[inline(always)]
pub fn leave(kernel: &mut Kernel, line: &PerCpu) -> u64 {
    let stack = line.activations.get();
    let depth = stack.depth();
    // What is fresh is sound.
    if depth == stack.noted() {
        return common();
    }
    let last = stack.at(depth.wrapping_sub(1));
    let space = last.space.load(Relaxed);
    let pass = line.pass_to(space).read();
    let object = kernel.guests.at_mut(last.stack.load(Relaxed));
    if !pass.is_good() {
        return common();
    }
    let place = object.context.end_run();
    if place == 0 {
        return common();
    }
    object.standing = Standing::READY;
    stack.depth.store(depth as u32 - 1, Relaxed);
    line.table.set(last.table.kept());
    enter::by_good_pass(line, space, pass, last.entered_by.load(Relaxed));
    place
}

/// A way out of line, so that the usual one keeps no register for it.
#[cold]
#[inline(never)]
fn common() -> u64 {
    core::hint::black_box(0)
}
