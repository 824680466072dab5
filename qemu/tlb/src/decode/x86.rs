//! x86-64.

use super::{Instruction, Operand, X86_MARK};

/// The registers that a prefix REX extends.
#[derive(Clone, Copy)]
struct Rex(u8);

impl Rex {
    fn reg(self, low: u8) -> u8 {
        low | (self.0 & 4) << 1
    }

    fn index(self, low: u8) -> u8 {
        low | (self.0 & 2) << 2
    }

    fn base(self, low: u8) -> u8 {
        low | (self.0 & 1) << 3
    }
}

/// What the instruction that these bytes begin with is, if it concerns translations.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Instruction> {
    let prefixes = bytes.iter().take_while(|byte| matches!(byte, 0x66 | 0xf0 | 0xf2 | 0xf3)).count();
    let has_size = bytes[..prefixes].contains(&0x66);
    let rest = &bytes[prefixes..];
    let (rex, rest) = match rest {
        [rex @ 0x40..=0x4f, rest @ ..] => (Rex(*rex), rest),
        _ => (Rex(0), rest),
    };
    match rest {
        [0xf4, ..] => Some(Instruction::Wait),
        [0x0f, 0x20, modrm, ..] if rex.reg(modrm >> 3 & 7) == 2 => Some(Instruction::FaultAddress),
        [0x0f, 0x22, modrm, ..] => control(rex.reg(modrm >> 3 & 7), rex.base(modrm & 7)),
        [0x0f, 0x01, modrm, ..] if modrm >> 3 & 7 == 7 && modrm >> 6 != 3 => {
            Some(Instruction::Invlpg(operand(rex, &rest[2..])?))
        }
        [0x0f, 0x38, 0x82, modrm, ..] if has_size && modrm >> 6 != 3 => {
            Some(Instruction::Invpcid(rex.reg(modrm >> 3 & 7), operand(rex, &rest[3..])?))
        }
        [0x0f, 0x1f, 0x80, displacement @ ..] => mark(displacement),
        _ => None,
    }
}

fn control(register: u8, from: u8) -> Option<Instruction> {
    match register {
        0 => Some(Instruction::Enable(from)),
        3 => Some(Instruction::Root(from)),
        4 => Some(Instruction::Control(from)),
        _ => None,
    }
}

fn mark(displacement: &[u8]) -> Option<Instruction> {
    let value = u32::from_le_bytes(displacement.get(..4)?.try_into().ok()?);
    (value & !0xff == X86_MARK).then_some(Instruction::Mark(value & 0xff))
}

/// The memory operand that begins with a ModR/M byte. Segment bases are zero in the kernel but for FS and GS, which neither
/// instruction is used with.
fn operand(rex: Rex, bytes: &[u8]) -> Option<Operand> {
    let (modrm, rest) = bytes.split_first()?;
    let (mode, rm) = (modrm >> 6, modrm & 7);
    let mut found = Operand::default();
    let mut rest = rest;
    if rm == 4 {
        let (sib, behind) = rest.split_first()?;
        rest = behind;
        let index = rex.index(sib >> 3 & 7);
        found.index = (index != 4).then_some((index, sib >> 6));
        found.base = (sib & 7 != 5 || mode != 0).then_some(rex.base(sib & 7));
    } else if rm == 5 && mode == 0 {
        found.relative = true;
    } else {
        found.base = Some(rex.base(rm));
    }
    let is_long = mode == 2 || mode == 0 && found.base.is_none();
    found.displacement = match (mode, is_long) {
        (1, _) => i64::from(*rest.first()? as i8),
        (_, true) => i64::from(i32::from_le_bytes(rest.get(..4)?.try_into().ok()?)),
        _ => 0,
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::super::{Instruction, Operand};
    use super::decode;

    #[test]
    fn control_registers_are_told_apart() {
        assert_eq!(decode(&[0x0f, 0x22, 0xd8]), Some(Instruction::Root(0)));
        assert_eq!(decode(&[0x41, 0x0f, 0x22, 0xdf]), Some(Instruction::Root(15)));
        assert_eq!(decode(&[0x0f, 0x22, 0xc1]), Some(Instruction::Enable(1)));
        assert_eq!(decode(&[0x0f, 0x22, 0xe2]), Some(Instruction::Control(2)));
        assert_eq!(decode(&[0x0f, 0x20, 0xd0]), Some(Instruction::FaultAddress));
        assert_eq!(decode(&[0x0f, 0x20, 0xd8]), None, "reading CR3 changes nothing");
        assert_eq!(decode(&[0x44, 0x0f, 0x22, 0xc0]), None, "CR8 is about interrupts");
    }

    #[test]
    fn invlpg_takes_every_addressing_mode() {
        let at = |bytes: &[u8]| match decode(bytes) {
            Some(Instruction::Invlpg(operand)) => operand,
            other => panic!("{other:?}"),
        };
        let base = |base| Operand { base: Some(base), ..Operand::default() };
        assert_eq!(at(&[0x0f, 0x01, 0x38]), base(0));
        assert_eq!(at(&[0x41, 0x0f, 0x01, 0x3f]), base(15));
        assert_eq!(at(&[0x0f, 0x01, 0x3c, 0x24]), base(4));
        assert_eq!(at(&[0x0f, 0x01, 0x7d, 0xf8]), Operand { displacement: -8, ..base(5) });
        assert_eq!(at(&[0x42, 0x0f, 0x01, 0x3c, 0x88]), Operand { index: Some((9, 2)), ..base(0) });
        assert_eq!(at(&[0x0f, 0x01, 0xb9, 0, 0x10, 0, 0][..]).displacement, 0x1000);
        assert_eq!(
            at(&[0x0f, 0x01, 0x3d, 0x10, 0, 0, 0]),
            Operand { relative: true, displacement: 16, ..Operand::default() }
        );
        assert_eq!(
            at(&[0x0f, 0x01, 0x3c, 0x25, 0, 0x20, 0, 0]),
            Operand { displacement: 0x2000, ..Operand::default() }
        );
        assert_eq!(decode(&[0x0f, 0x01, 0xf8]), None, "SWAPGS has a register operand");
        assert_eq!(decode(&[0x0f, 0x01, 0x10, 0]), None, "LGDT");
    }

    #[test]
    fn invpcid_markers_and_waiting_are_known() {
        let by_rdi = Operand { base: Some(7), ..Operand::default() };
        assert_eq!(decode(&[0x66, 0x0f, 0x38, 0x82, 0x07]), Some(Instruction::Invpcid(0, by_rdi)));
        assert_eq!(decode(&[0x0f, 0x1f, 0x80, 0x02, 0x53, 0x45, 0x54]), Some(Instruction::Mark(2)));
        assert_eq!(decode(&[0x0f, 0x1f, 0x80, 0x00, 0x02, 0x00, 0x00]), None, "padding is no marker");
        assert_eq!(decode(&[0xf4]), Some(Instruction::Wait));
        assert_eq!(decode(&[]), None);
    }
}
