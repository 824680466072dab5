//! What an exception syndrome says (DDI 0487, D24.2.40 "ESR_EL1"), as pure data: compiled and tested on every host.

use crate::{Access, FaultKind};

/// The exception classes, ESR_EL1.EC, that are told apart.
mod class {
    pub(super) const UNKNOWN: u64 = 0x00;
    pub(super) const WAIT_INSTRUCTION: u64 = 0x01;
    pub(super) const VECTORS_TRAPPED: u64 = 0x07;
    pub(super) const OTHER_INSTRUCTION: u64 = 0x0a;
    pub(super) const BRANCH_TARGET: u64 = 0x0d;
    pub(super) const ILLEGAL_STATE: u64 = 0x0e;
    pub(super) const WIDE_SYSTEM_REGISTER: u64 = 0x14;
    pub(super) const SYSTEM_REGISTER: u64 = 0x18;
    pub(super) const SCALABLE_VECTORS: u64 = 0x19;
    pub(super) const TRANSACTION: u64 = 0x1b;
    pub(super) const MATRICES: u64 = 0x1d;
    pub(super) const FETCH_FROM_USER: u64 = 0x20;
    pub(super) const FETCH_FROM_KERNEL: u64 = 0x21;
    pub(super) const MISALIGNED_INSTRUCTION: u64 = 0x22;
    pub(super) const DATA_FROM_USER: u64 = 0x24;
    pub(super) const DATA_FROM_KERNEL: u64 = 0x25;
    pub(super) const MISALIGNED_STACK: u64 = 0x26;
    pub(super) const MEMORY_COPY: u64 = 0x27;
    pub(super) const FLOATING_POINT: u64 = 0x2c;
    pub(super) const BREAKPOINT: u64 = 0x30;
    pub(super) const SINGLE_STEP: u64 = 0x32;
    pub(super) const WATCHPOINT: u64 = 0x34;
    pub(super) const BREAK_INSTRUCTION: u64 = 0x3c;
}

/// ESR_EL1.EC: where the field begins, and its six bits. What lies above it, ISS2 (bits 55 to 32), is further detail
/// that newer CPUs fill in and that nothing here needs.
pub(super) const CLASS_SHIFT: u32 = 26;
const CLASS_MASK: u64 = 0x3f;

/// Of an abort's details, bit 6, WnR: it was a write, or cache maintenance.
const WRITE: u64 = 1 << 6;
/// Of a data abort's details, bit 8, CM: it was cache maintenance.
const CACHE_MAINTENANCE: u64 = 1 << 8;
/// Bit 10, FnV: of an external abort, the address is not known.
const ADDRESS_UNKNOWN: u64 = 1 << 10;
/// Of an abort's status code, the lowest six bits: an external abort that is no table walk's.
const EXTERNAL_ABORT: u64 = 0b01_0000;

/// ESR_EL1 and FAR_EL1 of an exception.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syndrome {
    /// ESR_EL1.
    pub(super) bits: u64,
    /// FAR_EL1, which means something for some classes only.
    pub(super) fault_address: u64,
}

/// What a synchronous exception of user mode means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// WFI, WFE or one of their like: the thread has nothing to do for now.
    Wait,
    /// A fault at the address that the hardware tells.
    At(FaultKind, u64, Access),
    /// A fault of the instruction itself.
    Instruction(FaultKind),
    /// The stack pointer is not aligned.
    StackPointer,
}

/// What an exception of the kernel means, for words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KernelMeaning {
    /// An access that translation refused.
    Abort(Access),
    /// An instruction that does not exist.
    Unknown,
    /// A breakpoint instruction.
    Breakpoint,
    /// Anything else.
    Other,
}

impl Syndrome {
    fn class(self) -> u64 {
        (self.bits >> CLASS_SHIFT) & CLASS_MASK
    }

    /// Whether an instruction that needs the vector registers met `CPACR_EL1.FPEN`.
    pub(super) fn is_vectors_trapped(self) -> bool {
        self.class() == class::VECTORS_TRAPPED
    }

    /// What it means, if user mode caused it and it is no system call.
    pub(super) fn meaning(self) -> Meaning {
        match self.class() {
            class::WAIT_INSTRUCTION => Meaning::Wait,
            class::FETCH_FROM_USER | class::DATA_FROM_USER => {
                Meaning::At(self.abort_kind(), self.address(), self.access())
            }
            class::MISALIGNED_INSTRUCTION => Meaning::Instruction(FaultKind::Address),
            class::MISALIGNED_STACK => Meaning::StackPointer,
            class::UNKNOWN
            | class::VECTORS_TRAPPED
            | class::OTHER_INSTRUCTION
            | class::BRANCH_TARGET
            | class::ILLEGAL_STATE
            | class::WIDE_SYSTEM_REGISTER
            | class::SYSTEM_REGISTER
            | class::SCALABLE_VECTORS
            | class::TRANSACTION
            | class::MATRICES
            | class::MEMORY_COPY => Meaning::Instruction(FaultKind::Instruction),
            class::FLOATING_POINT => Meaning::Instruction(FaultKind::Arithmetic),
            class::SINGLE_STEP => Meaning::Instruction(FaultKind::Step),
            class::BREAKPOINT | class::WATCHPOINT | class::BREAK_INSTRUCTION => {
                Meaning::Instruction(FaultKind::Breakpoint)
            }
            other => Meaning::Instruction(FaultKind::Other(other as u32)),
        }
    }

    /// What user mode tried to do, if a page is missing or does not allow it. That the address may be none of user memory is not told.
    #[inline(always)]
    pub(super) fn page_access(self) -> Option<Access> {
        if !matches!(self.status(), 0b000100..=0b001111) {
            return None;
        }
        match self.class() {
            class::DATA_FROM_USER => Some(self.data_access()),
            class::FETCH_FROM_USER => Some(Access::Execute),
            _ => None,
        }
    }

    /// What it means, if the kernel caused it.
    pub(super) fn kernel_meaning(self) -> KernelMeaning {
        match self.class() {
            class::DATA_FROM_KERNEL | class::FETCH_FROM_KERNEL => KernelMeaning::Abort(self.access()),
            class::UNKNOWN => KernelMeaning::Unknown,
            class::BREAK_INSTRUCTION => KernelMeaning::Breakpoint,
            _ => KernelMeaning::Other,
        }
    }

    /// The address of an abort, 0 if the hardware does not know it.
    pub(super) fn address(self) -> u64 {
        let is_unknown = self.status() == EXTERNAL_ABORT && self.bits & ADDRESS_UNKNOWN != 0;
        if is_unknown { 0 } else { self.fault_address }
    }

    /// An abort's status code: DFSC or IFSC.
    fn status(self) -> u64 {
        self.bits & 0x3f
    }

    /// What an abort tried to do. Cache maintenance needs no more than leave to read.
    fn access(self) -> Access {
        match self.class() {
            class::FETCH_FROM_USER | class::FETCH_FROM_KERNEL => Access::Execute,
            _ => self.data_access(),
        }
    }

    /// The same of data.
    #[inline(always)]
    fn data_access(self) -> Access {
        let (writes, maintains) = (self.bits / WRITE, self.bits / CACHE_MAINTENANCE);
        if writes & !maintains & 1 != 0 { Access::Write } else { Access::Read }
    }

    /// What an abort's status code means. The level that a walk came to is of no interest.
    fn abort_kind(self) -> FaultKind {
        match self.status() {
            // A translation fault, on an address that neither half of the address space contains: one with a tag in its
            // upper byte (TCR_EL1.TBI0 is clear) is such an address too.
            0b000100..=0b000111 | 0b101011 if !is_canonical(self.address()) => FaultKind::Address,
            // Translation, access flag and permission faults at levels 0 to 3; translation faults at level -1.
            0b000100..=0b001111 | 0b101011 => FaultKind::Page,
            // Alignment; an exclusive or atomic access that this memory does not support.
            0b100001 | 0b110101 => FaultKind::Address,
            _ => FaultKind::Other(self.bits as u32),
        }
    }
}

/// Whether the upper 16 bits are all the same.
fn is_canonical(address: u64) -> bool {
    matches!(address >> 48, 0 | 0xffff)
}

#[cfg(test)]
mod tests {
    use super::{ADDRESS_UNKNOWN, CACHE_MAINTENANCE, CLASS_SHIFT, KernelMeaning, Meaning, Syndrome, WRITE};
    use crate::{Access, FaultKind};

    /// Bit 25, IL: the instruction has 32 bits.
    const LONG: u64 = 1 << 25;
    /// Bit 7, S1PTW: the fault was on a table walk's way through the second stage.
    const ON_WALK: u64 = 1 << 7;
    /// Bit 24, ISV, and bits 23 to 14: which register, how wide.
    const DETAIL: u64 = 1 << 24 | 0x3ff << 14;
    const ADDRESS: u64 = 0x12_3456;

    fn syndrome(class: u64, details: u64) -> Syndrome {
        Syndrome { bits: class << CLASS_SHIFT | LONG | details, fault_address: ADDRESS }
    }

    /// What newer CPUs may add to any syndrome: nothing, one bit, all 24.
    const ADDED: [u64; 4] = [0, 1 << 32, 0xff_ffff << 32, u64::MAX << 32];

    fn same_with_anything_added(class: u64, details: u64, expected: Meaning) {
        for added in ADDED {
            let plain = syndrome(class, details);
            let found = Syndrome { bits: plain.bits | added, ..plain }.meaning();
            match (found, expected) {
                // The number of what means nothing holds all the bits there are.
                (Meaning::At(FaultKind::Other(_), at, access), Meaning::At(FaultKind::Other(_), ..)) => {
                    assert_eq!(Meaning::At(FaultKind::Page, at, access), at_page(expected));
                }
                _ => assert_eq!(found, expected, "class {class:#x} details {details:#x} added {added:#x}"),
            }
        }
    }

    fn at_page(meaning: Meaning) -> Meaning {
        if let Meaning::At(_, address, access) = meaning {
            Meaning::At(FaultKind::Page, address, access)
        } else {
            meaning
        }
    }

    #[test]
    fn every_class_means_the_same_whatever_stands_above_it() {
        for class in 0..64 {
            let expected = match class {
                0x01 => Meaning::Wait,
                0x20 => Meaning::At(FaultKind::Page, ADDRESS, Access::Execute),
                0x24 => Meaning::At(FaultKind::Page, ADDRESS, Access::Read),
                0x22 => Meaning::Instruction(FaultKind::Address),
                0x26 => Meaning::StackPointer,
                0x00 | 0x07 | 0x0a | 0x0d | 0x0e | 0x14 | 0x18 | 0x19 | 0x1b | 0x1d | 0x27 => {
                    Meaning::Instruction(FaultKind::Instruction)
                }
                0x2c => Meaning::Instruction(FaultKind::Arithmetic),
                0x32 => Meaning::Instruction(FaultKind::Step),
                0x30 | 0x34 | 0x3c => Meaning::Instruction(FaultKind::Breakpoint),
                other => Meaning::Instruction(FaultKind::Other(other as u32)),
            };
            same_with_anything_added(class, 0b000111, expected);
            for added in ADDED {
                let found = Syndrome { bits: syndrome(class, 0).bits | added, fault_address: ADDRESS };
                assert_eq!(found.is_vectors_trapped(), class == 0x07, "only a first use of the registers is one");
            }
        }
    }

    #[test]
    fn the_status_code_says_what_kind_of_abort() {
        for status in 0..64 {
            let expected = match status {
                0b000100..=0b001111 | 0b101011 => Some(FaultKind::Page),
                0b100001 | 0b110101 => Some(FaultKind::Address),
                _ => None,
            };
            for (class, access) in [(0x20, Access::Execute), (0x24, Access::Read)] {
                for details in [0, ON_WALK, DETAIL] {
                    let bits = syndrome(class, details | status).bits;
                    let kind = expected.unwrap_or(FaultKind::Other(bits as u32));
                    same_with_anything_added(class, details | status, Meaning::At(kind, ADDRESS, access));
                }
            }
        }
    }

    #[test]
    fn what_a_page_was_wanted_for_is_told_of_pages_only() {
        for (class, status) in (0..64).flat_map(|class| (0..64).map(move |status| (class, status))) {
            for details in [0, WRITE, WRITE | CACHE_MAINTENANCE, ON_WALK, DETAIL] {
                let found = syndrome(class, details | status);
                // A walk that goes one level further than these tables have is none of them.
                let expected = match found.meaning() {
                    Meaning::At(FaultKind::Page, _, access) if status != 0b101011 => Some(access),
                    _ => None,
                };
                for added in ADDED {
                    assert_eq!(Syndrome { bits: found.bits | added, ..found }.page_access(), expected);
                }
            }
        }
    }

    #[test]
    fn only_what_writes_to_memory_is_a_write() {
        let data = [
            (0, Access::Read),
            (WRITE, Access::Write),
            (WRITE | CACHE_MAINTENANCE, Access::Read),
            (CACHE_MAINTENANCE, Access::Read),
        ];
        for (details, access) in data {
            same_with_anything_added(0x24, details | 0b001111, Meaning::At(FaultKind::Page, ADDRESS, access));
        }
        // The bit is reserved for instruction fetches.
        same_with_anything_added(0x20, WRITE | 0b001111, Meaning::At(FaultKind::Page, ADDRESS, Access::Execute));
    }

    #[test]
    fn the_address_counts_unless_the_hardware_does_not_know_it() {
        let external = syndrome(0x24, 0b010000);
        assert_eq!(external.address(), ADDRESS);
        assert_eq!(syndrome(0x24, ADDRESS_UNKNOWN | 0b010000).address(), 0);
        // Only external abort syndromes have the bit.
        assert_eq!(syndrome(0x24, ADDRESS_UNKNOWN | 0b000111).address(), ADDRESS);
    }

    #[test]
    fn an_address_outside_of_both_halves_is_no_page() {
        let at = |fault_address, status| Syndrome { fault_address, ..syndrome(0x24, status) }.meaning();
        let page = |address| Meaning::At(FaultKind::Page, address, Access::Read);
        for inside in [0, (1 << 48) - 1, 0xffff << 48, u64::MAX] {
            assert_eq!(at(inside, 0b000100), page(inside));
        }
        // A tagged address among them: the upper byte is part of it.
        for outside in [1 << 48, 1 << 63, 0x5a00_0000_0040_0000, 0xfffe << 48] {
            let expected = Meaning::At(FaultKind::Address, outside, Access::Read);
            assert_eq!((at(outside, 0b000100), at(outside, 0b101011)), (expected, expected));
        }
    }

    #[test]
    fn the_kernels_own_exceptions_are_told_apart() {
        for added in ADDED {
            let of = |class, details| {
                let plain = syndrome(class, details);
                Syndrome { bits: plain.bits | added, ..plain }.kernel_meaning()
            };
            assert_eq!(of(0x25, WRITE | 0b001111), KernelMeaning::Abort(Access::Write));
            assert_eq!(of(0x21, 0b001111), KernelMeaning::Abort(Access::Execute));
            assert_eq!((of(0x00, 0), of(0x3c, 0)), (KernelMeaning::Unknown, KernelMeaning::Breakpoint));
            assert_eq!((of(0x24, 0), of(0x2f, 0)), (KernelMeaning::Other, KernelMeaning::Other));
        }
    }
}
