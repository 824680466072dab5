//! What spaces and subtrees share: mapping memory, and looking at what is mapped.

use crate::call::{perform, perform_unchecked};
use crate::capability::Object;
use crate::{Cap, Segment, Space, Subtree, View};
use core::ops::Range;
use tessera_abi::layout::{MappingInfo, Words};
use tessera_abi::{Call, Error, PAGE_BYTES, Rights};

/// What memory can be mapped into: a [`Space`], or a [`Subtree`], where addresses count from its start and the first
/// page of a top-level one stays free, to catch null pointers wherever it is attached.
pub trait Mappable: Mapped {}

impl Mappable for Space {}
impl Mappable for Subtree {}

/// What has mappings to look at: what is [`Mappable`], and a [`View`].
pub trait Mapped: Object {}

impl Mapped for Space {}
impl Mapped for Subtree {}
impl Mapped for View {}

impl<T: Mappable> Cap<T> {
    /// Maps the offsets `range` of a segment at `address`; addresses and offsets are multiples of the page size.
    /// It makes no difference whether threads run there: they see the memory at once.
    ///
    /// `rights` hold `READ`, and at most one of `WRITE` and `EXECUTE`. Large pages are used where address, offset
    /// and memory allow.
    ///
    /// ```no_run
    /// use libvas::{Rights, Segment, Space, program};
    ///
    /// let space = Space::new(program().account())?;
    /// let segment = Segment::new(program().account(), 0x4000)?;
    /// space.map(0x100_0000_0000, &segment, 0x1000..0x3000, Rights::READ_WRITE)?;
    /// space.protect(0x100_0000_0000..0x100_0000_1000, Rights::READ)?;
    /// space.unmap(0x100_0000_0000..0x100_0000_2000)?;
    /// # Ok::<(), libvas::Error>(())
    /// ```
    ///
    /// # Errors
    /// `MissingRight` (`MAP` here, each of `rights` on the segment), `BadArgument` (no `READ`, or beyond the
    /// segment), `Misaligned`, `BadAddress`, `Overlap`, `WriteExecute`, `Sealed`, `AccountExhausted`, `OutOfMemory`.
    /// The target is unchanged then.
    pub fn map(&self, address: u64, segment: &Cap<Segment>, range: Range<u64>, rights: Rights) -> Result<(), Error> {
        let length_bytes = length_of(&range)?;
        let (target, segment) = (self.handle(), segment.handle());
        perform(Call::Map { target, segment, offset: range.start, address, length_bytes, rights }).map(|_| ())
    }

    /// Maps as [`Cap::map`] does, but *copied when it is written to*: who writes to a page there has one of its own from then on, which the
    /// account of the space or subtree pays for, and nobody sees who sees the segment elsewhere. `WRITE` takes no right on the segment
    /// but `READ`. A subtree in which a segment is mapped so is a copy-on-write child of it, which can be attached to many spaces.
    ///
    /// ```no_run
    /// use libvas::{Rights, Segment, Subtree, program};
    ///
    /// let (account, length_bytes) = (program().account(), 0x4000);
    /// let parent = Segment::new(account, length_bytes)?;
    /// let child = Subtree::new(account)?;
    /// child.map_private(0x1000, &parent, 0..length_bytes, Rights::READ_WRITE)?;
    /// program().space().attach(0x200_0000_0000, &child, Rights::READ_WRITE)?;
    /// # Ok::<(), libvas::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Cap::map`], and `BadState` for a lockable segment. A write that cannot be paid is a fault.
    pub fn map_private(
        &self,
        address: u64,
        segment: &Cap<Segment>,
        range: Range<u64>,
        rights: Rights,
    ) -> Result<(), Error> {
        let length_bytes = length_of(&range)?;
        let (target, segment) = (self.handle(), segment.handle());
        perform(Call::MapPrivate { target, segment, offset: range.start, address, length_bytes, rights }).map(|_| ())
    }

    /// Moves what is mapped at the addresses `range` to `address` in another space or subtree, or in this one, with its rights.
    /// It takes no capability to the memory, and whoever could take it back still can. At most 16 mappings are moved by one call.
    ///
    /// # Errors
    /// `MissingRight` (`MAP` and `INSPECT` here, `MAP` there), `NotMapped`, `Overlap`, `Misaligned`, `BadAddress`, `Sealed`,
    /// `LimitReached`, `BadState` for lockable memory and for what is copied when it is written to, `AccountExhausted`, `OutOfMemory`.
    /// Nothing has changed then.
    pub fn move_to<U: Mappable>(&self, range: Range<u64>, to: &Cap<U>, address: u64) -> Result<(), Error> {
        move_mapping(self, range, to, address, 0)
    }

    /// The same, and it stays where it was: both have it until either unmaps it.
    ///
    /// # Errors
    /// As [`Cap::move_to`].
    pub fn lend_to<U: Mappable>(&self, range: Range<u64>, to: &Cap<U>, address: u64) -> Result<(), Error> {
        move_mapping(self, range, to, address, 1)
    }

    /// Unmaps the addresses `range`, all of which must be mapped.
    ///
    /// # Errors
    /// `MissingRight` (`MAP`), `Misaligned`, `BadAddress`, `NotMapped`, `Sealed`; `AccountExhausted` or `OutOfMemory` if a
    /// large page must be split.
    pub fn unmap(&self, range: Range<u64>) -> Result<(), Error> {
        let length_bytes = length_of(&range)?;
        perform(Call::Unmap { target: self.handle(), address: range.start, length_bytes }).map(|_| ())
    }

    /// Changes what the mapped addresses `range` allow, never beyond what the segment's capability did.
    ///
    /// # Errors
    /// As [`Cap::unmap`]; `MissingRight` for rights the segment's capability lacked, `BadArgument` (no `READ`),
    /// `WriteExecute`.
    pub fn protect(&self, range: Range<u64>, rights: Rights) -> Result<(), Error> {
        let length_bytes = length_of(&range)?;
        perform(Call::Protect { target: self.handle(), address: range.start, length_bytes, rights }).map(|_| ())
    }

    /// Pins the mapping at the addresses `range`, all of it: in clones that are made from now on it stays the same memory, and is not
    /// copied when it is written to ([`Space::clone_of`]).
    ///
    /// # Errors
    /// `MissingRight` (`MAP`), `Misaligned`, `BadAddress`, `NotMapped`, `BadArgument` if that is not just one mapping, `BadState` if it
    /// was made before the last clone was, `Sealed`, `OutOfMemory`.
    pub fn pin(&self, range: Range<u64>) -> Result<(), Error> {
        let length_bytes = length_of(&range)?;
        perform(Call::Pin { target: self.handle(), address: range.start, length_bytes }).map(|_| ())
    }
}

impl<T: Mapped> Cap<T> {
    /// The mappings and attachments that end after the address `from`, in order. Needs `INSPECT`.
    ///
    /// ```no_run
    /// for mapping in libvas::program().space().mappings(0) {
    ///     let mapping = mapping?;
    ///     assert!(mapping.length_bytes > 0);
    /// }
    /// # Ok::<(), libvas::Error>(())
    /// ```
    pub fn mappings(&self, from: u64) -> Mappings<'_, T> {
        Mappings { target: self, from, done: false }
    }
}

impl<T: Mappable> Cap<T> {
    /// Which pages were written to since this was cloned last, or, if it is a clone, since it was made: fills in their addresses, in
    /// order, from `from` on. Gives how many, and from where to go on, if there may be more. What was pinned, mapped later or attached
    /// is not among them. Needs `INSPECT`.
    ///
    /// # Errors
    /// `MissingRight`.
    pub fn written(&self, from: u64, addresses: &mut [u64]) -> Result<(usize, Option<u64>), Error> {
        let (buffer, capacity) = (addresses.as_mut_ptr().expose_provenance() as u64, addresses.len() as u64);
        let call = Call::WrittenList { target: self.handle(), from, buffer, capacity };
        // SAFETY: the kernel writes no more than `capacity` words, to a buffer that is borrowed for that.
        let value = unsafe { perform_unchecked(call) }?;
        let (next, count) = (value / PAGE_BYTES * PAGE_BYTES, value % PAGE_BYTES);
        Ok((count as usize, (next != 0).then_some(next)))
    }
}

fn move_mapping<T: Mappable, U: Mappable>(
    from: &Cap<T>,
    range: Range<u64>,
    to: &Cap<U>,
    to_address: u64,
    flags: u64,
) -> Result<(), Error> {
    let length_bytes = length_of(&range)?;
    let (from, to, address) = (from.handle(), to.handle(), range.start);
    perform(Call::MappingMove { from, address, length_bytes, to, to_address, flags }).map(|_| ())
}

/// The length of a range of addresses or offsets; an empty or inverted one is `BadAddress`.
fn length_of(range: &Range<u64>) -> Result<u64, Error> {
    range.end.checked_sub(range.start).filter(|length| *length > 0).ok_or(Error::BadAddress)
}

/// Iterator over mappings; each item is one mapping or the error that ended the listing.
#[derive(Debug)]
pub struct Mappings<'a, T: Mapped> {
    target: &'a Cap<T>,
    from: u64,
    done: bool,
}

impl<T: Mapped> Mappings<'_, T> {
    /// Asks for the next mapping alone: listing is for people, so one call each is fast enough.
    fn ask(&mut self) -> Result<Option<MappingInfo>, Error> {
        let mut words = [0; MappingInfo::COUNT];
        let buffer = words.as_mut_ptr().expose_provenance() as u64;
        let call = Call::MappingsList { target: self.target.handle(), from: self.from, buffer, capacity: 1 };
        // SAFETY: the kernel writes `capacity` structures, one, to a buffer that is ours and has that length.
        let count = unsafe { perform_unchecked(call) }?;
        let mapping = MappingInfo::read(&words);
        self.from = mapping.address.saturating_add(mapping.length_bytes);
        Ok((count > 0).then_some(mapping))
    }
}

impl<T: Mapped> Iterator for Mappings<'_, T> {
    type Item = Result<MappingInfo, Error>;

    fn next(&mut self) -> Option<Result<MappingInfo, Error>> {
        if self.done {
            return None;
        }
        let answer = self.ask().transpose();
        self.done = !matches!(answer, Some(Ok(_)));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::length_of;
    use tessera_abi::Error;

    #[test]
    fn empty_and_inverted_ranges_are_refused() {
        assert_eq!(length_of(&(4096..8192)), Ok(4096));
        assert_eq!(length_of(&(4096..4096)), Err(Error::BadAddress));
        let (start, end) = (8192, 4096);
        assert_eq!(length_of(&(start..end)), Err(Error::BadAddress));
    }
}
