//! Where stretches begin and end, and what tells of their causes, by the encodings of instructions.

use crate::decode::{Instruction, decode_arm, decode_x86};

/// What an instruction is to a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// A program's call: SYSCALL, SVC.
    Call,
    /// The CPU waits for an interrupt: HLT, WFI, WFE.
    Wait,
    /// The kernel takes what interrupts are pending: STI; AArch64 acknowledges them, with interrupts off.
    Window,
    /// The kernel goes back to a program: SYSRET, ERET.
    Leave,
    /// It goes back to whom an exception has come from: IRET, which does so to the kernel as well.
    Return,
    /// It asks where an access has faulted.
    Fault,
    /// The hint of a loop that waits for another CPU: PAUSE, YIELD.
    Hint,
}

/// SVC without its immediate, MRS from ICC_IAR1_EL1 without its register, and the immediate form of MSR DAIFCLR without that.
const SVC: u32 = 0xd400_0001;
const ACKNOWLEDGE: u32 = 0xd538_cc00;
const UNMASK: u32 = 0xd503_40ff;
const ERET: u32 = 0xd69f_03e0;
const YIELD: u32 = 0xd503_203f;

/// An x86-64 instruction, which these bytes are.
#[must_use]
pub fn edge_x86(bytes: &[u8]) -> Option<Edge> {
    match bytes {
        [0x0f, 0x05] => Some(Edge::Call),
        [0xfb] => Some(Edge::Window),
        [0x48, 0x0f, 0x07] => Some(Edge::Leave),
        [0x48, 0xcf] => Some(Edge::Return),
        [0xf3, 0x90] => Some(Edge::Hint),
        _ => of(decode_x86(bytes)?),
    }
}

/// An AArch64 instruction.
#[must_use]
pub fn edge_arm(word: u32) -> Option<Edge> {
    match word {
        YIELD => Some(Edge::Hint),
        ERET => Some(Edge::Leave),
        _ if word & !(0xffff << 5) == SVC => Some(Edge::Call),
        _ if word & !31 == ACKNOWLEDGE || word & !(15 << 8) == UNMASK => Some(Edge::Window),
        _ => of(decode_arm(word)?),
    }
}

fn of(instruction: Instruction) -> Option<Edge> {
    match instruction {
        Instruction::Wait => Some(Edge::Wait),
        Instruction::FaultAddress => Some(Edge::Fault),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Edge, edge_arm, edge_x86};

    #[test]
    fn instructions_of_x86_are_told_apart() {
        for (bytes, edge) in [
            (&[0x0f, 0x05][..], Some(Edge::Call)),
            (&[0xfb], Some(Edge::Window)),
            (&[0xfa], None),
            (&[0xf4], Some(Edge::Wait)),
            (&[0xf3, 0x90], Some(Edge::Hint)),
            (&[0x90], None),
            (&[0x48, 0x0f, 0x07], Some(Edge::Leave)),
            (&[0x48, 0xcf], Some(Edge::Return)),
            (&[0x0f, 0x20, 0xd0], Some(Edge::Fault)),
            (&[0x0f, 0x22, 0xd8], None),
            (&[], None),
        ] {
            assert_eq!(edge_x86(bytes), edge, "{bytes:x?}");
        }
    }

    #[test]
    fn instructions_of_aarch64_are_told_apart() {
        for (word, edge) in [
            (0xd400_0001, Some(Edge::Call)),
            (0xd400_0021, Some(Edge::Call)),
            (0xd400_0002, None),
            (0xd503_207f, Some(Edge::Wait)),
            (0xd503_205f, Some(Edge::Wait)),
            (0xd503_203f, Some(Edge::Hint)),
            (0xd503_201f, None),
            (0xd69f_03e0, Some(Edge::Leave)),
            (0xd65f_03c0, None),
            (0xd503_42ff, Some(Edge::Window)),
            (0xd503_42df, None),
            (0xd538_cc05, Some(Edge::Window)),
            (0xd538_c805, None),
            (0xd538_6001, Some(Edge::Fault)),
        ] {
            assert_eq!(edge_arm(word), edge, "{word:#x}");
        }
    }
}
