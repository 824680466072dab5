//! The system call itself: the only assembly on the user side.
//!
//! | | number | arguments | status, value | clobbered |
//! |---|---|---|---|---|
//! | x86_64, `syscall` | `rax` | `rdi rsi rdx r10 r8 r9` | `rax`, `rdx` | `rcx r11` and all of the arguments |
//! | aarch64, `svc #0` | `x8` | `x0` to `x5` | `x0`, `x1` | `x0` to `x17` |
//!
//! On a host there is no kernel to trap into; a test can name a function that stands for it
//! ([`set_host_kernel`]), so that the same program code calls kernel logic in one process.

pub use machine::*;
#[cfg(target_os = "none")]
pub use probing::*;

use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU64;

/// The number that an executable for this processor carries in its ELF header (`e_machine`).
pub const ELF_MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// How far below a multiple of 16 the stack pointer stands when a function begins, bytes.
///
/// System V ABI for x86_64, 3.2.2: the call instruction has just pushed a return address. On aarch64
/// (AAPCS64, 6.4.5) it stands at the multiple.
pub const STACK_ENTRY_BIAS_BYTES: u64 = if cfg!(target_arch = "x86_64") { 8 } else { 0 };

/// Which of a guest's general registers, by number, say what it asks for.
#[derive(Clone, Copy, Debug)]
pub struct GuestCall {
    /// That of a system call's number.
    pub number: usize,
    /// Those of a system call's arguments, in their order.
    pub arguments: [usize; 6],
    /// That of its result.
    pub result: usize,
    /// That of the value which a call of this kernel gives besides.
    pub value: usize,
}

/// Those of this processor.
pub const GUEST_CALL: GuestCall = if cfg!(target_arch = "x86_64") {
    GuestCall { number: 0, arguments: [5, 4, 3, 9, 7, 8], result: 0, value: 3 }
} else {
    GuestCall { number: 8, arguments: [0, 1, 2, 3, 4, 5], result: 0, value: 1 }
};

/// Runs something that may see and change all registers beside the general ones. It finds there what a new thread does, and behind
/// it they are as they were.
#[inline(always)]
fn keeping_extra<R>(body: impl FnOnce() -> R) -> R {
    if !ExtraRegisters::are_vectors_used() {
        let pointers = ExtraRegisters::pointers();
        ExtraRegisters::set_pointers([0; 2]);
        let result = body();
        // The other side may have been the first to use them.
        clear_extra();
        ExtraRegisters::set_pointers(pointers);
        return result;
    }
    let mut kept = MaybeUninit::uninit();
    let kept = ExtraRegisters::save(&mut kept);
    clear_extra();
    let result = body();
    kept.load();
    result
}

/// A gate call by which no register beside the general ones is shown or lost.
#[inline(never)]
pub fn gate_call_keeping(arguments: [u64; 4], words: &[AtomicU64; 6]) -> (u64, u64) {
    keeping_extra(|| gate_call(arguments, words))
}

/// One where the callee is trusted with those.
#[inline(never)]
pub fn gate_call_trusting(arguments: [u64; 4], words: &[AtomicU64; 6]) -> (u64, u64) {
    gate_call(arguments, words)
}

/// Leaves in the registers beside the general ones what a new thread finds there.
#[inline(always)]
pub fn clear_extra() {
    if ExtraRegisters::are_vectors_used() {
        const { &ExtraRegisters::FIRST }.load();
    } else {
        ExtraRegisters::set_pointers([0; 2]);
    }
}

/// Checks that a call changes nothing but registers for its caller.
#[cfg(target_os = "none")]
fn ensure_plain(number: u64) {
    use tessera_abi::syscall::{DESCRIPTIONS, number as named};
    let moves = [named::space_jump, named::thread_start, named::thread_set_fallback, named::thread_exit];
    let description = usize::try_from(number).ok().and_then(|number| DESCRIPTIONS.get(number));
    let writes = description.is_some_and(|call| call.arguments.iter().any(|(name, _)| *name == "buffer"));
    assert!(!writes && !moves.contains(&number), "this call may do more than change registers");
}

#[cfg(target_os = "none")]
#[path = "raw/probing.rs"]
mod probing;

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
#[path = "raw/x86_64/mod.rs"]
mod machine;

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
#[path = "raw/aarch64/mod.rs"]
mod machine;

#[cfg(not(target_os = "none"))]
#[path = "raw/host.rs"]
mod machine;
