//! Linux executables: from the bytes of a static ELF file to the parts that are to be mapped, with everything checked.

use alloc::vec::Vec;
use core::fmt;
use elf::ElfBytes;
use elf::abi::{ET_DYN, ET_EXEC, PF_R, PF_W, PF_X, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;
use libvas::{PAGE_BYTES, Rights, USER_START};

/// Where images may lie: what is above is for `mmap`, `brk` and the stack.
pub const IMAGES_END: u64 = 0x1000_0000_0000;

/// Where a program is put that does not care.
const ANYWHERE: u64 = 0x0555_5000_0000;

/// Why a file cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// No 64-bit little-endian ELF file, or cut off.
    NoElf,
    /// Made for another processor, by its `e_machine` number.
    OtherMachine(u16),
    /// No program, by its `e_type`.
    NoProgram(u16),
    /// It wants to be loaded by another program.
    Dynamic,
    /// Nothing in it is to be mapped.
    Empty,
    /// A part leaves the range that images may take, or does not lie in its page as in its file.
    Misplaced(u64),
    /// A part's bytes lie beyond the end of the file, or it has more bytes than memory.
    CutOff(u64),
    /// A part shares a page with the one before it, or lies in front of it.
    Overlap(u64),
    /// A part is unreadable, or writable and executable at once.
    BadRights(u64),
}

impl fmt::Display for Flaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::NoElf => write!(formatter, "not a whole 64-bit little-endian ELF file"),
            Flaw::OtherMachine(machine) => write!(formatter, "made for another processor (ELF machine {machine})"),
            Flaw::NoProgram(kind) => write!(formatter, "no program (ELF type {kind})"),
            Flaw::Dynamic => write!(formatter, "not static: it wants a loader"),
            Flaw::Empty => write!(formatter, "has nothing to map"),
            Flaw::Misplaced(at) => write!(formatter, "the part at {at:#x} is not where a program may have it"),
            Flaw::CutOff(at) => write!(formatter, "the bytes of the part at {at:#x} are not all there"),
            Flaw::Overlap(at) => write!(formatter, "the part at {at:#x} meets the one before it"),
            Flaw::BadRights(at) => write!(formatter, "the part at {at:#x} is unreadable, or writable and executable"),
        }
    }
}

/// One part of a program, on pages of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Where its first page is.
    pub address: u64,
    /// How much memory it takes, bytes, a multiple of the page size.
    pub length_bytes: u64,
    /// Where in its first page its bytes begin.
    pub skip_bytes: u64,
    /// They; the rest is zero.
    pub bytes: &'a [u8],
    /// What it allows: `READ` and at most one of `WRITE` and `EXECUTE`.
    pub rights: Rights,
}

impl Part<'_> {
    fn end(&self) -> u64 {
        self.address + self.length_bytes
    }
}

/// A program, checked: its parts in order of address, apart from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable<'a> {
    /// Address of the first instruction.
    pub entry: u64,
    /// Where its program headers are in memory; 0 if they are in no part.
    pub headers: u64,
    /// How many there are.
    pub header_count: u64,
    /// What to map; at least one part.
    pub parts: Vec<Part<'a>>,
}

impl<'a> Executable<'a> {
    /// Reads and checks an ELF file for the processor with this `e_machine` number.
    ///
    /// # Errors
    /// The first flaw found.
    pub fn parse(file: &'a [u8], machine: u16) -> Result<Executable<'a>, Flaw> {
        let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|_| Flaw::NoElf)?;
        let header = elf.ehdr;
        if header.class != Class::ELF64 {
            return Err(Flaw::NoElf);
        }
        if header.e_machine != machine {
            return Err(Flaw::OtherMachine(header.e_machine));
        }
        let bias = match header.e_type {
            ET_EXEC => 0,
            ET_DYN => ANYWHERE,
            other => return Err(Flaw::NoProgram(other)),
        };
        let segments: Vec<ProgramHeader> = elf.segments().ok_or(Flaw::Empty)?.iter().collect();
        if segments.iter().any(|segment| segment.p_type == PT_INTERP) {
            return Err(Flaw::Dynamic);
        }
        let mut parts: Vec<Part<'a>> = Vec::new();
        let mut headers = 0;
        for segment in segments.iter().filter(|segment| segment.p_type == PT_LOAD && segment.p_memsz > 0) {
            let part = part_of(&elf, segment, bias)?;
            if parts.last().is_some_and(|last| part.address < last.end()) {
                return Err(Flaw::Overlap(part.address));
            }
            if (segment.p_offset..segment.p_offset + segment.p_filesz).contains(&header.e_phoff) {
                headers = part.address + part.skip_bytes + (header.e_phoff - segment.p_offset);
            }
            parts.push(part);
        }
        if parts.is_empty() {
            return Err(Flaw::Empty);
        }
        let entry = header.e_entry.wrapping_add(bias);
        Ok(Executable { entry, headers, header_count: segments.len() as u64, parts })
    }

    /// The first address after it all.
    pub fn end(&self) -> u64 {
        self.parts.last().map_or(0, Part::end)
    }
}

fn part_of<'a>(elf: &ElfBytes<'a, LittleEndian>, segment: &ProgramHeader, bias: u64) -> Result<Part<'a>, Flaw> {
    let misplaced = Flaw::Misplaced(segment.p_vaddr);
    let begin = segment.p_vaddr.checked_add(bias).ok_or(misplaced)?;
    let end = begin.checked_add(segment.p_memsz).and_then(|end| end.checked_next_multiple_of(PAGE_BYTES));
    let end = end.filter(|end| *end <= IMAGES_END).ok_or(misplaced)?;
    let skip_bytes = begin % PAGE_BYTES;
    if begin < USER_START || skip_bytes != segment.p_offset % PAGE_BYTES {
        return Err(misplaced);
    }
    let bytes = elf.segment_data(segment).map_err(|_| Flaw::CutOff(segment.p_vaddr))?;
    if segment.p_filesz > segment.p_memsz {
        return Err(Flaw::CutOff(segment.p_vaddr));
    }
    let mut rights = Rights::empty();
    for (flag, right) in [(PF_R, Rights::READ), (PF_W, Rights::WRITE), (PF_X, Rights::EXECUTE)] {
        rights.set(right, segment.p_flags & flag != 0);
    }
    if !rights.contains(Rights::READ) || rights.is_write_execute() {
        return Err(Flaw::BadRights(segment.p_vaddr));
    }
    let address = begin - skip_bytes;
    Ok(Part { address, length_bytes: end - address, skip_bytes, bytes, rights })
}

#[cfg(test)]
mod tests {
    use super::{ANYWHERE, Executable, Flaw, IMAGES_END};
    use crate::probe::{Segment, file};
    use libvas::Rights;

    const MACHINE: u16 = 62;
    const TEXT: Segment =
        Segment { kind: 1, flags: 5, offset: 0, address: 0x40_0000, file_bytes: 0x200, memory_bytes: 0x200 };
    const DATA: Segment =
        Segment { kind: 1, flags: 6, offset: 0x1f0, address: 0x40_11f0, file_bytes: 16, memory_bytes: 0x1000 };

    fn elf(kind: u8, segments: &[Segment]) -> Vec<u8> {
        file(MACHINE, kind, 0x40_0100, segments, &[0x90; 0x100])
    }

    fn flaw(segments: &[Segment]) -> Option<Flaw> {
        Executable::parse(&elf(2, segments), MACHINE).err()
    }

    #[test]
    fn a_good_file_gives_its_parts() {
        let file = elf(2, &[TEXT, DATA]);
        let executable = Executable::parse(&file, MACHINE).expect("the file is good");
        assert_eq!((executable.entry, executable.headers, executable.header_count), (0x40_0100, 0x40_0040, 2));
        assert_eq!((executable.parts[0].address, executable.parts[0].rights), (0x40_0000, Rights::READ_EXECUTE));
        let data = executable.parts[1];
        assert_eq!(
            (data.address, data.skip_bytes, data.length_bytes, data.bytes.len()),
            (0x40_1000, 0x1f0, 0x2000, 16)
        );
        assert_eq!(executable.end(), 0x40_3000);
    }

    #[test]
    fn one_that_can_lie_anywhere_does() {
        let file = elf(3, &[Segment { address: 0, ..TEXT }]);
        let executable = Executable::parse(&file, MACHINE).expect("the file is good");
        assert_eq!((executable.parts[0].address, executable.entry), (ANYWHERE, ANYWHERE + 0x40_0100));
    }

    #[test]
    fn what_cannot_run_here_is_refused() {
        assert_eq!(Executable::parse(b"#!/bin/sh", MACHINE), Err(Flaw::NoElf));
        assert_eq!(Executable::parse(&elf(2, &[TEXT]), 183), Err(Flaw::OtherMachine(62)));
        assert_eq!(Executable::parse(&elf(1, &[TEXT]), MACHINE), Err(Flaw::NoProgram(1)));
        assert_eq!((flaw(&[]), flaw(&[Segment { kind: 4, ..TEXT }])), (Some(Flaw::Empty), Some(Flaw::Empty)));
        assert_eq!(flaw(&[Segment { kind: 3, ..TEXT }, TEXT]), Some(Flaw::Dynamic));
    }

    #[test]
    fn misplaced_parts_are_refused() {
        for address in [0, 8, 0x40_0008, IMAGES_END, u64::MAX - 0xfff] {
            assert_eq!(flaw(&[Segment { address, ..TEXT }]), Some(Flaw::Misplaced(address)), "{address:#x}");
        }
        assert_eq!(flaw(&[Segment { memory_bytes: u64::MAX, ..TEXT }]), Some(Flaw::Misplaced(0x40_0000)));
        assert_eq!(flaw(&[TEXT, TEXT]), Some(Flaw::Overlap(0x40_0000)));
        assert_eq!(flaw(&[DATA, TEXT]), Some(Flaw::Overlap(0x40_0000)));
    }

    #[test]
    fn missing_bytes_and_bad_rights_are_refused() {
        assert_eq!(
            flaw(&[Segment { file_bytes: 0x1000, memory_bytes: 0x1000, ..TEXT }]),
            Some(Flaw::CutOff(0x40_0000))
        );
        assert_eq!(flaw(&[Segment { memory_bytes: 8, ..TEXT }]), Some(Flaw::CutOff(0x40_0000)));
        for flags in [0, 1, 2, 7] {
            assert_eq!(flaw(&[Segment { flags, ..TEXT }]), Some(Flaw::BadRights(0x40_0000)));
        }
    }
}
