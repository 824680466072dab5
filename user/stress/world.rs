//! A worker's own spaces, and how threads look at them.

use crate::memory::Memory;
use crate::territory::{Fact, Territory, count_unstamped, count_wrong};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use demonstration::Random;
use libvas::{Cap, Error, Rights, Space, Subtree, TOP_SLOT_BYTES, program, thread};

/// Where a worker's own pages are, in each of its spaces alike.
const OWN: u64 = 0x1200_0000_0000;

/// Where the subtree that all workers share is attached, in every space.
pub(crate) const SHARED: u64 = 60 * TOP_SLOT_BYTES;

/// Where a worker attaches the subtree that it has alone.
pub(crate) const WINDOW: u64 = 61 * TOP_SLOT_BYTES;

/// How many clones of spaces were made.
pub(crate) static CLONES: AtomicU64 = AtomicU64::new(0);

/// A space of one worker's own.
pub(crate) struct World {
    pub(crate) space: Cap<Space>,
    land: Territory<Space>,
    /// How the worker's own subtree is attached, if it is.
    pub(crate) window: Option<Attached>,
    /// Whether it can be entered on one CPU only.
    pub(crate) is_local: bool,
}

/// How a subtree is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attached {
    /// For all CPUs.
    Everywhere,
    /// As a core window of one.
    On(u64),
}

impl World {
    /// A new one with the program and the shared subtree; local to a CPU if one is given.
    pub(crate) fn new(shared: &Cap<Subtree>, local_to: Option<u64>) -> Result<World, Error> {
        let space = match local_to {
            Some(cpu) => {
                let space = Space::new_local(program().account(), cpu)?;
                space.attach_window(0, program().subtree(), Rights::ACCESS)?;
                space
            }
            None => program().new_space()?,
        };
        space.attach(SHARED, shared, Rights::READ_WRITE)?;
        let land = Territory::new(space.derive(Rights::MAP, 0)?, OWN, OWN);
        Ok(World { space, land, window: None, is_local: local_to.is_some() })
    }

    /// Maps, unmaps or protects something of its own.
    pub(crate) fn change(&mut self, memory: &Memory, random: &mut Random) -> Result<(), Error> {
        change(&mut self.land, memory, random)
    }

    /// What a thread inside must find, apart from subtrees.
    pub(crate) fn facts(&self) -> Result<Vec<Fact>, Error> {
        self.land.facts()
    }

    /// Takes the worker's own subtree out again.
    pub(crate) fn detach(&mut self) -> Result<(), Error> {
        match self.window.take() {
            Some(Attached::Everywhere) => self.space.detach(WINDOW),
            Some(Attached::On(cpu)) => self.space.detach_core(WINDOW, cpu),
            None => Ok(()),
        }
    }

    /// Lets a thread that runs wherever it may look at the facts.
    pub(crate) fn look_from_a_thread(&self, facts: Vec<Fact>, stamp: u64) -> Result<u64, Error> {
        thread::spawn_in(&self.space, move || count_wrong(&facts, stamp))?.join()
    }

    /// Clones it, perhaps the clone as well, and writes to all; gives how much one sees of what was written to another, or is wrong
    /// otherwise. `facts` are what a thread inside must find, subtrees included: those are the same in all.
    pub(crate) fn clone_and_compare(&self, facts: &[Fact], stamp: u64, random: &mut Random) -> Result<u64, Error> {
        if matches!(self.window, Some(Attached::On(_))) {
            // A space with core windows is not cloned.
            return Ok(0);
        }
        let (account, own) = (program().account(), self.facts()?);
        let mut clones = Vec::new();
        clones.push(Space::clone_of(account, &self.space)?);
        if random.below(2) == 0 {
            clones.push(Space::clone_of(account, &clones[0])?);
        }
        CLONES.fetch_add(clones.len() as u64, Relaxed);
        let mut wrong = 0;
        let all = || core::iter::once(&self.space).chain(&clones);
        for (space, stamp) in all().zip(stamp..) {
            wrong += space.enter(|| count_wrong(facts, stamp))?;
        }
        for (space, stamp) in all().zip(stamp..) {
            wrong += space.enter(|| count_unstamped(&own, stamp))?;
        }
        if random.below(2) == 0 {
            clones.reverse();
        }
        drop(clones);
        Ok(wrong + self.space.enter(|| count_unstamped(&own, stamp))?)
    }

    /// Destroys it under a thread that runs in it; says whether that thread was stopped.
    pub(crate) fn destroy_under_a_thread(self) -> Result<bool, Error> {
        let World { space, land, .. } = self;
        let inside = thread::spawn_in(&space, || {
            loop {
                thread::yield_now();
            }
        })?;
        thread::yield_now();
        drop((space, land));
        Ok(inside.join() == Err::<(), _>(Error::Gone))
    }
}

/// Maps, unmaps or protects a few pages of a territory.
pub(crate) fn change<T: libvas::Mappable>(
    land: &mut Territory<T>,
    memory: &Memory,
    random: &mut Random,
) -> Result<(), Error> {
    match random.below(5) {
        0 | 1 => land.map(memory, random),
        2 | 3 => land.unmap(random),
        _ => land.protect(random),
    }
}
