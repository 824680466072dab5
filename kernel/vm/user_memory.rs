//! User memory: the one place where a pointer that a program handed in is redeemed.
//!
//! The kernel never follows such a pointer. It looks the page up in the space's tables, or in its records if these do not
//! show it, and copies through the direct map, so it cannot fault, cannot be fooled by a mapping that changes in between
//! (the lock is held), and never needs SMAP or PAN lifted. It works the same for a space that nobody runs in.
//!
//! Reading never makes memory: a page that has none yet is read as zeros.

use core::ops::Range;

use tessera_abi::layout::Words;
use tessera_abi::{Error, PAGE_BYTES, USER_END};
use tessera_arch::{Access, Frame, PhysAddr, VirtAddr};

use crate::object::id::SpaceId;
use crate::paging::walk::Walker;
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

/// The pages of a space, for one kind of access, as the calling CPU sees them.
///
/// The page tables tell of most: what user mode may do there is allowed here. Only what they do not show (it was never
/// touched, or it is forbidden) is a matter for the records.
pub(crate) struct Pages {
    space: SpaceId,
    walker: Walker,
}

impl Pages {
    #[inline(always)]
    pub(crate) fn new(kernel: &Kernel, space: SpaceId, access: Access) -> Pages {
        let root = kernel.shared.space_words(space.index()).root(tessera_arch::cpu_index());
        Pages { space, walker: Walker::new(root, access) }
    }

    /// The frame of a page, if the tables show it.
    #[inline(always)]
    pub(crate) fn shown(&mut self, page: u64) -> Option<Frame> {
        self.walker.frame(page)
    }

    /// The frame of a page; none, for reading, if the page has no memory yet.
    ///
    /// # Errors
    /// `BadPointer` if the access is not allowed.
    #[inline(always)]
    pub(crate) fn frame(&mut self, kernel: &mut Kernel, page: u64) -> Result<Option<Frame>, Error> {
        match self.walker.frame(page) {
            Some(frame) => Ok(Some(frame)),
            None => self.look_up(kernel, page),
        }
    }

    #[cold]
    #[inline(never)]
    fn look_up(&self, kernel: &mut Kernel, page: u64) -> Result<Option<Frame>, Error> {
        let (address, access) = (VirtAddr::new(page * PAGE_BYTES), self.walker.access());
        let frame = match access {
            Access::Write => fault::handle_fault(kernel, self.space, address, access).map(Some),
            Access::Read | Access::Execute => fault::look_at(kernel, self.space, address, access),
        };
        frame.map_err(|_| Error::BadPointer)
    }
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
    pub fn fault_in(&self, kernel: &mut Kernel, access: Access) -> Result<(), Error> {
        let mut pages = Pages::new(kernel, self.space, access);
        self.pages().try_for_each(|page| pages.frame(kernel, page).map(|_| ()))
    }

    /// The pages that it touches.
    #[inline(always)]
    pub(crate) fn pages(&self) -> Range<u64> {
        let first = self.address / PAGE_BYTES;
        // Of no bytes, none.
        let end = if self.length_bytes == 0 { first } else { (self.address + self.length_bytes).div_ceil(PAGE_BYTES) };
        first..end
    }

    /// Copies out of the program's memory.
    ///
    /// # Errors
    /// `BadPointer` if a page is not readable.
    pub fn read(&self, kernel: &mut Kernel, to: &mut [u8]) -> Result<(), Error> {
        let mut pages = Pages::new(kernel, self.space, Access::Read);
        let mut done = 0;
        while done < to.len() {
            let (frame, part) = self.part(kernel, &mut pages, done, to.len())?;
            let to = &mut to[done..done + part.len()];
            match frame {
                Some(frame) => tessera_arch::read_physical(byte_of(frame, part.start as u64), to),
                None => to.fill(0),
            }
            done += part.len();
        }
        Ok(())
    }

    /// Copies into the program's memory.
    ///
    /// # Errors
    /// `BadPointer` if a page is not writable; pages before it have been written.
    #[inline(always)]
    pub fn write(&self, kernel: &mut Kernel, from: &[u8]) -> Result<(), Error> {
        let mut pages = Pages::new(kernel, self.space, Access::Write);
        let mut done = 0;
        while done < from.len() {
            let (frame, part) = self.part(kernel, &mut pages, done, from.len())?;
            let frame = frame.ok_or(Error::BadPointer)?;
            let from = &from[done..done + part.len()];
            tessera_arch::write_physical(byte_of(frame, part.start as u64), from);
            done += part.len();
        }
        Ok(())
    }

    /// The frame of the page at which a copy of so many bytes has come, and the bytes of the page that it concerns.
    fn part(
        &self,
        kernel: &mut Kernel,
        pages: &mut Pages,
        done: usize,
        bytes: usize,
    ) -> Result<(Option<Frame>, Range<usize>), Error> {
        let address = self.address + done as u64;
        let frame = pages.frame(kernel, address / PAGE_BYTES)?;
        let within = (address % PAGE_BYTES) as usize;
        Ok((frame, within..(within + bytes - done).min(PAGE_BYTES as usize)))
    }
}

/// The physical address of a byte of a frame.
#[inline(always)]
pub(crate) fn byte_of(frame: Frame, within: u64) -> PhysAddr {
    PhysAddr::new(frame.start().value() + within)
}

/// Fills in a structure at an address in the caller's space.
///
/// # Errors
/// `BadPointer`, with nothing written.
pub fn write_structure<T: Words>(kernel: &mut Kernel, space: SpaceId, address: u64, value: &T) -> Result<(), Error> {
    let values = core::slice::from_ref(value);
    match T::COUNT {
        0..=WORDS_MOSTLY => write_by::<T, WORDS_MOSTLY>(kernel, space, address, values),
        _ => write_by::<T, WORDS_MOST>(kernel, space, address, values),
    }
}

/// The same for several, one behind the other: as many as [`at_once`] says, at most.
///
/// # Errors
/// `BadPointer`, with nothing written.
pub fn write_structures<T: Words>(
    kernel: &mut Kernel,
    space: SpaceId,
    address: u64,
    values: &[T],
) -> Result<(), Error> {
    write_by::<T, WORDS_MOST>(kernel, space, address, values)
}

/// The same by a buffer of so many words.
fn write_by<T: Words, const WORDS: usize>(
    kernel: &mut Kernel,
    space: SpaceId,
    address: u64,
    values: &[T],
) -> Result<(), Error> {
    let (mut bytes, mut words) = ([[0; 8]; WORDS], [0; WORDS]);
    let count = values.len() * T::COUNT;
    for (value, words) in values.iter().zip(words.chunks_exact_mut(T::COUNT)) {
        value.write(words);
    }
    for (bytes, word) in bytes.iter_mut().zip(&words[..count]) {
        *bytes = word.to_le_bytes();
    }
    let slice = UserSlice::new(space, address, count as u64 * 8)?;
    if slice.pages().nth(1).is_some() {
        // All or nothing.
        slice.fault_in(kernel, Access::Write)?;
    }
    slice.write(kernel, bytes[..count].as_flattened())
}

/// Reads a structure at an address in the caller's space.
///
/// # Errors
/// `BadPointer`.
pub fn read_structure<T: Words>(kernel: &mut Kernel, space: SpaceId, address: u64) -> Result<T, Error> {
    let (mut bytes, mut words) = ([0; WORDS_MOST * 8], [0; WORDS_MOST]);
    UserSlice::new(space, address, T::BYTES as u64)?.read(kernel, &mut bytes[..T::BYTES])?;
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
    }
    Ok(T::read(&words))
}

/// How many structures [`write_structures`] takes.
pub const fn at_once<T: Words>() -> usize {
    WORDS_MOST / T::COUNT
}

/// The most words of any structure, and of most.
const WORDS_MOST: usize = 32;
const WORDS_MOSTLY: usize = 16;
