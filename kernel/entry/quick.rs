//! Calls that neither read nor change the registers of the thread that makes them, nor who runs.
//!
//! The entry code need not save these registers, and most of these calls leave nothing to be done afterwards. So they go
//! straight from the entry code to their functions, if the kernel's lock is free, and straight back. Where something is
//! left (the calling thread goes, another one became ready), the entry code saves the registers then, with the
//! call's result, and comes in once more. A call that might end, move or stop the calling thread is not quick: its
//! registers must be where others find them.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::syscall::number;
use tessera_arch::CallResult;

use crate::cpu::per_cpu::{PerCpu, Shared};
use crate::lifecycle::reap;
use crate::state::kernel::Kernel;
use crate::syscall::{HANDLERS, Handler, KICK_QUICKLY, REVOKE_QUICKLY};

/// The functions of the quick calls, by number. Up to 64 entries, the compiler would test a bit for each before it loads one,
/// which takes longer than to look at what was loaded.
static QUICK: [Option<Handler>; 128] = {
    let mut quick = [None; 128];
    let mut number = 0;
    while number < HANDLERS.len() {
        if is_quick(number as u64) {
            quick[number] = Some(HANDLERS[number]);
        }
        number += 1;
    }
    quick[number::capability_revoke as usize] = Some(REVOKE_QUICKLY);
    quick[number::guest_kick as usize] = Some(KICK_QUICKLY);
    quick
};

/// Whether a call, by its number, is quick.
const fn is_quick(number: u64) -> bool {
    matches!(
        number,
        number::clock
            | number::thread_create
            | number::thread_start
            | number::thread_set_fallback
            | number::account_create
            | number::account_info
            | number::capability_derive
            | number::capability_copy
            | number::capability_delete
            | number::capability_info
            | number::object_set_name
            | number::table_create
            | number::segment_create
            | number::segment_info
            | number::space_create
            | number::space_create_local
            | number::space_clone
            | number::subtree_clone
            | number::pin
            | number::written_list
            | number::map_private
            | number::segment_grow
            | number::segment_discard
            | number::mapping_move
            | number::space_info
            | number::mappings_list
            | number::subtree_create
            | number::subtree_info
            | number::subtree_attach
            | number::subtree_detach
            | number::subtree_attach_core
            | number::subtree_detach_core
            | number::subtree_seal
            | number::subtree_withdraw
            | number::subtree_publish
            | number::view_create
            | number::map
            | number::unmap
            | number::protect
            | number::memory_read
            | number::memory_write
            | number::counters
            | number::machine_info
            | number::gate_create
            | number::gate_info
            | number::gate_caller
            | number::guest_state_bytes
            | number::guest_create
            | number::interrupted_read
            | number::interrupted_write
    )
}

/// The function of a call, by its number, if the call is quick.
#[inline(always)]
pub fn handler(number: u64) -> Option<Handler> {
    // The entry code has told the numbers from those of no call.
    QUICK[number as usize % QUICK.len()]
}

/// Serves a quick call of the thread that is current on the CPU. `shared` is the kernel's own, at a place that the caller
/// knows.
#[inline(always)]
pub fn call(
    kernel: &mut Kernel,
    shared: &Shared,
    line: &'static PerCpu,
    handler: Handler,
    words: &[u64; 6],
) -> CallResult {
    // The CPU has not waited for the lock, so nobody can have made it let the thread go.
    let result = handler(kernel, line, words);
    line.counters.system_calls.add(1);
    if is_finished(kernel, shared, line) { result } else { clean_up(kernel, shared, line, result) }
}

/// Whether nothing is left to be done before the CPU goes back to the thread that made a call.
#[inline(always)]
fn is_finished(kernel: &Kernel, shared: &Shared, line: &PerCpu) -> bool {
    // All at once: most often nothing is.
    u64::from(is_due(shared, line)) | shared.debts.reasons() == 0 && kernel.has_heap()
}

/// Whether something is left to be done on a CPU that has come of other things than the call: of other CPUs, of time.
#[inline(always)]
pub fn is_due(shared: &Shared, line: &PerCpu) -> bool {
    line.need_resched.load(Relaxed) | shared.console.is_due()
}

/// Takes apart what can go without the thread's registers; says of a call's result whether more is left.
#[inline(never)]
fn clean_up(
    kernel: &mut Kernel,
    shared: &Shared,
    line: &PerCpu,
    CallResult { status, value }: CallResult,
) -> CallResult {
    if status == CallResult::COMMON.status {
        // The common path sees to it, once.
        return CallResult::COMMON;
    }
    let is_left = reap::reap_without_registers(kernel, line.number());
    let is_finished = !is_left && !is_due(shared, line) && kernel.has_heap();
    let unfinished = if is_finished { 0 } else { CallResult::UNFINISHED };
    CallResult { status: status | unfinished, value }
}
