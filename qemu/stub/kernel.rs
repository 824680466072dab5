//! The kernel's ELF file, and its way into memory.

use elf::ElfBytes;
use elf::abi::{ET_EXEC, PF_W, PF_X, PT_LOAD};
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;

use crate::Failure;
use crate::memory::{PAGE_BYTES, Span};
use crate::tables::{KERNEL_BASE, ROOM_BYTES};

/// A kernel file that looks sound.
pub struct Kernel<'a> {
    file: ElfBytes<'a, LittleEndian>,
    first_address: u64,
    end_address: u64,
}

/// A page of the kernel's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Virtual address.
    pub address: u64,
    /// Physical address.
    pub physical: u64,
    /// The kernel writes to it.
    pub is_writable: bool,
    /// The kernel executes it.
    pub is_executable: bool,
}

impl<'a> Kernel<'a> {
    /// Checks a file, which must be for the processor with ELF's number `machine`.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(bytes: &'a [u8], machine: u16) -> Result<Kernel<'a>, Failure> {
        let file = ElfBytes::minimal_parse(bytes).map_err(|_| "the kernel is not an ELF file")?;
        if file.ehdr.e_machine != machine || file.ehdr.e_type != ET_EXEC {
            return Err("the kernel is not a static program for this processor");
        }
        let (mut first_address, mut end_address) = (u64::MAX, 0);
        for segment in loaded_segments(&file)? {
            let end = segment.p_vaddr.checked_add(segment.p_memsz).ok_or("a kernel segment wraps around")?;
            first_address = first_address.min(segment.p_vaddr & !(PAGE_BYTES - 1));
            end_address = end_address.max(end);
        }
        if first_address < KERNEL_BASE || end_address > KERNEL_BASE + ROOM_BYTES || first_address >= end_address {
            return Err("the kernel is not linked for the first 16 MiB of the highest 2 GiB");
        }
        Ok(Kernel { file, first_address, end_address })
    }

    /// The first address that it is linked for.
    pub fn first_address(&self) -> u64 {
        self.first_address
    }

    /// How much memory it takes.
    pub fn length_bytes(&self) -> u64 {
        self.end_address - self.first_address
    }

    /// Its entry point, unless one of its requests names another.
    pub fn entry(&self) -> u64 {
        self.file.ehdr.e_entry
    }

    /// Copies the segments to the beginning of `image`, which is zero and has at least the kernel's length.
    ///
    /// # Errors
    /// The file is shorter than it says.
    pub fn load(&self, image: &mut [u8]) -> Result<(), Failure> {
        for segment in loaded_segments(&self.file)? {
            let data = self.file.segment_data(&segment).map_err(|_| "a kernel segment is not in the file")?;
            let target = (segment.p_vaddr - self.first_address) as usize;
            let place = image.get_mut(target..target + segment.p_memsz as usize);
            let place = place.and_then(|place| place.get_mut(..data.len()));
            place.ok_or("a kernel segment has more data than memory")?.copy_from_slice(data);
        }
        Ok(())
    }

    /// Calls `each` for every page of the image when it is loaded at `place`.
    ///
    /// # Errors
    /// The file has no segments.
    pub fn for_each_page(&self, place: Span, mut each: impl FnMut(Page)) -> Result<(), Failure> {
        for segment in loaded_segments(&self.file)? {
            let first = segment.p_vaddr & !(PAGE_BYTES - 1);
            for address in (first..segment.p_vaddr + segment.p_memsz).step_by(PAGE_BYTES as usize) {
                each(Page {
                    address,
                    physical: place.start + (address - self.first_address),
                    is_writable: segment.p_flags & PF_W != 0,
                    is_executable: segment.p_flags & PF_X != 0,
                });
            }
        }
        Ok(())
    }
}

/// The segments to load.
fn loaded_segments<'a>(
    file: &ElfBytes<'a, LittleEndian>,
) -> Result<impl Iterator<Item = ProgramHeader> + use<'a>, Failure> {
    let segments = file.segments().ok_or("the kernel has no segments")?;
    Ok(segments.into_iter().filter(|segment| segment.p_type == PT_LOAD && segment.p_memsz > 0))
}
