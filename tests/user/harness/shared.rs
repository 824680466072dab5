//! Subtrees of every level with a page in them, and where claims attach them.

use crate::{Code, Failure, reach};
use libvas::{
    Account, Cap, Enterable, Error, Level, Machine, PAGE_BYTES, Place, Rights, Segment, Subtree, TOP_SLOT_BYTES,
    program,
};

/// Every level, the largest first.
pub const LEVELS: [Level; 3] = [Level::Top, Level::OneGib, Level::TwoMib];

/// Where in its page a [`Shared`] has code that returns at once.
const CODE: u64 = 64;

/// A subtree with one page of memory, which begins with a number and holds some code.
#[derive(Debug)]
pub struct Shared {
    /// The subtree.
    pub subtree: Cap<Subtree>,
    /// The page's memory.
    pub segment: Cap<Segment>,
}

impl Shared {
    /// Where in the subtree the page is. The one before it is empty, and in a top-level one has to be.
    pub const OFFSET: u64 = PAGE_BYTES;

    /// A subtree of a level whose page is mapped with these rights.
    ///
    /// # Errors
    /// What making and mapping can fail with.
    pub fn new(level: Level, rights: Rights) -> Result<Shared, Error> {
        Shared::charged_to(program().account(), level, rights)
    }

    /// The same, with the subtree at the cost of an account; the memory is still the program's.
    ///
    /// # Errors
    /// What making and mapping can fail with.
    pub fn charged_to(account: &Cap<Account>, level: Level, rights: Rights) -> Result<Shared, Error> {
        let subtree = Subtree::with_level(account, level)?;
        let segment = Segment::new(program().account(), PAGE_BYTES)?;
        segment.write(CODE, &Code::Return.bytes())?;
        subtree.map(Shared::OFFSET, &segment, 0..PAGE_BYTES, rights)?;
        Ok(Shared { subtree, segment })
    }

    /// Writes the number that the page begins with, whatever the subtree's mapping allows.
    ///
    /// # Errors
    /// What mapping a window can fail with.
    pub fn set(&self, value: u64) -> Result<(), Error> {
        self.segment.write(0, &value.to_le_bytes())
    }

    /// Reads that number.
    ///
    /// # Errors
    /// What mapping a window can fail with.
    pub fn get(&self) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.segment.read(0, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The addresses of the page in the subtree.
    pub fn range(&self) -> core::ops::Range<u64> {
        Shared::OFFSET..Shared::OFFSET + PAGE_BYTES
    }
}

/// A subtree that is public for as long as this is there.
#[derive(Debug)]
pub struct Published {
    /// The subtree, which nothing else knows.
    pub shared: Shared,
}

impl Published {
    /// Makes a subtree, whose page is mapped with these rights, public at an address.
    ///
    /// # Errors
    /// As making a [`Shared`] and `publish`.
    pub fn new(address: u64, rights: Rights, bounds: Rights) -> Result<Published, Error> {
        let published = Published { shared: Shared::new(Level::Top, rights)? };
        public_machine()?.publish(&published.shared.subtree, address, bounds)?;
        Ok(published)
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // A claim may have withdrawn it already, which is no error.
        let _ = self.shared.subtree.withdraw();
    }
}

/// The machine, by which subtrees are made public: the program must have been booted with `machine=control`.
///
/// # Errors
/// `MissingRight` if it was not.
pub fn public_machine() -> Result<&'static Cap<Machine>, Error> {
    program().machine().ok_or(Error::MissingRight)
}

/// Where claims attach a subtree of a level: for each level in a top-level slot of its own.
pub const fn spot(level: Level) -> u64 {
    let fine = (1 << 32) + (14 << 20);
    match level {
        Level::Top => 70 * TOP_SLOT_BYTES,
        Level::OneGib => 71 * TOP_SLOT_BYTES + (3 << 30),
        Level::TwoMib => 72 * TOP_SLOT_BYTES + fine,
    }
}

/// The number in the page of a [`Shared`] that is attached at an address.
///
/// # Errors
/// `BadAddress` where no place can be.
pub const fn word_at(address: u64) -> Result<Place<u64>, Error> {
    Place::new(address + Shared::OFFSET)
}

/// What a space lets threads do with the page of a [`Shared`] that is attached there at an address.
///
/// # Errors
/// As [`reach`].
#[track_caller]
pub fn reach_page(space: &Cap<impl Enterable>, address: u64) -> Result<Rights, Failure> {
    reach(space, address + Shared::OFFSET + CODE)
}
