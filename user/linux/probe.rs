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
    /// It ends, by the system call with this number; its status is the error that its last call gave.
    ExitWithError(u64),
    /// It reads what lies at address 0.
    ReadNothing,
    /// It executes what is no instruction.
    Illegal,
}

/// Where a program made of steps begins.
pub const IMAGE: u64 = 0x40_0000;

/// A program of one part, which can be read and executed.
pub fn program(machine: u16, steps: &[Step]) -> Vec<u8> {
    let code: Vec<u8> = steps.iter().flat_map(|step| step.code(machine)).collect();
    let length = CODE_OFFSET + code.len() as u64;
    let segment = Segment { kind: 1, flags: 5, offset: 0, address: IMAGE, file_bytes: length, memory_bytes: length };
    file(machine, 2, IMAGE + CODE_OFFSET, &[segment], &code)
}

impl Step {
    fn code(self, machine: u16) -> Vec<u8> {
        if machine == AARCH64 {
            self.aarch64().iter().flat_map(|word| word.to_le_bytes()).collect()
        } else {
            self.x86_64()
        }
    }

    /// Intel SDM volume 2: `mov` of 64 bits, `syscall`, `neg`, `ud2`.
    fn x86_64(self) -> Vec<u8> {
        const SYSCALL: [u8; 2] = [0x0f, 0x05];
        const MOVE: [u8; 4] = [0xb8, 0xbf, 0xbe, 0xba];
        match self {
            Step::Call(number, [first, second, third]) => {
                let mut code = Vec::new();
                for (to, value) in MOVE.iter().zip([number, first, second, third]) {
                    code.extend([0x48, *to]);
                    code.extend(value.to_le_bytes());
                }
                code.extend(SYSCALL);
                code
            }
            // edi = -eax
            Step::ExitWithError(exit) => {
                [0x89, 0xc7, 0xf7, 0xdf, 0xb8, exit as u8, 0, 0, 0].into_iter().chain(SYSCALL).collect()
            }
            Step::ReadNothing => vec![0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0],
            Step::Illegal => vec![0x0f, 0x0b],
        }
    }

    /// Arm ARM, C6.2: `movz`, `movk`, `svc`, `neg`, `ldr`, `udf`.
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
        match self {
            Step::Call(number, arguments) => {
                let values = (0..).zip(arguments).chain([(8, number)]);
                values.flat_map(|(register, value)| set(register, value)).chain([SVC]).collect()
            }
            Step::ExitWithError(exit) => [0xcb00_03e0].into_iter().chain(set(8, exit)).chain([SVC]).collect(),
            Step::ReadNothing => set(0, 0).chain([0xf940_0000]).collect(),
            Step::Illegal => vec![0],
        }
    }
}
