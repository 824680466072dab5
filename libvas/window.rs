//! Windows: a segment mapped into the program subtree for a while, at an address that libvas picks.

use crate::slots::Slots;
use crate::{Cap, Program, Segment};
use core::ops::Range;
use core::ptr;
use tessera_abi::layout::program as addresses;
use tessera_abi::{Error, Rights};

/// Each window lies in an area of its own, so that large pages fit and none meets another.
const AREA_BYTES: u64 = 1 << 30;

/// The program subtree has 256 areas from `SCRATCH` to its end.
static AREAS: Slots<4> = Slots::new();

/// A part of a segment as memory of this program, visible in every space that has the program subtree.
///
/// Bytes are copied in and out; dropping the window unmaps it. Made by [`Program::window`].
///
/// ```no_run
/// use libvas::{Rights, Segment, program};
///
/// let segment = Segment::new(program().account(), 0x1000)?;
/// let window = program().window(&segment, 0..0x1000, Rights::READ_WRITE)?;
/// window.write(16, b"bytes")?;
/// let mut bytes = [0; 5];
/// window.read(16, &mut bytes)?;
/// assert_eq!(&bytes, b"bytes");
/// # Ok::<(), libvas::Error>(())
/// ```
#[derive(Debug)]
pub struct Window {
    area: u64,
    length_bytes: u64,
    rights: Rights,
}

impl Program {
    /// Maps the offsets `range` of a segment into the program subtree.
    ///
    /// A thread that is stopped while it has a window, or within this call, leaves it open until the program ends.
    ///
    /// # Errors
    /// `LimitReached` beyond 1 GiB or with 256 windows open; what [`Cap::map`] can fail with.
    pub fn window(&'static self, segment: &Cap<Segment>, range: Range<u64>, rights: Rights) -> Result<Window, Error> {
        let length_bytes = range.end.checked_sub(range.start).ok_or(Error::BadAddress)?;
        if length_bytes > AREA_BYTES {
            return Err(Error::LimitReached);
        }
        let area = AREAS.take().ok_or(Error::LimitReached)?;
        let window = Window { area, length_bytes, rights };
        if let Err(error) = self.subtree().map(window.address(), segment, range, rights) {
            core::mem::forget(window);
            AREAS.give_back(area);
            return Err(error);
        }
        Ok(window)
    }
}

impl Window {
    /// Where the window begins.
    pub const fn address(&self) -> u64 {
        addresses::SCRATCH + self.area * AREA_BYTES
    }

    /// Its length, bytes.
    pub const fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// Copies bytes out, from `offset` on.
    ///
    /// # Errors
    /// `BadArgument` beyond the window.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let source = self.pointer(offset, bytes.len())?;
        // SAFETY: the range lies in the window, which is mapped readable until drop. It shares no byte with
        // `bytes`: libvas gives the scratch area to windows only and makes no reference to their memory.
        unsafe { ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    /// Copies bytes in, from `offset` on.
    ///
    /// # Errors
    /// `BadArgument` beyond the window, `MissingRight` if it was not made with `WRITE`.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        if !self.rights.contains(Rights::WRITE) {
            return Err(Error::MissingRight);
        }
        let goal = self.pointer(offset, bytes.len())?;
        // SAFETY: as in `read`; the window is writable too.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), goal, bytes.len()) };
        Ok(())
    }

    /// The window's memory as a slice.
    ///
    /// # Safety
    /// Nobody writes to the segment as long as the slice is used, be it here or in another program.
    pub unsafe fn as_slice(&self) -> &[u8] {
        let start = ptr::with_exposed_provenance(self.address() as usize);
        // SAFETY: mapped readable for the window's whole length until drop, which the slice does not outlive;
        // the caller promises that nobody changes it.
        unsafe { core::slice::from_raw_parts(start, self.length_bytes as usize) }
    }

    /// A pointer to `length_bytes` of window memory.
    fn pointer(&self, offset: u64, length_bytes: usize) -> Result<*mut u8, Error> {
        let end = offset.checked_add(length_bytes as u64).ok_or(Error::BadArgument)?;
        if end > self.length_bytes {
            return Err(Error::BadArgument);
        }
        Ok(ptr::with_exposed_provenance_mut((self.address() + offset) as usize))
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let range = self.address()..self.address() + self.length_bytes;
        // If it cannot be unmapped (somebody did before), the area stays taken: better than a meeting of two.
        if crate::program().subtree().unmap(range).is_ok() {
            AREAS.give_back(self.area);
        }
    }
}
