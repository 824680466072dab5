//! The crowd: hundreds of spaces that have the program and nothing else.

use crate::commons::{self, CARVED};
use alloc::format;
use alloc::vec::Vec;
use demonstration::{Failure, check};
use libvas::{Cap, Error, Space, program};

/// The spaces.
pub(crate) struct Crowd(Vec<Cap<Space>>);

impl Crowd {
    /// Makes so many.
    pub(crate) fn new(count: u64) -> Result<Crowd, Error> {
        let mut crowd = Crowd(Vec::new());
        crowd.grow(count)?;
        Ok(crowd)
    }

    /// Makes so many more.
    pub(crate) fn grow(&mut self, count: u64) -> Result<(), Error> {
        for _ in 0..count {
            let space = program().new_space()?;
            space.set_name(&format!("crowd {}", self.0.len() + 1))?;
            self.0.push(space);
        }
        Ok(())
    }

    /// All of them.
    pub(crate) fn spaces(&self) -> &[Cap<Space>] {
        &self.0
    }

    /// The one that was made first.
    pub(crate) fn first(&self) -> Result<&Cap<Space>, Failure> {
        self.0.first().ok_or(Failure::NotAsTold("there are spaces"))
    }

    /// The one that was made last.
    pub(crate) fn last(&self) -> Result<&Cap<Space>, Failure> {
        self.0.last().ok_or(Failure::NotAsTold("there are spaces"))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Switches into each and reads both pages.
    pub(crate) fn visit(&self) -> Result<(), Failure> {
        self.each(|| Ok(commons::carved()?.get() == CARVED && commons::changing()?.get() == 0))
    }

    /// Switches into each and reads the page that changes.
    pub(crate) fn find_version(&self, version: u64) -> Result<(), Failure> {
        self.each(|| Ok(commons::changing()?.get() == version))
    }

    fn each(&self, look: impl Fn() -> Result<bool, Error>) -> Result<(), Failure> {
        self.0.iter().try_for_each(|space| check(space.enter(&look)??, "every space reads what is public"))
    }
}
