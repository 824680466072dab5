//! The donor's region: a subtree with a page or two of text.

use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, program};

/// Where both sides have it, so that pointers in it would mean the same to both.
pub(crate) const ADDRESS: u64 = 4 * TOP_SLOT_BYTES;

/// Where in the region the first text is, and the one that is added later.
pub(crate) const BEFORE: u64 = PAGE_BYTES;
/// See [`BEFORE`].
pub(crate) const LATER: u64 = 0x4000_0000;

/// The first text.
pub(crate) const TEXT_BEFORE: &str = "a text that the donor shares";

/// The text that is added later.
pub(crate) const TEXT_LATER: &str = "and one more, a gibibyte further on";

/// The subtree.
pub(crate) struct Region(Cap<Subtree>);

impl Region {
    /// Makes a region with one page of memory.
    pub(crate) fn new() -> Result<Region, Error> {
        let region = Region(Subtree::new(program().account())?);
        region.0.set_name("region")?;
        region.map(BEFORE)?;
        Ok(region)
    }

    /// The subtree.
    pub(crate) fn subtree(&self) -> &Cap<Subtree> {
        &self.0
    }

    /// Maps a new page, writable, for all who share the region.
    pub(crate) fn map(&self, offset: u64) -> Result<(), Error> {
        let page = Segment::new(program().account(), PAGE_BYTES)?;
        self.0.map(offset, &page, 0..PAGE_BYTES, Rights::READ_WRITE)
    }

    /// Attaches it to a space that may write to it.
    pub(crate) fn attach_to(&self, space: &Cap<Space>) -> Result<(), Error> {
        space.attach(ADDRESS, &self.0, Rights::READ_WRITE)
    }
}

/// Writes a text, where the thread's space has the region.
pub(crate) fn write(offset: u64, text: &str) -> Result<(), Error> {
    write_at(ADDRESS + offset, text)
}

/// Writes a text to an address.
pub(crate) fn write_at(address: u64, text: &str) -> Result<(), Error> {
    let start = Place::<u8>::new(address)?;
    text.bytes().zip(0..).try_for_each(|(byte, index)| start.at(index).map(|place| place.set(byte)))
}

/// Whether a text is there, where the thread's space has the region.
pub(crate) fn holds(offset: u64, text: &str) -> Result<bool, Error> {
    holds_at(ADDRESS + offset, text)
}

/// Whether a text is at an address.
pub(crate) fn holds_at(address: u64, text: &str) -> Result<bool, Error> {
    let start = Place::<u8>::new(address)?;
    let mut same = true;
    for (byte, index) in text.bytes().zip(0..) {
        same &= start.at(index)?.get() == byte;
    }
    Ok(same)
}

/// Copies text out to `bytes`, up to a zero byte or as much as fits; gives what is text of it.
pub(crate) fn read(offset: u64, bytes: &mut [u8; 64]) -> Result<&str, Error> {
    read_at(ADDRESS + offset, bytes)
}

/// The same from an address on.
pub(crate) fn read_at(address: u64, bytes: &mut [u8; 64]) -> Result<&str, Error> {
    let start = Place::<u8>::new(address)?;
    let mut length = 0;
    while length < bytes.len() {
        match start.at(length as u64)?.get() {
            0 => break,
            byte => bytes[length] = byte,
        }
        length += 1;
    }
    core::str::from_utf8(&bytes[..length]).map_err(|_| Error::BadText)
}
