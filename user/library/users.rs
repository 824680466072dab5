//! The library's users: spaces that may read it and call it.

use crate::call;
use crate::shelf::{self, Library};
use alloc::format;
use alloc::vec::Vec;
use demonstration::{Failure, check};
use libvas::thread::Builder;
use libvas::{Cap, Error, Place, Rights, Space, program};

/// How many there are.
const USERS: u64 = 16;

/// Their spaces.
pub(crate) struct Users(Vec<Cap<Space>>);

impl Users {
    /// Makes the spaces and attaches the library to each, to be read and executed.
    pub(crate) fn new(library: &Library) -> Result<Users, Error> {
        let mut spaces = Vec::new();
        for number in 1..=USERS {
            let space = program().new_space()?;
            space.set_name(&format!("user {number}"))?;
            library.attach_to(&space, Rights::READ_EXECUTE)?;
            spaces.push(space);
        }
        Ok(Users(spaces))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Calls the library in each of the spaces; gives how many had the expected answer, which is all of them.
    pub(crate) fn call_all(&self, amount: u64, expected: u64) -> Result<u64, Failure> {
        for space in &self.0 {
            let answer = space.enter(|| call::price(amount))?;
            check(answer == expected, "each user's call gives what the library now says")?;
        }
        Ok(self.count())
    }

    /// Lets a thread of the first user store a word in the library; gives its end.
    pub(crate) fn store_from_first(&self, offset: u64, value: u64) -> Result<(), Error> {
        store(&self.0[0], "user", offset, value)
    }

    /// Lets a thread of each user store a word in the library; gives how many of them were stopped by a fault.
    pub(crate) fn store_from_all(&self, offset: u64, value: u64) -> Result<u64, Error> {
        self.0.iter().try_fold(0, |stopped, space| match store(space, "user", offset, value) {
            Err(Error::Faulted) => Ok(stopped + 1),
            other => other.map(|()| stopped),
        })
    }

    /// Lets a thread of the first user call the library; gives the answer or the thread's end.
    pub(crate) fn call_from_first(&self, amount: u64) -> Result<u64, Error> {
        call(&self.0[0], "user", amount)
    }
}

/// Lets a thread of its own, in `space`, store a word in the library; gives its end.
pub(crate) fn store(space: &Cap<Space>, name: &str, offset: u64, value: u64) -> Result<(), Error> {
    let place = Place::<u64>::new(shelf::address_of(offset))?;
    Builder::new().space(space).name(name).spawn(move || place.set(value))?.join()
}

/// Lets a thread of its own, in `space`, call the library; gives the answer or the thread's end.
pub(crate) fn call(space: &Cap<Space>, name: &str, amount: u64) -> Result<u64, Error> {
    Builder::new().space(space).name(name).spawn(move || call::price(amount))?.join()
}
