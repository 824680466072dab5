//! The clients: spaces that share the area.

use crate::area::{Area, SLOT};
use alloc::format;
use alloc::vec::Vec;
use demonstration::{Failure, check};
use libvas::{Cap, Error, Rights, Space, program};

/// Words that each client reads, spread over the area.
const READS: u64 = 16;

/// A prime, so that each client reads elsewhere.
const STRIDE: u64 = 1_000_003;

/// Spaces with the program and the area.
pub(crate) struct Clients(Vec<Cap<Space>>);

impl Clients {
    /// None yet, but room for so many.
    pub(crate) fn new(count: u64) -> Clients {
        Clients(Vec::with_capacity(count as usize))
    }

    /// Makes spaces and attaches the area to them until there are so many. They may read it and write to it.
    pub(crate) fn add_up_to(&mut self, count: u64, area: &Area) -> Result<(), Error> {
        while (self.0.len() as u64) < count {
            let space = program().new_space()?;
            space.set_name(&format!("client {}", self.0.len() + 1))?;
            space.attach(SLOT, area.subtree(), Rights::READ_WRITE)?;
            self.0.push(space);
        }
        Ok(())
    }

    /// The spaces.
    pub(crate) fn spaces(&self) -> &[Cap<Space>] {
        &self.0
    }

    /// The first one.
    pub(crate) fn first(&self) -> Result<&Cap<Space>, Failure> {
        self.0.first().ok_or(Failure::NotAsTold("there are clients"))
    }

    /// The last one.
    pub(crate) fn last(&self) -> Result<&Cap<Space>, Failure> {
        self.0.last().ok_or(Failure::NotAsTold("there are clients"))
    }

    /// The tables that they have of their own, bytes.
    pub(crate) fn table_bytes(&self) -> Result<u64, Error> {
        self.0.iter().try_fold(0, |sum, space| Ok(sum + space.info()?.table_bytes))
    }

    /// Switches into each and reads there, at the area's ends and between; gives how many words that were.
    pub(crate) fn read_through(&self, area: &Area) -> Result<u64, Failure> {
        let mut words = 0;
        for (space, client) in self.0.iter().zip(0..) {
            let right = space.enter(|| read_some(area, client))??;
            check(right == READS, "each client reads the area's words")?;
            words += right;
        }
        Ok(words)
    }

    /// Gives them all up.
    pub(crate) fn dismiss(&mut self) {
        self.0.clear();
    }
}

/// Reads some words, others for each client; gives how many were right.
fn read_some(area: &Area, client: u64) -> Result<u64, Error> {
    let pages = area.pages();
    let between = (1..READS - 1).map(|read| (client * READS + read) * STRIDE % pages);
    let chosen = [0, pages - 1].into_iter().chain(between);
    chosen.map(|page| area.is_right(page)).try_fold(0, |sum, right| Ok(sum + u64::from(right?)))
}
