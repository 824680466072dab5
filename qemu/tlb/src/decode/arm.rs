//! AArch64.

use super::{ARM_MARK, Instruction, Reach, Tlbi};

/// MSR and MRS without their general register.
const TTBR0_WRITE: u32 = 0xd518_2000;
const TTBR1_WRITE: u32 = 0xd518_2020;
const TCR_WRITE: u32 = 0xd518_2040;
const SCTLR_WRITE: u32 = 0xd518_1000;
const FAR_READ: u32 = 0xd538_6000;
/// DC ZVA and DC GZVA.
const CLEAR_BLOCK: [u32; 2] = [0xd50b_7420, 0xd50b_7480];
/// WFE and WFI.
const WAIT: [u32; 2] = [0xd503_205f, 0xd503_207f];
/// SYS with op1 0: CRn, CRm, op2 and register are free.
const SYSTEM: u32 = 0xd508_0000;

/// What an instruction is, if it concerns translations.
#[must_use]
pub fn decode(word: u32) -> Option<Instruction> {
    let register = (word & 31) as u8;
    match word & !31 {
        TTBR0_WRITE => return Some(Instruction::Root(register)),
        TTBR1_WRITE => return Some(Instruction::KernelRoot(register)),
        TCR_WRITE => return Some(Instruction::Control(register)),
        SCTLR_WRITE => return Some(Instruction::Enable(register)),
        FAR_READ => return Some(Instruction::FaultAddress),
        clear if CLEAR_BLOCK.contains(&clear) => return Some(Instruction::ClearBlock(register)),
        _ => {}
    }
    if WAIT.contains(&word) {
        return Some(Instruction::Wait);
    }
    // MOVZ XZR, #immediate
    if word & 0xffe0_001f == 0xd280_001f && word >> 5 & 0xff00 == ARM_MARK {
        return Some(Instruction::Mark(word >> 5 & 0xff));
    }
    tlbi(word, register)
}

/// TLBI of EL1. Their forms nXS, by which CRn is 9, drop the same.
fn tlbi(word: u32, register: u8) -> Option<Instruction> {
    let (crn, crm, op2) = (word >> 12 & 15, word >> 8 & 15, word >> 5 & 7);
    if word & 0xffff_0000 != SYSTEM || !matches!(crn, 8 | 9) {
        return None;
    }
    let (reach, is_range) = match crm {
        1 | 3 => (Reach::All, false),
        7 => (Reach::Own, false),
        2 | 5 => (Reach::All, true),
        6 => (Reach::Own, true),
        _ => return None,
    };
    let (every_tag, last_level) = (op2 & 2 != 0, op2 & 4 != 0);
    let what = match (is_range, op2) {
        (false, 0) => Tlbi::All,
        (false, 2) => Tlbi::Tag,
        (false, 1 | 3 | 5 | 7) => Tlbi::Page { every_tag, last_level },
        (true, 1 | 3 | 5 | 7) => Tlbi::Range { every_tag, last_level },
        _ => return None,
    };
    Some(Instruction::Tlbi(what, reach, register))
}

/// The tag in a TLBI's operand.
#[must_use]
pub fn operand_tag(operand: u64) -> u16 {
    (operand >> 48) as u16
}

/// The address in the operand of a TLBI by address: bits 55 to 12 of it, of a 48-bit address space.
#[must_use]
pub fn operand_address(operand: u64) -> u64 {
    sign_extended(operand << 12, 47)
}

/// First address and length of the range in the operand of a TLBI by range, with 4 KiB granule.
#[must_use]
pub fn operand_range(operand: u64) -> (u64, u64) {
    let (scale, number) = (operand >> 44 & 3, operand >> 39 & 31);
    let bytes = (number + 1) << (5 * scale + 1) << 12;
    (sign_extended((operand & ((1 << 37) - 1)) << 12, 48), bytes)
}

/// An address of which the bits up to this one are given.
fn sign_extended(value: u64, top: u32) -> u64 {
    (((value << (63 - top)) as i64) >> (63 - top)) as u64
}

#[cfg(test)]
mod tests {
    use super::super::{Instruction, Reach, Tlbi};
    use super::{decode, operand_address, operand_range, operand_tag};

    #[test]
    fn system_registers_are_told_apart() {
        assert_eq!(decode(0xd518_2008), Some(Instruction::Root(8)));
        assert_eq!(decode(0xd518_2029), Some(Instruction::KernelRoot(9)));
        assert_eq!(decode(0xd518_205f), Some(Instruction::Control(31)));
        assert_eq!(decode(0xd518_1001), Some(Instruction::Enable(1)));
        assert_eq!(decode(0xd538_6001), Some(Instruction::FaultAddress));
        assert_eq!(decode(0xd538_2000), None, "reading TTBR0 changes nothing");
        assert_eq!(decode(0xd518_d020), None, "CONTEXTIDR_EL1 is no translation");
    }

    #[test]
    fn every_tlbi_of_el1_is_known() {
        let page = |every_tag, last_level| Tlbi::Page { every_tag, last_level };
        let range = |every_tag, last_level| Tlbi::Range { every_tag, last_level };
        // As an assembler gives them: vmalle1is, vae1is, aside1is, vaae1is, vale1is, vaale1is; the same local; outer
        // shareable; ranges inner shareable, outer shareable, local.
        for (word, what, reach) in [
            (0xd508_831f, Tlbi::All, Reach::All),
            (0xd508_8320, page(false, false), Reach::All),
            (0xd508_8340, Tlbi::Tag, Reach::All),
            (0xd508_8360, page(true, false), Reach::All),
            (0xd508_83a0, page(false, true), Reach::All),
            (0xd508_83e0, page(true, true), Reach::All),
            (0xd508_871f, Tlbi::All, Reach::Own),
            (0xd508_8720, page(false, false), Reach::Own),
            (0xd508_8740, Tlbi::Tag, Reach::Own),
            (0xd508_87e0, page(true, true), Reach::Own),
            (0xd508_8120, page(false, false), Reach::All),
            (0xd508_8220, range(false, false), Reach::All),
            (0xd508_8260, range(true, false), Reach::All),
            (0xd508_85a0, range(false, true), Reach::All),
            (0xd508_8620, range(false, false), Reach::Own),
            (0xd508_86e0, range(true, true), Reach::Own),
            (0xd508_9320, page(false, false), Reach::All),
        ] {
            assert_eq!(decode(word), Some(Instruction::Tlbi(what, reach, (word & 31) as u8)), "{word:#x}");
        }
        assert_eq!(decode(0xd508_7500), None, "IC IALLU");
        assert_eq!(decode(0xd508_7800), None, "AT S1E1R");
    }

    #[test]
    fn markers_waiting_and_clearing_are_known() {
        assert_eq!(decode(0xd280_0000 | 0x5303 << 5 | 31), Some(Instruction::Mark(3)));
        assert_eq!(decode(0xd280_0000 | 0x5403 << 5 | 31), None);
        assert_eq!(decode(0xd280_0000 | 0x5303 << 5), None, "that sets a register");
        assert_eq!(decode(0xd503_207f), Some(Instruction::Wait));
        assert_eq!(decode(0xd503_201f), None, "NOP");
        assert_eq!(decode(0xd50b_7425), Some(Instruction::ClearBlock(5)));
    }

    #[test]
    fn operands_hold_tag_address_and_range() {
        let operand = 7 << 48 | 0x12_3456;
        assert_eq!((operand_tag(operand), operand_address(operand)), (7, 0x1_2345_6000));
        assert_eq!(operand_address(0xffff_8000_0000_0000 >> 12 & ((1 << 44) - 1)), 0xffff_8000_0000_0000);
        // Four pages: number 1, scale 0; a scale counts by 32.
        assert_eq!(operand_range(1 << 46 | 1 << 39 | 0x400), (0x40_0000, 4 << 12));
        assert_eq!(operand_range(1 << 46 | 1 << 44 | 0x400), (0x40_0000, 64 << 12));
    }
}
