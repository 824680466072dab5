//! Executables: from the bytes of a static ELF file to the parts that are to be mapped, with everything checked.

#![no_std]

#[cfg(test)]
#[macro_use]
extern crate std;

extern crate alloc;

pub mod handmade;

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use elf::ElfBytes;
use elf::abi::{ET_DYN, ET_EXEC, PF_R, PF_W, PF_X, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;
use libvas::{PAGE_BYTES, Rights};

/// Where whoever runs programs can have them.
#[derive(Clone, Debug)]
pub struct Room {
    /// The addresses that parts may take.
    pub range: Range<u64>,
    /// Where one is put that can lie anywhere; if nowhere, it is refused.
    pub anywhere: Option<u64>,
}

/// Why a file cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// No 64-bit little-endian ELF file, or cut off.
    NoElf,
    /// Made for another processor, by its `e_machine` number.
    OtherMachine(u16),
    /// No program, by its `e_type`.
    NoProgram(u16),
    /// It can lie anywhere (`e_type` is `ET_DYN`), and is to lie at fixed addresses.
    NotFixed,
    /// It wants to be loaded by another program.
    Dynamic,
    /// Nothing in it is to be mapped.
    Empty,
    /// A part leaves the range that it may take, or does not lie in its page as in its file.
    Misplaced(u64),
    /// A part's bytes lie beyond the end of the file, or it has more bytes than memory.
    CutOff(u64),
    /// A part shares a page with the one before it, or lies in front of it.
    Overlap(u64),
    /// A part is unreadable, or writable and executable at once.
    BadRights(u64),
    /// The first instruction does not lie in an executable part.
    BadEntry(u64),
}

impl fmt::Display for Flaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::NoElf => write!(formatter, "not a whole 64-bit little-endian ELF file"),
            Flaw::OtherMachine(machine) => write!(formatter, "made for another processor (ELF machine {machine})"),
            Flaw::NoProgram(kind) => write!(formatter, "no program (ELF type {kind})"),
            Flaw::NotFixed => write!(formatter, "not linked to a fixed address"),
            Flaw::Dynamic => write!(formatter, "not static: it wants a loader"),
            Flaw::Empty => write!(formatter, "has nothing to map"),
            Flaw::Misplaced(at) => write!(formatter, "the part at {at:#x} is not where a program may have it"),
            Flaw::CutOff(at) => write!(formatter, "the bytes of the part at {at:#x} are not all there"),
            Flaw::Overlap(at) => write!(formatter, "the part at {at:#x} meets the one before it"),
            Flaw::BadRights(at) => write!(formatter, "the part at {at:#x} is unreadable, or writable and executable"),
            Flaw::BadEntry(at) => write!(formatter, "the entry point {at:#x} is in no executable part"),
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

    fn holds(&self, instruction: u64) -> bool {
        self.rights.contains(Rights::EXECUTE) && (self.address..self.end()).contains(&instruction)
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
    pub fn parse(file: &'a [u8], machine: u16, room: &Room) -> Result<Executable<'a>, Flaw> {
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
            ET_DYN => room.anywhere.ok_or(Flaw::NotFixed)?,
            other => return Err(Flaw::NoProgram(other)),
        };
        let segments: Vec<ProgramHeader> = elf.segments().ok_or(Flaw::Empty)?.iter().collect();
        if segments.iter().any(|segment| segment.p_type == PT_INTERP) {
            return Err(Flaw::Dynamic);
        }
        let mut parts: Vec<Part<'a>> = Vec::new();
        let mut headers = 0;
        for segment in segments.iter().filter(|segment| segment.p_type == PT_LOAD && segment.p_memsz > 0) {
            let part = part_of(&elf, segment, bias, &room.range)?;
            if parts.last().is_some_and(|last| part.address < last.end()) {
                return Err(Flaw::Overlap(part.address));
            }
            if (segment.p_offset..segment.p_offset + segment.p_filesz).contains(&header.e_phoff) {
                headers = part.address + part.skip_bytes + (header.e_phoff - segment.p_offset);
            }
            parts.push(part);
        }
        let entry = header.e_entry.wrapping_add(bias);
        match parts.as_slice() {
            [] => Err(Flaw::Empty),
            all if !all.iter().any(|part| part.holds(entry)) => Err(Flaw::BadEntry(entry)),
            _ => Ok(Executable { entry, headers, header_count: segments.len() as u64, parts }),
        }
    }

    /// The first address, and the first address after it all.
    pub fn bounds(&self) -> (u64, u64) {
        (self.parts.first().map_or(0, |part| part.address), self.parts.last().map_or(0, Part::end))
    }
}

fn part_of<'a>(
    elf: &ElfBytes<'a, LittleEndian>,
    segment: &ProgramHeader,
    bias: u64,
    range: &Range<u64>,
) -> Result<Part<'a>, Flaw> {
    let misplaced = Flaw::Misplaced(segment.p_vaddr);
    let begin = segment.p_vaddr.checked_add(bias).ok_or(misplaced)?;
    let end = begin.checked_add(segment.p_memsz).and_then(|end| end.checked_next_multiple_of(PAGE_BYTES));
    let end = end.filter(|end| *end <= range.end).ok_or(misplaced)?;
    let skip_bytes = begin % PAGE_BYTES;
    let address = begin - skip_bytes;
    if address < range.start || skip_bytes != segment.p_offset % PAGE_BYTES {
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
    Ok(Part { address, length_bytes: end - address, skip_bytes, bytes, rights })
}

#[cfg(test)]
mod tests {
    use super::{Executable, Flaw, Room};
    use crate::handmade::{Segment, file};
    use alloc::vec::Vec;
    use libvas::Rights;

    const MACHINE: u16 = 62;
    const ANYWHERE: u64 = 0x5550_0000;
    const ENTRY: u64 = 0x40_0100;
    const FIXED: Room = Room { range: 0x1_0000..0x1000_0000_0000, anywhere: None };
    const TEXT: Segment =
        Segment { kind: 1, flags: 5, offset: 0, address: 0x40_0000, file_bytes: 0x200, memory_bytes: 0x200 };
    const DATA: Segment =
        Segment { kind: 1, flags: 6, offset: 0x1f0, address: 0x40_11f0, file_bytes: 16, memory_bytes: 0x1000 };

    fn elf(kind: u8, segments: &[Segment]) -> Vec<u8> {
        file(MACHINE, kind, ENTRY, segments, &[0x90; 0x100])
    }

    fn flaw(segments: &[Segment]) -> Option<Flaw> {
        Executable::parse(&elf(2, segments), MACHINE, &FIXED).err()
    }

    #[test]
    fn a_good_file_gives_its_parts() {
        let file = elf(2, &[TEXT, DATA]);
        let executable = Executable::parse(&file, MACHINE, &FIXED).expect("the file is good");
        assert_eq!((executable.entry, executable.headers, executable.header_count), (ENTRY, 0x40_0040, 2));
        assert_eq!((executable.parts[0].address, executable.parts[0].rights), (0x40_0000, Rights::READ_EXECUTE));
        let data = executable.parts[1];
        assert_eq!((data.address, data.skip_bytes, data.length_bytes), (0x40_1000, 0x1f0, 0x2000));
        assert_eq!((data.rights, data.bytes), (Rights::READ_WRITE, &[0x90; 16][..]));
        assert_eq!(executable.bounds(), (0x40_0000, 0x40_3000));
    }

    #[test]
    fn one_that_can_lie_anywhere_does_where_there_is_room_for_it() {
        let file = elf(3, &[Segment { address: 0, ..TEXT }]);
        let room = Room { anywhere: Some(ANYWHERE), ..FIXED };
        // The entry point counts from where it is put.
        assert_eq!(Executable::parse(&file, MACHINE, &room), Err(Flaw::BadEntry(ANYWHERE + ENTRY)));
        let file = elf(3, &[TEXT]);
        let executable = Executable::parse(&file, MACHINE, &room).expect("the file is good");
        assert_eq!((executable.parts[0].address, executable.entry), (ANYWHERE + 0x40_0000, ANYWHERE + ENTRY));
        assert_eq!(Executable::parse(&file, MACHINE, &FIXED), Err(Flaw::NotFixed));
    }

    #[test]
    fn what_cannot_run_here_is_refused() {
        let parse = |file: &[u8], machine| Executable::parse(file, machine, &FIXED).err();
        let good = elf(2, &[TEXT]);
        assert_eq!(parse(b"#!/bin/sh", MACHINE), Some(Flaw::NoElf));
        assert_eq!(parse(&good[..100], MACHINE), Some(Flaw::NoElf));
        assert_eq!(parse(&good, 183), Some(Flaw::OtherMachine(62)));
        assert_eq!(parse(&elf(1, &[TEXT]), MACHINE), Some(Flaw::NoProgram(1)));
        let mut narrow = good;
        narrow[4] = 1;
        assert!(parse(&narrow, MACHINE).is_some());
        assert_eq!((flaw(&[]), flaw(&[Segment { kind: 4, ..TEXT }])), (Some(Flaw::Empty), Some(Flaw::Empty)));
        assert_eq!(flaw(&[Segment { kind: 3, ..TEXT }, TEXT]), Some(Flaw::Dynamic));
    }

    #[test]
    fn misplaced_parts_are_refused() {
        for address in [0, 8, 0xf000, 0x40_0008, FIXED.range.end, u64::MAX - 0xfff] {
            assert_eq!(flaw(&[Segment { address, ..TEXT }]), Some(Flaw::Misplaced(address)), "{address:#x}");
        }
        // The page that it begins in counts.
        let low = Segment { offset: 0x10, address: 0x1_0010, ..TEXT };
        let room = Room { range: 0x1_0010..FIXED.range.end, ..FIXED };
        assert_eq!(Executable::parse(&elf(2, &[low]), MACHINE, &room), Err(Flaw::Misplaced(0x1_0010)));
        assert_eq!(flaw(&[Segment { memory_bytes: u64::MAX, ..TEXT }]), Some(Flaw::Misplaced(0x40_0000)));
        assert_eq!(flaw(&[TEXT, TEXT]), Some(Flaw::Overlap(0x40_0000)));
        assert_eq!(flaw(&[DATA, TEXT]), Some(Flaw::Overlap(0x40_0000)));
    }

    #[test]
    fn missing_bytes_and_bad_rights_are_refused() {
        let cut_off = |segment| assert_eq!(flaw(&[segment]), Some(Flaw::CutOff(0x40_0000)));
        cut_off(Segment { file_bytes: 0x1000, memory_bytes: 0x1000, ..TEXT });
        cut_off(Segment { offset: u64::MAX - 0xfff, ..TEXT });
        cut_off(Segment { memory_bytes: 8, ..TEXT });
        for flags in [0, 1, 2, 7] {
            assert_eq!(flaw(&[Segment { flags, ..TEXT }]), Some(Flaw::BadRights(0x40_0000)));
        }
    }

    #[test]
    fn the_entry_must_be_executable() {
        for entry in [0, 0x40_1000, 0x41_0000] {
            let file = file(MACHINE, 2, entry, &[TEXT, DATA], &[0x90; 0x100]);
            assert_eq!(Executable::parse(&file, MACHINE, &FIXED), Err(Flaw::BadEntry(entry)));
        }
    }
}
