//! First-class virtual address spaces, in the words of those who proposed them: Till Smejkal's "[RFC PATCH 10/13] mm: Introduce
//! first class virtual address spaces" (linux-kernel, March 2017), and "SpaceJMP: Programming with Multiple Virtual Address Spaces"
//! (ASPLOS 2016).
//!
//! A VAS has a name, and outlives who made it. A process attaches it, and its threads switch into it and back. What it holds are
//! segments with fixed addresses between [`START`] and [`END`]; everywhere else each process has its own: code, heap and stacks are
//! its program's, and nothing has to be copied or kept in step.
//!
//! ```no_run
//! use libvas::names::{self, Mode};
//! use libvas::vas::{self, Access, Process};
//! use libvas::Place;
//!
//! let mut process = Process::new(names::service()?);
//! let vid = process.create("v0", Mode::new(0o660))?;
//! let sid = process.create_segment("s0", vas::START + 0x1000..vas::START + 0x5000, Mode::new(0o660))?;
//! process.attach_segment(vid, sid, Access::ReadWrite)?;
//! let vid = process.find("v0")?;
//! process.attach(vid, Access::ReadWrite)?;
//! process.switch(Some(vid))?;
//! Place::<u64>::new(vas::START + 0x1000)?.set(42);
//! process.switch(None)?;
//! # Ok::<(), libvas::Error>(())
//! ```
//!
//! | RFC and SpaceJMP | here |
//! |---|---|
//! | `vas_create`, `vas_find`, `vas_delete` | [`Process::create`], [`Process::find`], [`Process::delete`] |
//! | `vas_clone` | [`Process::clone_of`] |
//! | `vas_attach`, `vas_detach` | [`Process::attach`], [`Process::detach`] |
//! | `vas_switch`, `active_vas` | [`Process::switch`] (`None` for 0, the original one), [`Process::active`] |
//! | `vas_getattr`, `vas_setattr`; `vas_ctl` | [`Process::attributes`], [`Process::set_attributes`] |
//! | `vas_seg_create`, `seg_alloc`, and so on | [`Process::create_segment`], and so on |
//! | lockable segments | [`Process::create_locked`], [`Process::switch_within`] |
//! | `EEXIST`, `ESRCH` | `Exists`, `NotFound` |
//! | `EBUSY`, `EINVAL`, `EACCES` | `Busy`, `BadArgument`, `MissingRight` |
//!
//! A VAS, and a segment, has one who writes or any number who read. Nobody counts them: the kernel knows what it has lent, so a
//! process that ends has detached all. A process that only reads is shown all of the VAS without `WRITE`. If a VAS has a lock, the rule
//! holds for the threads that are in it, and not for the processes that have it attached.

mod clones;
mod locks;
mod segments;

use crate::names::{Class, Mode, NameInfo, Names, Operation};
use crate::{Cap, Error, PAGE_BYTES, Rights, Space, Subtree, TOP_SLOT_BYTES, Thread, program, stack};
use core::mem::ManuallyDrop;
use tessera_abi::Handle;
use tessera_abi::layout::Name;

pub use segments::Sid;

/// Where the part of an address space begins that a VAS fills. Its first page stays free.
pub const START: u64 = 64 * TOP_SLOT_BYTES;

/// Where it ends.
pub const END: u64 = START + TOP_SLOT_BYTES;

/// How many VASes a process can have attached.
pub const ATTACHED_MAX: usize = 16;

/// What is registered with the name of a VAS: that it has no lock, or one.
const PLAIN: u64 = 0;
const LOCKED: u64 = 1;

/// How something is attached (`O_RDONLY`, `O_WRONLY`, `O_RDWR`). No page table lets write what cannot be read, so `Write` is
/// `ReadWrite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To be read, and executed.
    Read,
    /// To be written.
    Write,
    /// Both.
    ReadWrite,
}

impl Access {
    fn writes(self) -> bool {
        self != Access::Read
    }
}

/// A VAS, as its name says. If that was deleted and given again, it is the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vid(Name);

/// What a process has attached. It is a program's own business how many of these it has; each attaches for itself.
#[derive(Debug)]
pub struct Process<'a> {
    names: &'a Names,
    attached: [Option<Attached>; ATTACHED_MAX],
}

/// A VAS that is attached: a space of this program's that shows it.
#[derive(Debug)]
struct Attached {
    vid: Vid,
    space: Cap<Space>,
    // As long as it is there, it is known who has the VAS attached.
    subtree: Cap<Subtree>,
}

impl<'a> Process<'a> {
    /// One that has attached nothing yet.
    pub const fn new(names: &'a Names) -> Process<'a> {
        Process { names, attached: [const { None }; ATTACHED_MAX] }
    }

    /// Makes a VAS, of which nothing is there but its name; the program's account pays for it.
    ///
    /// # Errors
    /// `Exists`, and the others of [`Names::register`] and [`Subtree::new`].
    pub fn create(&self, name: &str, mode: Mode) -> Result<Vid, Error> {
        self.register(name, Subtree::new(program().account())?, mode, PLAIN)
    }

    /// The VAS of this name.
    ///
    /// # Errors
    /// `NotFound`, `BadText`, and those of [`Cap::request`].
    pub fn find(&self, name: &str) -> Result<Vid, Error> {
        self.names.about(Operation::Info, Class::Space, name)?;
        vid_of(name)
    }

    /// Forgets a VAS that nobody has attached; this process must have made it, or its mode let it write.
    ///
    /// # Errors
    /// `Busy`, `NotFound`, `MissingRight`.
    pub fn delete(&self, vid: Vid) -> Result<(), Error> {
        let kind = self.attributes(vid)?.value;
        self.names.about(Operation::Remove, Class::Space, vid.0.as_str())?;
        if kind == PLAIN { Ok(()) } else { self.forget_lock(vid) }
    }

    /// Attaches a VAS, so that threads can switch there. One that is attached already stays as it is.
    ///
    /// # Errors
    /// `Busy` if another one writes, or reads while this one wants to write; `NotFound`; `MissingRight` if the mode withholds it;
    /// `LimitReached` beyond [`ATTACHED_MAX`], and for one with a lock in more than 32 spaces; and those of
    /// [`crate::Program::new_space`] and [`Cap::attach`].
    pub fn attach(&mut self, vid: Vid, access: Access) -> Result<(), Error> {
        if self.attachment(vid).is_ok() {
            return Ok(());
        }
        let place = self.attached.iter().position(Option::is_none).ok_or(Error::LimitReached)?;
        self.attached[place] = Some(self.shown(vid, access)?);
        Ok(())
    }

    /// A space that shows a VAS.
    fn shown(&self, vid: Vid, access: Access) -> Result<Attached, Error> {
        let (bounds, rest) = match access.writes() {
            true => (Rights::ACCESS, Rights::INSPECT | Rights::MAP),
            false => (Rights::READ_EXECUTE, Rights::INSPECT),
        };
        let is_locked = self.attributes(vid)?.value == LOCKED;
        let operation = if is_locked { Operation::Find } else { Operation::Claim };
        let (subtree, _) = self.names.find_in(operation, Class::Space, vid.0.as_str(), bounds | rest)?;
        let space = program().new_space()?;
        space.attach(START, &subtree, bounds)?;
        if is_locked {
            self.show_lock(vid, &space, access.writes())?;
        }
        Ok(Attached { vid, space, subtree })
    }

    /// Detaches a VAS.
    ///
    /// # Errors
    /// `BadArgument` if it is not attached, `Busy` as long as a thread is in it.
    pub fn detach(&mut self, vid: Vid) -> Result<(), Error> {
        if self.attachment(vid)?.space.info()?.threads != 0 {
            return Err(Error::Busy);
        }
        self.attached.iter_mut().filter(|place| place.as_ref().is_some_and(|found| found.vid == vid)).for_each(
            |place| {
                *place = None;
            },
        );
        Ok(())
    }

    /// Switches the calling thread into a VAS, or with `None` into the space that it started in. Code goes on at the next instruction;
    /// a thread that ends in a VAS has left it.
    ///
    /// # Errors
    /// `BadArgument` if it is not attached, and those of [`Cap::switch`].
    #[inline]
    pub fn switch(&self, vid: Option<Vid>) -> Result<(), Error> {
        match vid {
            Some(vid) => self.attachment(vid)?.space.switch(),
            None => ManuallyDrop::new(Cap::<Space>::from_handle(stack::home())).switch(),
        }
        .map(|_| ())
    }

    /// The space by which an attached VAS is shown here, for threads that are to begin in it.
    ///
    /// # Errors
    /// `BadArgument` if it is not attached.
    pub fn space(&self, vid: Vid) -> Result<&Cap<Space>, Error> {
        self.attachment(vid).map(|found| &found.space)
    }

    /// The VAS that the calling thread is in; `None` outside of those that are attached.
    ///
    /// # Errors
    /// `BadState` for a thread on a stack that libvas did not make.
    pub fn active(&self) -> Result<Option<Vid>, Error> {
        let own = match stack::own_number() {
            stack::FOREIGN => return Err(Error::BadState),
            bits => ManuallyDrop::new(Cap::<Thread>::from_handle(Handle::from_bits(bits))),
        };
        let inside = own.info()?.space;
        for found in self.attached.iter().flatten() {
            if found.space.capability_info()?.object == inside {
                return Ok(Some(found.vid));
            }
        }
        Ok(None)
    }

    /// A VAS's attributes: its mode, and what this process may do by it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn attributes(&self, vid: Vid) -> Result<NameInfo, Error> {
        self.names.about(Operation::Info, Class::Space, vid.0.as_str()).map(NameInfo::decode)
    }

    /// Gives a VAS another mode, which holds for who attaches from then on.
    ///
    /// # Errors
    /// `NotFound`; `MissingRight` unless this process made it, or the mode lets it write.
    pub fn set_attributes(&self, vid: Vid, mode: Mode) -> Result<(), Error> {
        if self.attributes(vid)?.value == LOCKED {
            self.names.set_mode(Class::Lock, vid.0.as_str(), mode)?;
        }
        self.names.set_mode(Class::Space, vid.0.as_str(), mode)
    }

    fn attachment(&self, vid: Vid) -> Result<&Attached, Error> {
        self.attached.iter().flatten().find(|found| found.vid == vid).ok_or(Error::BadArgument)
    }
}

impl Drop for Process<'_> {
    /// Detaches all. The calling thread leaves the VAS first that it is in, as it does at a process's exit; others that are in one are
    /// stopped.
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.active() {
            // Its home is there: it is what the thread came from.
            let _ = self.switch(None);
        }
    }
}

fn vid_of(name: &str) -> Result<Vid, Error> {
    Name::new(name).map(Vid).ok_or(Error::BadText)
}

/// Where in a VAS a segment lies that is at these addresses.
fn offset_of(start: u64, end: u64) -> Result<u64, Error> {
    if !start.is_multiple_of(PAGE_BYTES) || !end.is_multiple_of(PAGE_BYTES) {
        return Err(Error::Misaligned);
    }
    if start < START + PAGE_BYTES || end <= start || end > END {
        return Err(Error::BadAddress);
    }
    Ok(start - START)
}

#[cfg(test)]
mod tests {
    use super::{END, START, offset_of};
    use crate::{Error, PAGE_BYTES};

    #[test]
    fn segments_lie_where_vases_are_behind_the_first_page() {
        assert_eq!(offset_of(START + PAGE_BYTES, END), Ok(PAGE_BYTES));
        for (start, end) in [(START, END), (START + PAGE_BYTES, END + PAGE_BYTES), (END, START), (0, PAGE_BYTES)] {
            assert_eq!(offset_of(start, end), Err(Error::BadAddress));
        }
        assert_eq!(offset_of(START + PAGE_BYTES + 8, END), Err(Error::Misaligned));
        assert_eq!(offset_of(START + PAGE_BYTES, END - 1), Err(Error::Misaligned));
    }
}
