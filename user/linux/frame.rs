//! What a signal's handler finds on its stack, and how the program goes on behind it.
//!
//! `struct rt_sigframe` of each processor (`arch/x86/include/asm/sigframe.h`, `arch/arm64/kernel/signal.c` in Linux): what C
//! libraries and handlers look at lies where they look for it, and `rt_sigreturn` takes all registers from there.

use crate::numbers::AARCH64;
use crate::signals::{Action, OtherStack, Reason};
use alloc::vec;
use alloc::vec::Vec;
use libvas::process_vm_exec::Context as Registers;

/// What a handler is told.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// The signal.
    pub number: u8,
    /// Why it came.
    pub reason: Reason,
    /// The signals that are kept out behind the handler.
    pub mask: u64,
    /// The other stack that the program has, if any.
    pub other_stack: OtherStack,
}

/// Where the parts of a frame lie, bytes from its beginning, and which register lies where.
struct Layout {
    bytes: usize,
    /// `siginfo_t`, `ucontext_t`.
    information: usize,
    context: usize,
    mask: usize,
    /// `struct sigcontext`: where the general registers lie, in the order of [`Registers::general`].
    general: &'static [usize],
    stack_pointer: usize,
    instruction_pointer: usize,
    flags: usize,
}

/// As [`Registers::general`] has them: rax, rbx, rcx, rdx, rsi, rdi, rbp, r8 to r15.
const X86_64_GENERAL: [usize; 15] = [152, 136, 160, 144, 120, 112, 128, 48, 56, 64, 72, 80, 88, 96, 104];

const X86_64_FRAME: Layout = Layout {
    bytes: 440,
    information: 312,
    context: 8,
    mask: 304,
    general: &X86_64_GENERAL,
    stack_pointer: 168,
    instruction_pointer: 176,
    flags: 184,
};
/// `sigcontext.fpstate`: where what FXSAVE saved lies, and how long that is.
const X86_64_FLOATING: usize = 232;
const X86_64_FLOATING_BYTES: usize = 512;
/// What lies below the stack pointer and is the program's all the same (System V ABI, 3.2.2).
const RED_ZONE_BYTES: u64 = 128;

const AARCH64_GENERAL: [usize; 31] = {
    let mut places = [0; 31];
    let mut at = 0;
    while at < 31 {
        places[at] = 312 + 8 * at;
        at += 1;
    }
    places
};

const AARCH64_FRAME: Layout = Layout {
    bytes: 4704,
    information: 0,
    context: 128,
    mask: 168,
    general: &AARCH64_GENERAL,
    stack_pointer: 560,
    instruction_pointer: 568,
    flags: 576,
};
/// `struct fpsimd_context` behind it, with its magic number and its length; FPSR, FPCR and 32 registers follow.
const AARCH64_FLOATING: usize = 592;
const AARCH64_FLOATING_HEAD: u64 = 0x0210_4650_8001;
/// The frame pointer and the return address, for who follows these.
const AARCH64_RECORD: usize = 4688;

fn layout(machine: u16) -> &'static Layout {
    if machine == AARCH64 { &AARCH64_FRAME } else { &X86_64_FRAME }
}

/// How long the instruction is that makes a system call, bytes.
pub fn call_bytes(machine: u16) -> u64 {
    if machine == AARCH64 { 4 } else { 2 }
}

/// The instructions by which a handler without a restorer returns: `rt_sigreturn`, 139 and 15.
pub fn trampoline(machine: u16) -> &'static [u8] {
    if machine == AARCH64 {
        // mov x8, #139; svc #0
        &[0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4]
    } else {
        // mov eax, 15; syscall
        &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05]
    }
}

/// Has a program go on in a handler: where its frame is to be put, and its bytes. The registers become the handler's.
pub fn enter(machine: u16, registers: &mut Registers, told: &Told, action: &Action, trampoline: u64) -> (u64, Vec<u8>) {
    let top = told.other_stack.top(action, registers.stack_pointer);
    let restorer = if action.flags & Action::HAS_RESTORER != 0 { action.restorer } else { trampoline };
    let (at, bytes) = if machine == AARCH64 {
        aarch64(registers, top, told, restorer)
    } else {
        x86_64(registers, top, told, restorer)
    };
    registers.instruction_pointer = action.handler;
    registers.stack_pointer = at;
    (at, bytes)
}

/// What is the same in both.
fn common(layout: &Layout, length: usize, registers: &Registers, told: &Told) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let information = layout.information;
    put(&mut bytes, information, u64::from(told.number));
    put(&mut bytes, information + 8, u64::from(told.reason.code as u32));
    put(&mut bytes, information + 16, told.reason.words[0]);
    put(&mut bytes, information + 24, told.reason.words[1]);
    put(&mut bytes, layout.mask, told.mask);
    // `uc_stack`, behind the flags and the link.
    let stack = told.other_stack.words(registers.stack_pointer);
    (0..).zip(stack).for_each(|(word, value)| put(&mut bytes, layout.context + 16 + 8 * word, value));
    layout.general.iter().zip(registers.general).for_each(|(at, value)| put(&mut bytes, *at, value));
    put(&mut bytes, layout.stack_pointer, registers.stack_pointer);
    put(&mut bytes, layout.instruction_pointer, registers.instruction_pointer);
    put(&mut bytes, layout.flags, registers.flags);
    bytes
}

fn x86_64(registers: &mut Registers, top: u64, told: &Told, restorer: u64) -> (u64, Vec<u8>) {
    // Direction, traps.
    const CLEARED_FLAGS: u64 = 1 << 10 | 1 << 8;
    let below = |address: u64, length: u64, alignment: u64| address.wrapping_sub(length) & !(alignment - 1);
    let floating = below(top, RED_ZONE_BYTES + X86_64_FLOATING_BYTES as u64, 64);
    // As behind a call: a return address lies at a multiple of 16, less 8.
    let at = below(floating, X86_64_FRAME.bytes as u64, 16).wrapping_sub(8);
    let skip = floating.wrapping_sub(at) as usize;
    let mut bytes = common(&X86_64_FRAME, skip + X86_64_FLOATING_BYTES, registers, told);
    put(&mut bytes, 0, restorer);
    put(&mut bytes, X86_64_FLOATING, floating);
    (0..64).for_each(|word| put(&mut bytes, skip + 8 * word, registers.floating[word]));
    registers.flags &= !CLEARED_FLAGS;
    let [information, context] = [X86_64_FRAME.information, X86_64_FRAME.context].map(|part| at + part as u64);
    let arguments = [(0, 0), (5, u64::from(told.number)), (4, information), (3, context)];
    arguments.into_iter().for_each(|(register, value)| registers.general[register] = value);
    (at, bytes)
}

fn aarch64(registers: &mut Registers, top: u64, told: &Told, restorer: u64) -> (u64, Vec<u8>) {
    let at = (top & !15).wrapping_sub(AARCH64_FRAME.bytes as u64);
    let mut bytes = common(&AARCH64_FRAME, AARCH64_FRAME.bytes, registers, told);
    put(&mut bytes, AARCH64_FLOATING, AARCH64_FLOATING_HEAD);
    // FPSR in the lower half, FPCR in the upper one.
    put(&mut bytes, AARCH64_FLOATING + 8, registers.floating[65] & 0xffff_ffff | registers.floating[64] << 32);
    (0..64).for_each(|word| put(&mut bytes, AARCH64_FLOATING + 16 + 8 * word, registers.floating[word]));
    [29, 30].into_iter().zip([0, 8]).for_each(|(register, skip)| {
        put(&mut bytes, AARCH64_RECORD + skip, registers.general[register]);
    });
    let [information, context] = [AARCH64_FRAME.information, AARCH64_FRAME.context].map(|part| at + part as u64);
    let arguments = [(0, u64::from(told.number)), (1, information), (2, context)];
    let links = [(29, at + AARCH64_RECORD as u64), (30, restorer)];
    arguments.into_iter().chain(links).for_each(|(register, value)| registers.general[register] = value);
    (at, bytes)
}

/// Where the frame of a handler lies that has returned, and how many of its bytes tell how to go on.
pub fn place(machine: u16, registers: &Registers) -> (u64, usize) {
    if machine == AARCH64 {
        (registers.stack_pointer, AARCH64_RECORD)
    } else {
        // The return address is gone.
        (registers.stack_pointer.wrapping_sub(8), X86_64_FRAME.bytes)
    }
}

/// Takes all registers from a frame, but for floating ones that lie elsewhere: returns where. The second is the mask.
pub fn leave(machine: u16, bytes: &[u8], registers: &mut Registers) -> (Option<(u64, usize)>, u64) {
    let layout = layout(machine);
    layout.general.iter().zip(&mut registers.general).for_each(|(at, to)| *to = word(bytes, *at));
    registers.stack_pointer = word(bytes, layout.stack_pointer);
    registers.instruction_pointer = word(bytes, layout.instruction_pointer);
    registers.flags = word(bytes, layout.flags);
    let mask = word(bytes, layout.mask);
    if machine == AARCH64 {
        if word(bytes, AARCH64_FLOATING) == AARCH64_FLOATING_HEAD {
            (0..64).for_each(|at| registers.floating[at] = word(bytes, AARCH64_FLOATING + 16 + 8 * at));
            let control = word(bytes, AARCH64_FLOATING + 8);
            registers.floating[64] = control >> 32;
            registers.floating[65] = control & 0xffff_ffff;
        }
        return (None, mask);
    }
    let floating = word(bytes, X86_64_FLOATING);
    ((floating != 0).then_some((floating, X86_64_FLOATING_BYTES)), mask)
}

/// The floating registers that lay elsewhere.
pub fn set_floating(bytes: &[u8], registers: &mut Registers) {
    bytes.as_chunks::<8>().0.iter().zip(&mut registers.floating).for_each(|(from, to)| *to = u64::from_le_bytes(*from));
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::{Registers, Told, enter, leave, place, set_floating};
    use crate::numbers::{AARCH64, X86_64};
    use crate::signals::{Action, OtherStack, Reason};

    const STACK: u64 = 0x7000_1238;
    const OTHER: OtherStack = OtherStack { start: 0x5000_0000, length_bytes: 0x1_0000 };
    const TOLD: Told = Told { number: 15, reason: Reason { code: 1, words: [7, 3] }, mask: 0x55, other_stack: OTHER };

    fn registers() -> Registers {
        let words = core::array::from_fn(|at| 0x1_0000_0001 * at as u64);
        Registers { stack_pointer: STACK, ..Registers::from_words(&words) }
    }

    fn action(flags: u64) -> Action {
        Action { handler: 0x40_0100, flags, restorer: 0x40_0200, mask: 0 }
    }

    fn word(bytes: &[u8], at: u64) -> u64 {
        super::word(bytes, at as usize)
    }

    #[test]
    fn a_handler_is_called_as_its_processor_has_it() {
        for (machine, arguments, behind) in [(X86_64, [5, 4, 3], 8), (AARCH64, [0, 1, 2], 0)] {
            let mut inside = registers();
            let (at, bytes) = enter(machine, &mut inside, &TOLD, &action(Action::HAS_RESTORER), 0x9000);
            assert_eq!((inside.stack_pointer, inside.instruction_pointer), (at, 0x40_0100));
            assert_eq!((at + behind) % 16, 0, "as the ABI has it at a function's beginning");
            assert!(at + bytes.len() as u64 <= STACK - if machine == X86_64 { 128 } else { 0 });
            let [number, information, context] = arguments.map(|register| inside.general[register]);
            assert_eq!((number, word(&bytes, information - at)), (15, 15));
            assert_eq!([16, 24].map(|skip| word(&bytes, information - at + skip)), [7, 3]);
            // The signal mask of a `ucontext_t` lies behind the registers, or in front of them.
            assert_eq!(word(&bytes, context - at + if machine == X86_64 { 296 } else { 40 }), 0x55);
            assert_eq!([16, 24, 32].map(|skip| word(&bytes, context - at + skip)), OTHER.words(STACK));
            let restorer = if machine == X86_64 { word(&bytes, 0) } else { inside.general[30] };
            assert_eq!(restorer, 0x40_0200);
        }
    }

    #[test]
    fn a_handler_has_the_other_stack_if_it_wants_to() {
        for machine in [X86_64, AARCH64] {
            let mut inside = registers();
            let (at, bytes) = enter(machine, &mut inside, &TOLD, &action(Action::ON_OTHER_STACK), 0x9000);
            assert!(OTHER.holds(at) && at + bytes.len() as u64 <= OTHER.start + OTHER.length_bytes);
        }
    }

    #[test]
    fn behind_the_handler_all_is_as_it_was() {
        for machine in [X86_64, AARCH64] {
            let (before, mut inside) = (registers(), registers());
            let (at, bytes) = enter(machine, &mut inside, &TOLD, &action(0), 0x9000);
            // The handler does what it likes with registers, and returns.
            inside.general.fill(99);
            inside.floating.fill(99);
            inside.stack_pointer += if machine == X86_64 { 8 } else { 0 };
            assert_eq!(place(machine, &inside).0, at);
            let (floating, mask) = leave(machine, &bytes[..place(machine, &inside).1], &mut inside);
            if let Some((address, length)) = floating {
                assert!(address % 64 == 0 && address > at);
                set_floating(&bytes[(address - at) as usize..][..length], &mut inside);
            }
            let (general, floating) = if machine == X86_64 { (15, 64) } else { (31, 64) };
            assert_eq!((mask, &inside.general[..general]), (0x55, &before.general[..general]));
            assert_eq!(inside.floating[..floating], before.floating[..floating]);
            let pointers = |each: &Registers| (each.stack_pointer, each.instruction_pointer, each.flags);
            assert_eq!(pointers(&inside), pointers(&before));
        }
    }
}
