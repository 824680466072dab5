//! Names: the client of the name service.
//!
//! A name stands for a capability, as long as it is registered: whoever registered it may end, and what it names stays. `find`
//! gives one that is derived from it, with rights that were registered and that the name's [`Mode`] lets the finder have.
//!
//! ```no_run
//! use libvas::gate::Along;
//! use libvas::names::{self, Mode};
//! use libvas::{Rights, Segment, program};
//!
//! let names = names::service()?;
//! let segment = Segment::new(program().account(), 0x1000)?;
//! names.register("counters", Along::derived(&segment, Rights::READ), Mode::new(0o604))?;
//! // In another program:
//! let found = names.find::<Segment>("counters", Rights::READ)?;
//! # Ok::<(), libvas::Error>(())
//! ```
//!
//! The service is the program `names`, which `init` starts if `names=start` stands in the archive's `cmdline`. Each program gets a
//! gate of its own: by that, and by nothing that it could say, the service knows it again.
//!
//! If the service ends, every call is `Gone`. [`Names::again`] has it started anew by whoever started it before, and gives a way to it;
//! what was found stays, but the names of before are forgotten, and what nobody else held is gone. So nothing connects by itself:
//!
//! ```no_run
//! # use libvas::names::{self, Mode};
//! # use libvas::{Error, Rights, Segment};
//! let mut found = names::service()?.find::<Segment>("counters", Rights::READ);
//! if found.as_ref().err() == Some(&Error::Gone) {
//!     let names = names::service()?.again()?;
//!     // Whoever has names registers them anew; until then they are `NotFound`.
//!     found = names.find("counters", Rights::READ);
//! }
//! # Ok::<(), Error>(())
//! ```

mod words;

use crate::capability::Object;
use crate::gate::{Along, GateWords, Request};
use crate::{Cap, Error, Gate, Handle, Rights, program};
use tessera_abi::layout::Name;

pub use words::{Class, Mode, NameInfo, Operation, Question, name_of, name_words};

/// The error of a program that was given no way to the service.
pub const NO_SERVICE: Error = Error::NotSupported;

/// How many clients the service has at most, whoever started it included.
pub const CLIENTS: usize = 16;

/// How many names each of them may have registered: so many are always left for it, whatever others do.
pub const NAMES_OF_CLIENT: usize = 64;

/// A way to the name service.
#[derive(Debug)]
pub struct Names {
    gate: Cap<Gate>,
    /// That of whoever started the service.
    again: Option<Cap<Gate>>,
}

/// What a program is given as its ways to the name service, by whoever starts it.
#[derive(Clone, Copy, Debug)]
pub struct Ways<'a> {
    /// The service's gate for it.
    pub gate: &'a Cap<Gate>,
    /// The gate of whoever started the service, for [`Names::again`].
    pub again: Option<&'a Cap<Gate>>,
}

/// The name service, as this program was given it.
///
/// # Errors
/// [`NO_SERVICE`] if it was not: `names=start` does not stand in the archive's `cmdline`.
pub fn service() -> Result<&'static Names, Error> {
    program().names().ok_or(NO_SERVICE)
}

/// A name in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: Name,
    /// What it is for.
    pub class: Class,
}

impl Names {
    /// The service behind a gate.
    pub const fn new(gate: Cap<Gate>) -> Names {
        Names { gate, again: None }
    }

    /// The same, with the gate of whoever starts it anew.
    pub const fn with_way_back(gate: Cap<Gate>, again: Option<Cap<Gate>>) -> Names {
        Names { gate, again }
    }

    /// What another program is given that is to be the same client.
    pub const fn ways(&self) -> Ways<'_> {
        Ways { gate: &self.gate, again: self.again.as_ref() }
    }

    /// A way to the service that is there now. One that has ended is started anew, and knows no name; if this one's has not, it is the
    /// same, and the same client's.
    ///
    /// # Errors
    /// `NotSupported` if this was given no way to whoever starts it, those of starting it, and those of [`Cap::request`].
    pub fn again(&self) -> Result<Names, Error> {
        let starter = self.again.as_ref().ok_or(NO_SERVICE)?;
        let kept = starter.derive(Rights::CALL | Rights::GRANT, 0)?;
        let (words, gate) = starter.request(Request::new([0; 6]).wait())?;
        Error::from_status(words[0])?;
        if gate == Handle::NONE {
            return Err(self.why_nothing_came());
        }
        Ok(Names::with_way_back(Cap::from_handle(gate), Some(kept)))
    }

    /// The gate.
    pub const fn gate(&self) -> &Cap<Gate> {
        &self.gate
    }

    /// Goes on by another gate: that of a service that was started anew. What was registered before is not known to it.
    pub fn reconnect(&mut self, gate: Cap<Gate>) {
        self.gate = gate;
    }

    /// Gives a capability a name of up to 32 bytes, all of them visible characters. Finders get at most the rights that go along. It
    /// must have `GRANT`, or nobody could be given it; finders get that only if it is among those rights.
    ///
    /// # Errors
    /// `Exists`, `BadText`, `MissingRight`, `LimitReached` beyond [`NAMES_OF_CLIENT`], and those of [`Cap::request`]. A capability
    /// that was to be moved is given up if the service refuses it.
    pub fn register(&self, name: &str, what: Along, mode: Mode) -> Result<(), Error> {
        self.register_in(Class::Plain, name, what, mode, 0)
    }

    /// The same in a class of names, with a number that is kept with it.
    ///
    /// # Errors
    /// As [`Names::register`].
    pub fn register_in(&self, class: Class, name: &str, what: Along, mode: Mode, value: u64) -> Result<(), Error> {
        let question = Question {
            class,
            mode,
            rights: what.rights,
            name: name_words(name)?,
            value,
            ..Question::new(Operation::Register)
        };
        let along = Along { rights: what.rights | Rights::GRANT, ..what };
        self.ask(&question, Some(along)).map(|_| ())
    }

    /// A capability derived from what a name stands for, with these rights.
    ///
    /// # Errors
    /// `NotFound`, `WrongObject` if it is of another kind, `MissingRight` for one that was not registered or that the mode
    /// withholds, `TableFull`, and those of [`Cap::request`].
    #[inline]
    pub fn find<T: Object>(&self, name: &str, rights: Rights) -> Result<Cap<T>, Error> {
        self.find_in(Operation::Find, Class::Plain, name, rights).map(|(found, _)| found)
    }

    /// The same in a class of names, with the number that was registered; or as [`Operation::Claim`], where `WRITE` among the rights
    /// is for one who holds it alone. A claim ends what the thread has begun to list with [`Cap::lent`].
    ///
    /// # Errors
    /// As [`Names::find`]; `Busy` for a claim: somebody has it with `WRITE`, or with `READ` while this one wants `WRITE`.
    #[inline]
    pub fn find_in<T: Object>(
        &self,
        operation: Operation,
        class: Class,
        name: &str,
        rights: Rights,
    ) -> Result<(Cap<T>, u64), Error> {
        let question =
            Question { class, kind: T::KIND as u8, rights, name: name_words(name)?, ..Question::new(operation) };
        let (words, found) = self.ask(&question, None)?;
        if found == Handle::NONE {
            return Err(self.why_nothing_came());
        }
        Ok((Cap::from_handle(found), words[1]))
    }

    /// Forgets a name: one's own, or one whose mode lets others change it. What it named goes if nobody else has it.
    ///
    /// # Errors
    /// `NotFound`, `MissingRight`, and those of [`Cap::request`].
    pub fn unregister(&self, name: &str) -> Result<(), Error> {
        self.about(Operation::Unregister, Class::Plain, name).map(|_| ())
    }

    /// What is known of a name.
    ///
    /// # Errors
    /// `NotFound`, and those of [`Cap::request`].
    pub fn info(&self, name: &str) -> Result<NameInfo, Error> {
        self.about(Operation::Info, Class::Plain, name).map(NameInfo::decode)
    }

    /// Gives a name another mode; who may forget a name may do that.
    ///
    /// # Errors
    /// As [`Names::unregister`].
    pub fn set_mode(&self, class: Class, name: &str, mode: Mode) -> Result<(), Error> {
        let question = Question { class, mode, name: name_words(name)?, ..Question::new(Operation::SetMode) };
        self.ask(&question, None).map(|_| ())
    }

    /// Something else about a name of a class.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn about(&self, operation: Operation, class: Class, name: &str) -> Result<GateWords, Error> {
        let question = Question { class, name: name_words(name)?, ..Question::new(operation) };
        self.ask(&question, None).map(|(words, _)| words)
    }

    /// All names, of whatever class and mode, in no order. What comes or goes meanwhile may be listed or not.
    pub fn list(&self) -> List<'_> {
        List { names: self, next: Some(0) }
    }

    /// A way in for one more client, and its number. For whoever started the service.
    ///
    /// # Errors
    /// `MissingRight` for others, `LimitReached` beyond [`CLIENTS`], and those of making a gate.
    pub fn admit(&self) -> Result<(u64, Cap<Gate>), Error> {
        let (words, gate) = self.ask(&Question::new(Operation::Admit), None)?;
        if gate == Handle::NONE {
            return Err(self.why_nothing_came());
        }
        Ok((words[1], Cap::from_handle(gate)))
    }

    /// Ends a client's way in, by its number. What it has registered stays. For whoever started the service.
    ///
    /// # Errors
    /// `MissingRight` for others, `BadArgument` if there is no such client.
    pub fn dismiss(&self, client: u64) -> Result<(), Error> {
        let question = Question { value: client, ..Question::new(Operation::Dismiss) };
        self.ask(&question, None).map(|_| ())
    }

    /// Asks; gives the words of the answer, and what came along.
    #[inline]
    fn ask(&self, question: &Question, along: Option<Along>) -> Result<(GateWords, Handle), Error> {
        let request = Request::new(question.encode()).wait();
        let request = if let Some(along) = along { request.along(along) } else { request };
        let (words, given) = self.gate.request(request)?;
        Error::from_status(words[0]).map(|()| (words, given))
    }

    /// Why an answer came without its capability: there was no room for it, or it went at that moment.
    #[cold]
    fn why_nothing_came(&self) -> Error {
        self.gate.derive(Rights::empty(), 0).err().unwrap_or(Error::NotFound)
    }
}

/// Iterator over names; each item is one, or the error that ended the listing.
#[derive(Debug)]
pub struct List<'a> {
    names: &'a Names,
    next: Option<u64>,
}

impl Iterator for List<'_> {
    type Item = Result<Listed, Error>;

    fn next(&mut self) -> Option<Result<Listed, Error>> {
        let question = Question { value: self.next.take()?, ..Question::new(Operation::List) };
        match self.names.ask(&question, None) {
            Ok(([_, first, second, third, fourth, place], _)) => {
                self.next = Some(place >> 8);
                let class = *Class::ALL.get((place & 0xff) as usize)?;
                Some(Ok(Listed { name: Name::from_words([first, second, third, fourth]), class }))
            }
            Err(Error::NotFound) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
