//! Segments: memory that can be mapped.

use crate::call::{fill_in, perform};
use crate::{Account, Cap, program};
use core::ops::Range;
use tessera_abi::layout::SegmentInfo;
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights};

/// Memory: zeroed when made, and mapped into any number of spaces and subtrees. It stays for as long as there is a
/// capability to it or a mapping of it.
#[derive(Debug)]
pub enum Segment {}

impl Segment {
    /// Makes a segment of `length_bytes`, a multiple of the page size, and all its memory at once.
    ///
    /// ```no_run
    /// use libvas::{Segment, program};
    ///
    /// let segment = Segment::new(program().account(), 0x2000)?;
    /// segment.write(0x1000, b"second page")?;
    /// # Ok::<(), libvas::Error>(())
    /// ```
    ///
    /// # Errors
    /// `MissingRight` (`CHARGE`), `BadArgument` for zero, `Misaligned`, `AccountExhausted`, `OutOfMemory`,
    /// `TableFull`.
    pub fn new(account: &Cap<Account>, length_bytes: u64) -> Result<Cap<Segment>, Error> {
        create(account, length_bytes, 0)
    }

    /// Like [`Segment::new`], but each page of memory is made when it is first touched.
    ///
    /// # Errors
    /// As [`Segment::new`]. A later touch that the account cannot pay stops the touching thread.
    pub fn new_lazy(account: &Cap<Account>, length_bytes: u64) -> Result<Cap<Segment>, Error> {
        create(account, length_bytes, 1)
    }

    /// Like [`Segment::new`], but *lockable*: whoever enters a space in which it is mapped has it for itself if it may be written
    /// there, else together with others who only read, and waits until that is so ([`Cap::enter`], [`Cap::try_enter`],
    /// [`Cap::enter_within`]). It is mapped whole, once in a space, and in no subtree.
    ///
    /// # Errors
    /// As [`Segment::new`].
    pub fn new_lockable(account: &Cap<Account>, length_bytes: u64) -> Result<Cap<Segment>, Error> {
        create(account, length_bytes, 2)
    }

    /// The same, with memory as [`Segment::new_lazy`] has it.
    ///
    /// # Errors
    /// As [`Segment::new_lazy`].
    pub fn new_lockable_lazy(account: &Cap<Account>, length_bytes: u64) -> Result<Cap<Segment>, Error> {
        create(account, length_bytes, 3)
    }

    /// Like [`Segment::new`], but pages can be given back ([`Cap::discard`]) wherever it is mapped. Each mapping of it is noted as
    /// something that can be taken back, of which a space that is cloned can have sixteen.
    ///
    /// # Errors
    /// As [`Segment::new`].
    pub fn new_discardable(account: &Cap<Account>, length_bytes: u64) -> Result<Cap<Segment>, Error> {
        create(account, length_bytes, 4)
    }

    /// The same, with memory as [`Segment::new_lazy`] has it.
    ///
    /// # Errors
    /// As [`Segment::new_lazy`].
    pub fn new_discardable_lazy(account: &Cap<Account>, length_bytes: u64) -> Result<Cap<Segment>, Error> {
        create(account, length_bytes, 5)
    }
}

fn create(account: &Cap<Account>, length_bytes: u64, flags: u64) -> Result<Cap<Segment>, Error> {
    let bits = perform(Call::SegmentCreate { account: account.handle(), length_bytes, flags })?;
    Ok(Cap::from_handle(Handle::from_bits(bits)))
}

impl Cap<Segment> {
    /// Length, existing memory, number of mappings.
    ///
    /// # Errors
    /// `MissingRight` (`READ` or `CONTROL`).
    pub fn info(&self) -> Result<SegmentInfo, Error> {
        let segment = self.handle();
        fill_in(|buffer| Call::SegmentInfo { segment, buffer }).map(|(info, _)| info)
    }

    /// Makes the segment longer; what is new gets its memory on first touch. Gives the length it had, bytes.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`), `Misaligned`, `BadArgument` for less than it has, or more than 1 TiB; `BadState` for a lockable one and
    /// for one of the boot archive; `AccountExhausted`, `OutOfMemory`.
    pub fn grow(&self, length_bytes: u64) -> Result<u64, Error> {
        perform(Call::SegmentGrow { segment: self.handle(), length_bytes })
    }

    /// Gives the pages of the offsets `range` back: their memory is free, and they read as zeros, wherever they are mapped, until they get
    /// memory on first touch. Of a segment that was not made for it ([`Segment::new_discardable`]), only while all its mappings were
    /// made through derived capabilities.
    ///
    /// # Errors
    /// `MissingRight` (`WRITE`), `Misaligned`, `BadArgument` beyond the segment; `BadState` if not all mappings of it are known, or a page
    /// has a guest's state; `LimitReached` if a page is mapped more than 16 times, or there are more than 256 capabilities and
    /// mappings of the segment; `OutOfMemory`.
    pub fn discard(&self, range: Range<u64>) -> Result<(), Error> {
        let length_bytes = range.end.checked_sub(range.start).ok_or(Error::BadArgument)?;
        perform(Call::SegmentDiscard { segment: self.handle(), offset: range.start, length_bytes }).map(|_| ())
    }

    /// Copies bytes out of the segment, from `offset` on, through a short-lived [`crate::Window`].
    ///
    /// # Errors
    /// `MissingRight` (`READ`), `BadArgument` beyond the segment, and what mapping can fail with.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let (range, skip) = pages_around(offset, bytes.len())?;
        program().window(self, range, Rights::READ)?.read(skip, bytes)
    }

    /// Copies bytes into the segment, from `offset` on, through a short-lived [`crate::Window`].
    ///
    /// # Errors
    /// `MissingRight` (`READ`, `WRITE`), `BadArgument` beyond the segment, and what mapping can fail with.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let (range, skip) = pages_around(offset, bytes.len())?;
        program().window(self, range, Rights::READ_WRITE)?.write(skip, bytes)
    }
}

/// The whole pages that hold `length_bytes` from `offset` on, and where in them the first byte lies.
fn pages_around(offset: u64, length_bytes: usize) -> Result<(Range<u64>, u64), Error> {
    let start = offset - offset % PAGE_BYTES;
    let end = offset
        .checked_add((length_bytes as u64).max(1))
        .and_then(|end| end.checked_next_multiple_of(PAGE_BYTES))
        .ok_or(Error::BadArgument)?;
    Ok((start..end, offset - start))
}

#[cfg(test)]
mod tests {
    use super::pages_around;
    use tessera_abi::Error;

    #[test]
    fn pages_cover_the_bytes() {
        assert_eq!(pages_around(0x1ffe, 4), Ok((0x1000..0x3000, 0xffe)));
        assert_eq!(pages_around(0x2000, 0x1000), Ok((0x2000..0x3000, 0)));
        assert_eq!(pages_around(0x2000, 0), Ok((0x2000..0x3000, 0)));
        assert_eq!(pages_around(u64::MAX - 2, 8), Err(Error::BadArgument));
    }
}
