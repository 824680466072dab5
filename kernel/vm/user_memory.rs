//! User memory: the one place where a pointer that a program handed in is redeemed.
//!
//! The kernel never follows such a pointer. It looks the page up in the space's own records and copies
//! through the direct map, so it cannot fault, cannot be fooled by a mapping that changes in between (the
//! lock is held), and never needs SMAP or PAN lifted. It works the same for a space that nobody runs in.
//!
//! Reading never makes memory: a page that has none yet is read as zeros.

use tessera_abi::layout::Words;
use tessera_abi::{Error, PAGE_BYTES, USER_END};
use tessera_arch::{Access, Frame, PhysAddr, VirtAddr};

use crate::object::id::SpaceId;
use crate::state::kernel::Kernel;
use crate::vm::fault;

/// The most bytes that one call copies: 16 MiB.
pub const COPY_MAX_BYTES: u64 = 16 << 20;

/// A claim by a program that so many bytes of a space are its to use.
#[derive(Clone, Copy, Debug)]
pub struct UserSlice {
    /// The space.
    pub space: SpaceId,
    /// First address.
    pub address: u64,
    /// Length, bytes.
    pub length_bytes: u64,
}

/// A part of a slice within one page, by its physical address, if it has one.
struct Part {
    physical: Option<PhysAddr>,
    bytes: usize,
}

impl UserSlice {
    /// Takes the claim down; only arithmetic is checked yet.
    ///
    /// # Errors
    /// `BadPointer` if it wraps around or leaves the user half.
    pub fn new(space: SpaceId, address: u64, length_bytes: u64) -> Result<UserSlice, Error> {
        let end = address.checked_add(length_bytes).ok_or(Error::BadPointer)?;
        if end > USER_END || length_bytes > COPY_MAX_BYTES {
            return Err(Error::BadPointer);
        }
        Ok(UserSlice { space, address, length_bytes })
    }

    /// Checks every page for the access; for writing, populates what is populated on first touch.
    ///
    /// # Errors
    /// `BadPointer` if a page does not allow it.
    pub fn ensure(&self, kernel: &mut Kernel, access: Access) -> Result<(), Error> {
        let mut done = 0;
        while done < self.length_bytes {
            done += self.part(kernel, done, access)?.bytes as u64;
        }
        Ok(())
    }

    /// Copies out of the program's memory.
    ///
    /// # Errors
    /// `BadPointer` if a page is not readable.
    pub fn read(&self, kernel: &mut Kernel, to: &mut [u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < to.len() {
            let part = self.part(kernel, done as u64, Access::Read)?;
            let end = to.len().min(done + part.bytes);
            match part.physical {
                Some(physical) => tessera_arch::read_physical(physical, &mut to[done..end]),
                None => to[done..end].fill(0),
            }
            done = end;
        }
        Ok(())
    }

    /// Copies into the program's memory.
    ///
    /// # Errors
    /// `BadPointer` if a page is not writable; pages before it have been written.
    pub fn write(&self, kernel: &mut Kernel, from: &[u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < from.len() {
            let part = self.part(kernel, done as u64, Access::Write)?;
            let end = from.len().min(done + part.bytes);
            let physical = part.physical.ok_or(Error::BadPointer)?;
            tessera_arch::write_physical(physical, &from[done..end]);
            done = end;
        }
        Ok(())
    }

    fn part(&self, kernel: &mut Kernel, skip: u64, access: Access) -> Result<Part, Error> {
        let address = self.address + skip;
        let frame = self.frame(kernel, address / PAGE_BYTES, access)?;
        let within = address % PAGE_BYTES;
        let bytes = (PAGE_BYTES - within).min(self.length_bytes - skip) as usize;
        Ok(Part { physical: frame.map(|frame| PhysAddr::new(frame.start().value() + within)), bytes })
    }

    /// The frame of a page of the space; none, for reading, if the page has no memory yet.
    pub(crate) fn frame(&self, kernel: &mut Kernel, page: u64, access: Access) -> Result<Option<Frame>, Error> {
        let address = VirtAddr::new(page * PAGE_BYTES);
        let frame = match access {
            Access::Write => fault::handle_fault(kernel, self.space, address, access).map(Some),
            Access::Read | Access::Execute => fault::look_at(kernel, self.space, address, access),
        };
        frame.map_err(|_| Error::BadPointer)
    }
}

/// Fills in a structure at an address in the caller's space.
///
/// # Errors
/// `BadPointer`, with nothing written.
pub fn write_structure(kernel: &mut Kernel, space: SpaceId, address: u64, value: &impl Words) -> Result<(), Error> {
    let mut words = [0; 32];
    value.write(&mut words);
    let count = bytes_of(value);
    let mut bytes = [0; 32 * 8];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    let slice = UserSlice::new(space, address, count as u64)?;
    slice.ensure(kernel, Access::Write)?;
    slice.write(kernel, &bytes[..count])
}

fn bytes_of<T: Words>(_: &T) -> usize {
    T::BYTES
}
