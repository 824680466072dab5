//! Executables: from the bytes of an ELF file to the parts that are to be mapped, with everything checked.

use alloc::vec::Vec;
use core::fmt;
use elf::ElfBytes;
use elf::abi::{ET_EXEC, PF_R, PF_W, PF_X, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;
use libvas::layout::program::{IMAGE, INFO};
use libvas::{PAGE_BYTES, Rights};

/// Why a file is no program that can be run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// No 64-bit little-endian ELF file, or cut off.
    NoElf,
    /// Made for another processor, by its `e_machine` number.
    OtherMachine(u16),
    /// Not linked to a fixed address (`e_type` is not `ET_EXEC`).
    NotFixed,
    /// Nothing in it is to be mapped.
    Empty,
    /// A part does not begin on a page, or leaves the range that images may take.
    Misplaced(u64),
    /// A part's bytes lie beyond the end of the file, or it has more bytes than memory.
    CutOff(u64),
    /// A part meets the one before it, or lies in front of it.
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
            Flaw::NotFixed => write!(formatter, "not linked to a fixed address"),
            Flaw::Empty => write!(formatter, "has nothing to map"),
            Flaw::Misplaced(at) => write!(formatter, "the part at {at:#x} is off page or out of {IMAGE:#x}..{INFO:#x}"),
            Flaw::CutOff(at) => write!(formatter, "the bytes of the part at {at:#x} are not all there"),
            Flaw::Overlap(at) => write!(formatter, "the part at {at:#x} meets the one before it"),
            Flaw::BadRights(at) => write!(formatter, "the part at {at:#x} is unreadable, or writable and executable"),
            Flaw::BadEntry(at) => write!(formatter, "the entry point {at:#x} is in no executable part"),
        }
    }
}

/// One part of a program, to be mapped on pages of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Where it begins, a multiple of the page size.
    pub address: u64,
    /// How much memory it takes, bytes, a multiple of the page size.
    pub length_bytes: u64,
    /// What the memory begins with; the rest is zero.
    pub bytes: &'a [u8],
    /// What it allows: `READ` and at most one of `WRITE` and `EXECUTE`.
    pub rights: Rights,
}

impl Part<'_> {
    fn end(&self) -> u64 {
        self.address + self.length_bytes
    }
}

/// A program, checked: its parts in order of address, apart from each other, all within the image range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// Address of the first instruction.
    pub entry: u64,
    /// What to map; at least one part.
    pub parts: Vec<Part<'a>>,
}

impl<'a> Image<'a> {
    /// Reads and checks an ELF file for the processor with this `e_machine` number.
    ///
    /// # Errors
    /// The first flaw found.
    pub fn parse(file: &'a [u8], machine: u16) -> Result<Image<'a>, Flaw> {
        let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|_| Flaw::NoElf)?;
        if elf.ehdr.class != Class::ELF64 {
            return Err(Flaw::NoElf);
        }
        if elf.ehdr.e_machine != machine {
            return Err(Flaw::OtherMachine(elf.ehdr.e_machine));
        }
        if elf.ehdr.e_type != ET_EXEC {
            return Err(Flaw::NotFixed);
        }
        let mut parts: Vec<Part<'a>> = Vec::new();
        let headers = elf.segments().ok_or(Flaw::Empty)?;
        for header in headers.iter().filter(|header| header.p_type == PT_LOAD && header.p_memsz > 0) {
            let part = part_of(&elf, &header)?;
            if parts.last().is_some_and(|last| part.address < last.end()) {
                return Err(Flaw::Overlap(part.address));
            }
            parts.push(part);
        }
        let entry = elf.ehdr.e_entry;
        let holds_entry =
            |part: &Part<'_>| part.rights.contains(Rights::EXECUTE) && (part.address..part.end()).contains(&entry);
        match parts.as_slice() {
            [] => Err(Flaw::Empty),
            all if !all.iter().any(holds_entry) => Err(Flaw::BadEntry(entry)),
            _ => Ok(Image { entry, parts }),
        }
    }

    /// The first address, and the first address after it all.
    pub fn bounds(&self) -> (u64, u64) {
        (self.parts.first().map_or(0, |part| part.address), self.parts.last().map_or(0, Part::end))
    }
}

fn part_of<'a>(elf: &ElfBytes<'a, LittleEndian>, header: &ProgramHeader) -> Result<Part<'a>, Flaw> {
    let address = header.p_vaddr;
    let end = address.checked_add(header.p_memsz).and_then(|end| end.checked_next_multiple_of(PAGE_BYTES));
    let end = end.filter(|end| *end <= INFO).ok_or(Flaw::Misplaced(address))?;
    if address < IMAGE || !address.is_multiple_of(PAGE_BYTES) {
        return Err(Flaw::Misplaced(address));
    }
    let bytes = elf.segment_data(header).map_err(|_| Flaw::CutOff(address))?;
    if header.p_filesz > header.p_memsz {
        return Err(Flaw::CutOff(address));
    }
    let mut rights = Rights::empty();
    for (flag, right) in [(PF_R, Rights::READ), (PF_W, Rights::WRITE), (PF_X, Rights::EXECUTE)] {
        rights.set(right, header.p_flags & flag != 0);
    }
    if !rights.contains(Rights::READ) || rights.is_write_execute() {
        return Err(Flaw::BadRights(address));
    }
    Ok(Part { address, length_bytes: end - address, bytes, rights })
}

#[cfg(test)]
mod tests {
    use super::{Flaw, Image};
    use libvas::Rights;

    const MACHINE: u16 = 62;
    const FILE_BYTES: usize = 0x1200;

    /// One program header's values.
    #[derive(Clone, Copy)]
    struct Header {
        flags: u32,
        offset: u64,
        address: u64,
        file_bytes: u64,
        memory_bytes: u64,
    }

    const TEXT: Header = Header { flags: 5, offset: 0x1000, address: 0x40_0000, file_bytes: 0x10, memory_bytes: 0x10 };
    const DATA: Header = Header { flags: 6, offset: 0x1010, address: 0x40_1000, file_bytes: 8, memory_bytes: 0x1001 };

    /// An ELF file as the linker would write it, filled with 0xaa behind the headers.
    fn file(entry: u64, headers: &[Header]) -> Vec<u8> {
        let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        file.extend([2, 0, MACHINE as u8, 0, 1, 0, 0, 0]);
        for word in [entry, 64, 0] {
            file.extend(word.to_le_bytes());
        }
        for half in [0, 0, 64, 56, headers.len() as u16, 64, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        for header in headers {
            file.extend([1, 0, 0, 0]);
            file.extend(header.flags.to_le_bytes());
            let Header { offset, address, file_bytes, memory_bytes, .. } = *header;
            for word in [offset, address, address, file_bytes, memory_bytes, 0x1000] {
                file.extend(word.to_le_bytes());
            }
        }
        file.resize(FILE_BYTES, 0xaa);
        file
    }

    fn flaw(headers: &[Header]) -> Option<Flaw> {
        Image::parse(&file(0x40_0000, headers), MACHINE).err()
    }

    #[test]
    fn a_good_file_gives_its_parts() {
        let file = file(0x40_0004, &[TEXT, DATA]);
        let image = Image::parse(&file, MACHINE).expect("the file is good");
        assert_eq!((image.entry, image.bounds()), (0x40_0004, (0x40_0000, 0x40_3000)));
        assert_eq!(image.parts[0].rights, Rights::READ_EXECUTE);
        assert_eq!((image.parts[1].rights, image.parts[1].length_bytes), (Rights::READ_WRITE, 0x2000));
        assert_eq!(image.parts[1].bytes, [0xaa; 8]);
    }

    #[test]
    fn what_is_no_program_for_this_machine_is_refused() {
        let good = file(0x40_0000, &[TEXT]);
        assert_eq!(Image::parse(b"#!/bin/sh", MACHINE), Err(Flaw::NoElf));
        assert_eq!(Image::parse(&good[..100], MACHINE), Err(Flaw::NoElf));
        assert_eq!(Image::parse(&good, 183), Err(Flaw::OtherMachine(62)));
        let mut relocatable = good.clone();
        relocatable[16] = 3;
        assert_eq!(Image::parse(&relocatable, MACHINE), Err(Flaw::NotFixed));
        let mut narrow = good;
        narrow[4] = 1;
        assert!(Image::parse(&narrow, MACHINE).is_err());
        assert_eq!(flaw(&[]), Some(Flaw::Empty));
    }

    #[test]
    fn misplaced_parts_are_refused() {
        for address in [0x40_0008, 0x1000, 0x1000_0000, u64::MAX - 0xfff] {
            assert_eq!(flaw(&[Header { address, ..TEXT }]), Some(Flaw::Misplaced(address)));
        }
        assert_eq!(flaw(&[Header { memory_bytes: u64::MAX, ..TEXT }]), Some(Flaw::Misplaced(0x40_0000)));
        assert_eq!(flaw(&[TEXT, Header { address: 0x40_0000, ..DATA }]), Some(Flaw::Overlap(0x40_0000)));
        assert_eq!(flaw(&[DATA, TEXT]), Some(Flaw::Overlap(0x40_0000)));
    }

    #[test]
    fn missing_bytes_and_bad_rights_are_refused() {
        assert_eq!(flaw(&[Header { offset: 0x11f8, ..TEXT }]), Some(Flaw::CutOff(0x40_0000)));
        assert_eq!(flaw(&[Header { offset: u64::MAX, ..TEXT }]), Some(Flaw::CutOff(0x40_0000)));
        assert_eq!(flaw(&[Header { memory_bytes: 8, ..TEXT }]), Some(Flaw::CutOff(0x40_0000)));
        assert_eq!(flaw(&[Header { flags: 7, ..TEXT }]), Some(Flaw::BadRights(0x40_0000)));
        assert_eq!(flaw(&[Header { flags: 1, ..TEXT }]), Some(Flaw::BadRights(0x40_0000)));
    }

    #[test]
    fn the_entry_must_be_executable() {
        for entry in [0, 0x40_1000, 0x41_0000] {
            assert_eq!(Image::parse(&file(entry, &[TEXT, DATA]), MACHINE), Err(Flaw::BadEntry(entry)));
        }
    }
}
