//! Which instructions change or reveal translations, by their encodings.
//!
//! x86-64: Intel SDM volume 2, "MOV: Move to/from Control Registers", "INVLPG", "INVPCID", and section 2.1.5 on ModR/M and SIB.
//! AArch64: DDI 0487, C5.1.3 "System instructions" and C5.5 "TLB maintenance instructions".

mod arm;
mod x86;

pub use arm::{decode as decode_arm, operand_address, operand_range, operand_tag};
pub use x86::decode as decode_x86;

/// The upper bits of an x86 marker's displacement.
pub const X86_MARK: u32 = 0x5445_5300;
/// The upper bits of an AArch64 marker's immediate.
pub const ARM_MARK: u32 = 0x5300;

/// What the emulator emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64.
    X86,
    /// AArch64.
    Arm,
}

/// How far a TLBI reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The CPU that executes it.
    Own,
    /// Every CPU (inner or outer shareable: the machine is one domain).
    All,
}

/// What a TLBI drops; the tag, address or range stand in its register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tlbi {
    /// VMALLE1.
    All,
    /// ASIDE1.
    Tag,
    /// VAE1, VAAE1 (every tag) and their last-level forms.
    Page {
        /// Whether it holds for every tag.
        every_tag: bool,
        /// Whether walk caches keep what they have.
        last_level: bool,
    },
    /// RVAE1, RVAAE1 and their last-level forms.
    Range {
        /// As above.
        every_tag: bool,
        /// As above.
        last_level: bool,
    },
}

/// An x86 memory operand: registers by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Operand {
    /// The base register.
    pub base: Option<u8>,
    /// The index register, and the power of two that it is multiplied by.
    pub index: Option<(u8, u8)>,
    /// What is added.
    pub displacement: i64,
    /// Whether the address of the next instruction is added as well.
    pub relative: bool,
}

/// What an instruction is to translations. Registers are the general ones, by number; 31 is AArch64's zero register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// A marker of the measured code or of the kernel, with its code.
    Mark(u32),
    /// MOV to CR3, MSR TTBR0_EL1.
    Root(u8),
    /// MSR TTBR1_EL1.
    KernelRoot(u8),
    /// MOV to CR0, MSR SCTLR_EL1: whether there is translation.
    Enable(u8),
    /// MOV to CR4, MSR TCR_EL1: how there is translation.
    Control(u8),
    /// MOV from CR2, MRS FAR_EL1: an access has faulted.
    FaultAddress,
    /// INVLPG.
    Invlpg(Operand),
    /// INVPCID: the register with its type, and its descriptor.
    Invpcid(u8, Operand),
    /// TLBI of EL1.
    Tlbi(Tlbi, Reach, u8),
    /// DC ZVA: a store that no callback tells of.
    ClearBlock(u8),
    /// HLT, WFI, WFE: the kernel has done what it was to do.
    Wait,
}
