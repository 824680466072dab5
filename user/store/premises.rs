//! Where the store is: the segment, the spaces that show it, the gate, and the server.

use crate::door::Door;
use crate::request::Fault;
use crate::table::Census;
use crate::{counter, desk, heap, mail, table};
use core::mem::ManuallyDrop;
use demonstration::{Failure, check};
use libvas::thread::{Builder, JoinHandle};
use libvas::{Cap, Error, Gate, PAGE_BYTES, Rights, Segment, Space, program};

/// All of it.
pub(crate) struct Premises {
    /// Where the store may be written, by one thread at a time.
    pub(crate) writers: Cap<Space>,
    /// Where it may be read, by many.
    pub(crate) readers: Cap<Space>,
    /// A space for the server, in which the store may be written, and letters are.
    served: Cap<Space>,
    /// The way in for who does not go there.
    pub(crate) gate: Cap<Gate>,
    /// The store's memory, which clients attach for themselves.
    pub(crate) memory: Cap<Segment>,
    letters: Cap<Segment>,
    desks: Cap<Segment>,
    // The gate does not keep it.
    _behind: Cap<Space>,
}

impl Premises {
    /// Makes everything, and an empty store.
    pub(crate) fn new() -> Result<Premises, Failure> {
        let account = program().account();
        let memory = Segment::new_lockable(account, heap::BYTES)?;
        let (letters, desks) = (Segment::new(account, PAGE_BYTES)?, Segment::new(account, desk::BYTES)?);
        let make = |rights| -> Result<Cap<Space>, Error> {
            let space = program().new_space()?;
            space.map(heap::START, &memory, 0..heap::BYTES, rights)?;
            Ok(space)
        };
        let (writers, readers, served) = (make(Rights::READ_WRITE)?, make(Rights::READ)?, make(Rights::READ_WRITE)?);
        let behind = program().new_space()?;
        let gate = counter::open(&behind, mail::BOXES, &writers, &readers)?;
        let premises = Premises { writers, readers, served, gate, memory, letters, desks, _behind: behind };
        premises.furnish(program().space())?;
        premises.show_letters(&premises.served)?;
        check(premises.writers.enter(heap::format)?.is_ok(), "an empty store is made")?;
        Ok(premises)
    }

    /// Maps where letters are.
    fn show_letters(&self, space: &Cap<Space>) -> Result<(), Error> {
        space.map(mail::START, &self.letters, 0..PAGE_BYTES, Rights::READ_WRITE)
    }

    /// Maps what a client needs besides the ways: where letters are, and desks.
    pub(crate) fn furnish(&self, space: &Cap<Space>) -> Result<(), Error> {
        self.show_letters(space)?;
        space.map(desk::ADDRESS, &self.desks, 0..desk::BYTES, Rights::READ_WRITE)
    }

    /// The door of the program itself.
    pub(crate) fn own_door(&self) -> Door {
        Door {
            home: program().space().handle(),
            writers: self.writers.handle(),
            readers: self.readers.handle(),
            gate: self.gate.handle(),
            number: mail::BOXES - 1,
        }
    }

    /// Lets something happen while the server serves, which has the lock for that time.
    pub(crate) fn with_server<R>(&self, body: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
        mail::set_over(false);
        let space = ManuallyDrop::new(Cap::<Space>::from_handle(self.served.handle()));
        let priority = program().thread().info()?.priority;
        let server: JoinHandle<Result<(), Error>> =
            Builder::new().name("server").priority(priority).cpus(1).spawn(move || mail::serve(&space))?;
        let result = body();
        mail::set_over(true);
        server.join()??;
        result
    }

    /// What a walk through the store finds, in each of its spaces the same.
    pub(crate) fn census(&self) -> Result<Census, Failure> {
        let found = [&self.writers, &self.readers, &self.served].map(|space| space.enter(table::census));
        let [Ok(Ok(first)), second, third] = found else { return Err(Failure::NotAsTold("the store is whole")) };
        let same = Ok::<Result<Census, Fault>, Error>(Ok(first));
        check(second == same && third == same, "its pointers mean the same in every space")?;
        Ok(first)
    }
}
