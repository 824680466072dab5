//! The library: a subtree with a page of code and a page of data.

use crate::code::{self, Version};
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, program};

/// Where everybody attaches it, so that its function has one address.
const SLOT: u64 = 60 * TOP_SLOT_BYTES;

/// Where in the subtree its code is.
pub(crate) const CODE: u64 = PAGE_BYTES;

/// Where in the subtree its data is, whose first word is the rate.
pub(crate) const DATA: u64 = CODE + code::DATA_BEHIND_CODE_BYTES;

/// The subtree. What is mapped there stays as long as it does.
pub(crate) struct Library(Cap<Subtree>);

impl Library {
    /// Makes it, with the first version of the code.
    pub(crate) fn new() -> Result<Library, Error> {
        let account = program().account();
        let (code, data) = (Segment::new(account, PAGE_BYTES)?, Segment::new(account, PAGE_BYTES)?);
        code.write(0, &Version::First.code())?;
        let subtree = Subtree::new(account)?;
        subtree.set_name("library")?;
        subtree.map(CODE, &code, 0..PAGE_BYTES, Rights::READ_EXECUTE)?;
        subtree.map(DATA, &data, 0..PAGE_BYTES, Rights::READ_WRITE)?;
        Ok(Library(subtree))
    }

    /// The subtree.
    pub(crate) fn subtree(&self) -> &Cap<Subtree> {
        &self.0
    }

    /// Attaches it to a space, which may do with it what `bounds` say.
    pub(crate) fn attach_to(&self, space: &Cap<Space>, bounds: Rights) -> Result<(), Error> {
        space.attach(SLOT, &self.0, bounds)
    }

    /// Changes what the mapping of the code allows, for all who share it.
    pub(crate) fn protect_code(&self, rights: Rights) -> Result<(), Error> {
        self.0.protect(CODE..CODE + PAGE_BYTES, rights)
    }
}

/// Where a space that has the library finds what is at this offset.
pub(crate) const fn address_of(offset: u64) -> u64 {
    SLOT + offset
}

/// The word with the rate.
pub(crate) const fn rate() -> Result<Place<u64>, Error> {
    Place::new(address_of(DATA))
}
