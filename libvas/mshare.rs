//! Regions whose page tables are shared, by name: the interface of Khalid Aziz's "[PATCH v1 00/14] Add support for shared PTEs across
//! processes" (linux-kernel, April 2022), which proposed `mshare` and `mshare_unlink` for Linux.
//!
//! ```no_run
//! use libvas::mshare::{self, Options};
//! use libvas::names::{self, Mode};
//! use libvas::{Level, program};
//!
//! let names = names::service()?;
//! let size_bytes = Level::Top.size_bytes();
//! let addresses = 4 * size_bytes..5 * size_bytes;
//! let region = Options::new().write().create().exclusive().mode(Mode::new(0o606)).open(names, "testregion", addresses)?;
//! region.map(program().space())?;
//! // In another program:
//! let info = mshare::info(names, "testregion")?;
//! let region = Options::new().open(names, "testregion", info.start..info.start + info.size_bytes)?;
//! region.map(program().space())?;
//! mshare::unlink(names, "testregion")?;
//! # Ok::<(), libvas::Error>(())
//! ```
//!
//! What the letter says of it holds: mappings made in the region at any time are shared by all who have mapped it; touching a hole
//! faults; unlinking takes the name away, and the region goes when the last who has it lets go of it. Other than there, each who maps it
//! has bounds of its own: one who opened it to be read cannot write.

use crate::gate::Along;
use crate::names::{Class, Mode, NameInfo, Operation};
use crate::{Cap, Error, Level, Names, Rights, Space, Subtree, program};
use core::ops::Range;

/// What is known of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Where it begins, for all who map it.
    pub start: u64,
    /// How large it is, bytes.
    pub size_bytes: u64,
    /// What every region's start and size is a multiple of, bytes (`/proc/sys/vm/mshare_size`).
    pub alignment_bytes: u64,
}

/// What region starts and sizes are multiples of: an entry of a root table.
pub const ALIGNMENT_BYTES: u64 = Level::Top.size_bytes();

/// What is known of the region of this name.
///
/// # Errors
/// `NotFound`, and those of [`Cap::request`].
pub fn info(names: &Names, name: &str) -> Result<Info, Error> {
    let known = NameInfo::decode(names.about(Operation::Info, Class::Region, name)?);
    Ok(Info { start: known.value, size_bytes: ALIGNMENT_BYTES, alignment_bytes: ALIGNMENT_BYTES })
}

/// Takes a region's name away. Who has it mapped keeps it.
///
/// # Errors
/// `NotFound`; `MissingRight` unless this program made it, or its mode lets it write.
pub fn unlink(names: &Names, name: &str) -> Result<(), Error> {
    names.about(Operation::Unregister, Class::Region, name).map(|_| ())
}

/// How a region is opened: to be read (`O_RDONLY`), unless something else is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    writes: bool,
    creates: bool,
    is_exclusive: bool,
    mode: Mode,
}

impl Options {
    /// To be read, if it is there.
    pub fn new() -> Options {
        Options::default()
    }

    /// To be written as well, and mapped into (`O_RDWR`).
    #[must_use]
    pub fn write(self) -> Options {
        Options { writes: true, ..self }
    }

    /// Makes it if it is not there (`O_CREAT`); the program's account pays for its tables.
    #[must_use]
    pub fn create(self) -> Options {
        Options { creates: true, ..self }
    }

    /// With `create`: it must not be there (`O_EXCL`).
    #[must_use]
    pub fn exclusive(self) -> Options {
        Options { is_exclusive: true, ..self }
    }

    /// Who may open one that is made.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Options {
        Options { mode, ..self }
    }

    /// Opens the region of a name, which lies at these addresses.
    ///
    /// # Errors
    /// `NotFound`; `Exists`; `Misaligned` for addresses that are no multiples of [`ALIGNMENT_BYTES`]; `BadArgument` for another size,
    /// which would be several entries; `BadAddress` if the region lies elsewhere; `MissingRight` if its mode withholds it; and the
    /// others of [`Names::register`], [`Names::find`] and [`Subtree::new`].
    pub fn open(&self, names: &Names, name: &str, addresses: Range<u64>) -> Result<Region, Error> {
        let Range { start, end } = addresses;
        if !start.is_multiple_of(ALIGNMENT_BYTES) || !end.is_multiple_of(ALIGNMENT_BYTES) {
            return Err(Error::Misaligned);
        }
        if end.checked_sub(start) != Some(ALIGNMENT_BYTES) {
            return Err(Error::BadArgument);
        }
        match self.find(names, name, start) {
            Err(Error::NotFound) if self.creates => match self.make(names, name, start) {
                // Another one was faster.
                Err(Error::Exists) if !self.is_exclusive => self.find(names, name, start),
                made => made.and_then(|()| self.find(names, name, start)),
            },
            Ok(_) if self.creates && self.is_exclusive => Err(Error::Exists),
            found => found,
        }
    }

    fn make(&self, names: &Names, name: &str, start: u64) -> Result<(), Error> {
        let subtree = Subtree::new(program().account())?;
        subtree.set_name(name)?;
        let rights = Rights::ACCESS | Rights::MAP | Rights::INSPECT | Rights::CONTROL;
        names.register_in(Class::Region, name, Along::moved(subtree, rights), self.mode, start)
    }

    fn find(&self, names: &Names, name: &str, start: u64) -> Result<Region, Error> {
        let (bounds, rest) = match self.writes {
            true => (Rights::ACCESS, Rights::INSPECT | Rights::MAP),
            false => (Rights::READ_EXECUTE, Rights::INSPECT),
        };
        let (subtree, found) = names.find_in(Operation::Find, Class::Region, name, bounds | rest)?;
        if found != start {
            return Err(Error::BadAddress);
        }
        Ok(Region { subtree, start, bounds })
    }
}

/// A region that is open. Dropping it closes it; where it is mapped it stays until it is unmapped there.
#[derive(Debug)]
pub struct Region {
    subtree: Cap<Subtree>,
    start: u64,
    bounds: Rights,
}

impl Region {
    /// Where it begins.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The subtree, for what is mapped in the region.
    pub fn subtree(&self) -> &Cap<Subtree> {
        &self.subtree
    }

    /// Maps it into a space.
    ///
    /// # Errors
    /// Those of [`Cap::attach`].
    pub fn map(&self, space: &Cap<Space>) -> Result<(), Error> {
        space.attach(self.start, &self.subtree, self.bounds)
    }

    /// Takes it out of a space.
    ///
    /// # Errors
    /// Those of [`Cap::detach`].
    pub fn unmap(&self, space: &Cap<Space>) -> Result<(), Error> {
        space.detach(self.start)
    }
}
