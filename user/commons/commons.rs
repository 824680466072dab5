//! The public subtree: two pages, of which one stays and one is changed.

use libvas::{Cap, Error, Machine, PAGE_BYTES, Place, Rights, Segment, Subtree, TOP_SLOT_BYTES, program};

/// Where every space shows it.
pub(crate) const SLOT: u64 = 70 * TOP_SLOT_BYTES;

/// Where in the subtree the page that stays is.
pub(crate) const STAYS: u64 = PAGE_BYTES;

/// Where in the subtree the page that changes is.
pub(crate) const CHANGES: u64 = 2 * PAGE_BYTES;

/// What the first word of the page that stays says.
pub(crate) const CARVED: u64 = 0x7075_626c_6963;

/// The subtree, and the memory of its pages.
pub(crate) struct Commons {
    subtree: Cap<Subtree>,
    pages: [Cap<Segment>; 2],
}

impl Commons {
    /// Makes it; nobody sees it yet.
    pub(crate) fn new() -> Result<Commons, Error> {
        let account = program().account();
        let (subtree, carved) = (Subtree::new(account)?, Segment::new(account, PAGE_BYTES)?);
        subtree.set_name("commons")?;
        carved.write(0, &CARVED.to_le_bytes())?;
        // Writable, as far as the mapping goes: what is public is not, whatever its mappings allow.
        subtree.map(STAYS, &carved, 0..PAGE_BYTES, Rights::READ_WRITE)?;
        let pages = [Segment::new(account, PAGE_BYTES)?, Segment::new(account, PAGE_BYTES)?];
        for (page, version) in pages.iter().zip(0_u64..) {
            page.write(0, &version.to_le_bytes())?;
        }
        let commons = Commons { subtree, pages };
        commons.put(0)?;
        Ok(commons)
    }

    /// The subtree.
    pub(crate) fn subtree(&self) -> &Cap<Subtree> {
        &self.subtree
    }

    /// Makes it public, to be read.
    pub(crate) fn publish(&self, machine: &Cap<Machine>) -> Result<(), Error> {
        machine.publish(&self.subtree, SLOT, Rights::READ)
    }

    /// Maps the page of a version, 0 or 1, whose first word is that number.
    pub(crate) fn put(&self, version: usize) -> Result<(), Error> {
        self.subtree.map(CHANGES, &self.pages[version], 0..PAGE_BYTES, Rights::READ)
    }

    /// Unmaps it.
    pub(crate) fn take_away(&self) -> Result<(), Error> {
        self.subtree.unmap(CHANGES..CHANGES + PAGE_BYTES)
    }
}

/// The first word of the page that stays, in every space.
pub(crate) const fn carved() -> Result<Place<u64>, Error> {
    Place::new(SLOT + STAYS)
}

/// The first word of the page that changes, in every space.
pub(crate) const fn changing() -> Result<Place<u64>, Error> {
    Place::new(SLOT + CHANGES)
}
