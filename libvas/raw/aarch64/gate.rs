//! Gate calls of aarch64: what each side does with the general registers.

use core::arch::asm;
use core::sync::atomic::AtomicU64;

use tessera_abi::syscall::number;

/// Calls a gate with six words and perhaps a capability; returns status and value, and the callee's words.
///
/// Nothing but the words is shown to the callee or left by it in general registers. The others are the caller's to see to
/// ([`crate::raw::gate_call_keeping`]).
#[inline(always)]
pub(crate) fn gate_call(arguments: [u64; 4], words: &[AtomicU64; 6]) -> (u64, u64) {
    let [gate, flags, capability, rights] = arguments;
    let (status, value);
    // SAFETY: the callee may change any register but the stack pointer. All are listed, or are on the stack meanwhile, and so is
    // the address of the words, which may be written by way of a shared reference.
    unsafe {
        asm!(
            "sub sp, sp, #48",
            "stp x18, x19, [sp]", "stp x29, x30, [sp, #16]", "str x9, [sp, #32]",
            "ldp x20, x21, [x9]", "ldp x22, x23, [x9, #16]", "ldp x24, x25, [x9, #32]",
            "mov x18, xzr", "mov x19, xzr", "mov x26, xzr", "mov x27, xzr", "mov x28, xzr", "mov x29, xzr", "mov x30, xzr",
            "svc #0",
            "ldr x9, [sp, #32]",
            "stp x20, x21, [x9]", "stp x22, x23, [x9, #16]", "stp x24, x25, [x9, #32]",
            "ldp x18, x19, [sp]", "ldp x29, x30, [sp, #16]",
            "add sp, sp, #48",
            inlateout("x8") number::gate_call => _, inlateout("x0") gate => status, inlateout("x1") flags => value,
            inlateout("x2") capability => _, inlateout("x3") rights => _, inlateout("x9") words.as_ptr() => _,
            lateout("x4") _, lateout("x5") _, lateout("x6") _, lateout("x7") _, lateout("x10") _, lateout("x11") _,
            lateout("x12") _, lateout("x13") _, lateout("x14") _, lateout("x15") _, lateout("x16") _, lateout("x17") _,
            lateout("x20") _, lateout("x21") _, lateout("x22") _, lateout("x23") _, lateout("x24") _, lateout("x25") _,
            lateout("x26") _, lateout("x27") _, lateout("x28") _,
        );
    }
    (status, value)
}

/// [`gate_call`] with two words and no capability, in the fewest instructions. The callee sees what is in other registers, and what it
/// leaves there stays but in those that compiled code keeps.
#[inline(always)]
pub fn gate_call_short(gate: u64, words: [u64; 2]) -> (u64, [u64; 2]) {
    let [mut first, mut second] = words;
    let status;
    // SAFETY: as for `gate_call`.
    unsafe {
        asm!(
            "stp x18, x19, [sp, #-32]!", "stp x29, x30, [sp, #16]",
            "svc #0",
            "ldp x29, x30, [sp, #16]", "ldp x18, x19, [sp], #32",
            inlateout("x8") number::gate_call => _, inlateout("x0") gate => status, inlateout("x1") 0_u64 => _,
            inlateout("x2") 0_u64 => _, inlateout("x20") first, inlateout("x21") second,
            lateout("x3") _, lateout("x4") _, lateout("x5") _, lateout("x6") _, lateout("x7") _, lateout("x9") _,
            lateout("x10") _, lateout("x11") _, lateout("x12") _, lateout("x13") _, lateout("x14") _, lateout("x15") _,
            lateout("x16") _, lateout("x17") _, lateout("x22") _, lateout("x23") _, lateout("x24") _, lateout("x25") _,
            lateout("x26") _, lateout("x27") _, lateout("x28") _,
        );
    }
    (status, [first, second])
}

/// Where the calls of a gate begin: gives the words to a function of Rust, and what it makes of them back. It comes out of this
/// by a system call only.
///
/// # Safety
/// Only a gate may lead here: the words lie where its callers leave them, on one of its stacks.
#[unsafe(naked)]
pub unsafe extern "C" fn gate_entry<S: crate::gate::Serve>() {
    core::arch::naked_asm!(
        "sub sp, sp, #64",
        "stp x20, x21, [sp]", "stp x22, x23, [sp, #16]", "stp x24, x25, [sp, #32]",
        "mov x2, sp",
        "mov x29, xzr",
        "mov x30, xzr",
        "bl {serve}",
        "lsr x2, x1, #32",
        "mov w1, w1",
        "ldp x20, x21, [sp]", "ldp x22, x23, [sp, #16]", "ldp x24, x25, [sp, #32]",
        "mov x18, xzr", "mov x19, xzr", "mov x26, xzr", "mov x27, xzr", "mov x28, xzr", "mov x29, xzr", "mov x30, xzr",
        "mov x8, #{gate_return}",
        "svc #0",
        // What was to go along could not: the words alone. If these are refused as well, they are no answer to a handler's question.
        "mov x0, xzr", "mov x1, xzr", "mov x2, xzr",
        "mov x8, #{gate_return}",
        "svc #0",
        "brk #1",
        serve = sym crate::gate::served::<S>,
        gate_return = const number::gate_return,
    )
}

/// Where the calls of a gate begin whose callers are trusted: two words go in and out.
///
/// # Safety
/// As for [`gate_entry`].
#[unsafe(naked)]
pub unsafe extern "C" fn gate_entry_short<S: crate::gate::ServeShort>() {
    core::arch::naked_asm!(
        "mov x1, x20",
        "mov x2, x21",
        "bl {serve}",
        "mov x20, x0",
        "mov x21, x1",
        "mov x8, #{gate_return}",
        "mov x0, xzr", "mov x2, xzr",
        "svc #0",
        "brk #1",
        serve = sym crate::gate::served_short::<S>,
        gate_return = const number::gate_return,
    )
}
