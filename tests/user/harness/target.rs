//! Threads on other CPUs that read what a subtree holds while it is taken away.

use crate::{Failure, OLD, Room, Shared, Spinner, Verdict, has_faulted, on_cpu, spot, word_at};
use alloc::vec::Vec;
use libvas::{Cap, Error, Level, Rights, Space, counters, program};

/// A shared subtree whose page begins with [`OLD`], and the page as the home space sees it.
#[derive(Debug)]
pub struct Target {
    /// The subtree.
    pub shared: Shared,
    /// Its page.
    pub alias: Room,
    /// Its level.
    pub level: Level,
}

impl Target {
    /// A subtree of a level whose page is mapped with these rights.
    ///
    /// # Errors
    /// What making and mapping can fail with.
    pub fn new(level: Level, rights: Rights) -> Result<Target, Error> {
        let shared = Shared::new(level, rights)?;
        let alias = Room::with(shared.segment.derive(Rights::READ_WRITE, 0)?, 1, Rights::READ_WRITE)?;
        alias.word(0)?.set(OLD);
        Ok(Target { shared, alias, level })
    }

    /// A space with the program that has the subtree at the spot of its level.
    ///
    /// # Errors
    /// What making a space and attaching can fail with.
    pub fn sharer(&self) -> Result<Cap<Space>, Error> {
        let space = program().new_space()?;
        space.attach(spot(self.level), &self.shared.subtree, Rights::READ_WRITE)?;
        Ok(space)
    }

    /// A thread on each CPU but the first that reads the page, each in a space of its own.
    ///
    /// # Errors
    /// A failure if one does not begin to read.
    pub fn readers(&self) -> Result<Vec<(Cap<Space>, Spinner)>, Failure> {
        let mut all = Vec::new();
        for cpu in 1..counters::cpus()? {
            let space = self.sharer()?;
            let spinner = Spinner::reading(on_cpu(cpu), &space, word_at(spot(self.level))?.address())?;
            spinner.wait()?;
            all.push((space, spinner));
        }
        Ok(all)
    }
}

/// Waits until all of them were stopped by faults, having read nothing but [`OLD`].
///
/// # Errors
/// As [`has_faulted`].
#[track_caller]
pub fn all_have_faulted<T>(readers: Vec<(T, Spinner)>) -> Verdict {
    readers.into_iter().try_for_each(|(_ground, spinner)| has_faulted(spinner))
}
