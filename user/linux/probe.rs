//! Programs made by hand: the few instructions by which the supervisor tries itself.

use crate::numbers::AARCH64;
use alloc::vec;
use alloc::vec::Vec;
use executable::handmade::{CODE_OFFSET, Segment, file};

/// What a program made by hand does next.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A system call, by its number, with three arguments.
    Call(u64, [u64; 3]),
    /// The same with two more.
    LongCall(u64, [u64; 5]),
    /// It ends, by the system call with this number; its status is the error that its last call gave.
    ExitWithError(u64),
    /// It passes over so many steps unless its last call gave 0, as `fork` does in a child.
    SkipUnlessZero(usize),
    /// If its last call was refused, it ends as by [`Step::ExitWithError`].
    ExitIfError(u64),
    /// It reads what lies at address 0.
    ReadNothing,
    /// It executes what is no instruction.
    Illegal,
}

/// Where a program made of steps begins.
pub const IMAGE: u64 = 0x40_0000;

/// Where the text of such a program lies.
pub const TEXT: u64 = IMAGE + 0x3800;

/// A program of one part, which can be read and executed.
pub fn program(machine: u16, steps: &[Step]) -> Vec<u8> {
    of_code(machine, code(machine, steps))
}

/// The same with a text.
///
/// # Panics
/// If the steps reach [`TEXT`].
pub fn program_with_text(machine: u16, steps: &[Step], text: &str) -> Vec<u8> {
    let mut code = code(machine, steps);
    let skip = (TEXT - IMAGE - CODE_OFFSET) as usize;
    assert!(code.len() <= skip, "the steps reach the text");
    code.resize(skip, 0);
    code.extend(text.as_bytes());
    code.push(0);
    of_code(machine, code)
}

fn code(machine: u16, steps: &[Step]) -> Vec<u8> {
    let behind =
        |at: usize, count: usize| steps.get(at + 1..at + 1 + count).map_or(0, |over| code(machine, over).len());
    let each = steps.iter().enumerate().map(|(at, step)| match step {
        Step::SkipUnlessZero(count) => skip(machine, behind(at, *count) as u32),
        step => step.code(machine),
    });
    each.flatten().collect()
}

/// Passes over so many bytes unless rax or x0 is 0: `test` and `jnz`; `cbnz`, which counts words and itself.
fn skip(machine: u16, bytes: u32) -> Vec<u8> {
    if machine == AARCH64 {
        (0xb500_0000 | (bytes / 4 + 1) << 5).to_le_bytes().to_vec()
    } else {
        [0x48, 0x85, 0xc0, 0x0f, 0x85].into_iter().chain(bytes.to_le_bytes()).collect()
    }
}

fn of_code(machine: u16, code: Vec<u8>) -> Vec<u8> {
    let length = CODE_OFFSET + code.len() as u64;
    let segment = Segment { kind: 1, flags: 5, offset: 0, address: IMAGE, file_bytes: length, memory_bytes: length };
    file(machine, 2, IMAGE + CODE_OFFSET, &[segment], &code)
}

impl Step {
    /// Its instructions, if these do not depend on what is behind it.
    fn code(self, machine: u16) -> Vec<u8> {
        if machine == AARCH64 {
            self.aarch64().iter().flat_map(|word| word.to_le_bytes()).collect()
        } else {
            self.x86_64()
        }
    }

    /// Intel SDM volume 2: `mov` of 64 bits, `syscall`, `neg`, `test`, `jns`, `ud2`.
    fn x86_64(self) -> Vec<u8> {
        const SYSCALL: [u8; 2] = [0x0f, 0x05];
        // rax, rdi, rsi, rdx, r10, r8.
        const MOVES: [[u8; 2]; 6] =
            [[0x48, 0xb8], [0x48, 0xbf], [0x48, 0xbe], [0x48, 0xba], [0x49, 0xba], [0x49, 0xb8]];
        let calls = |number: u64, arguments: &[u64]| {
            let values = [number].into_iter().chain(arguments.iter().copied());
            let moves = MOVES.iter().zip(values).flat_map(|(to, value)| to.iter().copied().chain(value.to_le_bytes()));
            moves.chain(SYSCALL).collect()
        };
        match self {
            Step::Call(number, arguments) => calls(number, &arguments),
            Step::LongCall(number, arguments) => calls(number, &arguments),
            Step::ExitIfError(exit) => {
                let end = Step::ExitWithError(exit).x86_64();
                [0x48, 0x85, 0xc0, 0x79, end.len() as u8].into_iter().chain(end).collect()
            }
            // edi = -eax
            Step::ExitWithError(exit) => {
                [0x89, 0xc7, 0xf7, 0xdf, 0xb8, exit as u8, 0, 0, 0].into_iter().chain(SYSCALL).collect()
            }
            Step::SkipUnlessZero(_) => Vec::new(),
            Step::ReadNothing => vec![0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0],
            Step::Illegal => vec![0x0f, 0x0b],
        }
    }

    /// Arm ARM, C6.2: `movz`, `movk`, `svc`, `neg`, `tbz`, `ldr`, `udf`.
    fn aarch64(self) -> Vec<u32> {
        const SVC: u32 = 0xd400_0001;
        const CLEAR_AND_SET: u32 = 0xd280_0000;
        const SET: u32 = 0xf280_0000;
        let set = |register: u32, value: u64| {
            (0..4).map(move |part| {
                let bits = (value >> (16 * part) & 0xffff) as u32;
                (if part == 0 { CLEAR_AND_SET } else { SET }) | part << 21 | bits << 5 | register
            })
        };
        let calls = |number: u64, arguments: &[u64]| {
            let values = (0..).zip(arguments.iter().copied()).chain([(8, number)]);
            values.flat_map(|(register, value)| set(register, value)).chain([SVC]).collect()
        };
        match self {
            Step::Call(number, arguments) => calls(number, &arguments),
            Step::LongCall(number, arguments) => calls(number, &arguments),
            Step::ExitWithError(exit) => [0xcb00_03e0].into_iter().chain(set(8, exit)).chain([SVC]).collect(),
            // The sign of x0 is looked at.
            Step::ExitIfError(exit) => {
                let end = Step::ExitWithError(exit).aarch64();
                [0xb6f8_0000 | (end.len() as u32 + 1) << 5].into_iter().chain(end).collect()
            }
            Step::SkipUnlessZero(_) => Vec::new(),
            Step::ReadNothing => set(0, 0).chain([0xf940_0000]).collect(),
            Step::Illegal => vec![0],
        }
    }
}
