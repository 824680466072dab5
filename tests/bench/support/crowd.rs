//! Many of something, as much as makes the calls that deal with all of them long.

use crate::CPU_0;
use crate::support::runner::Runner;
use crate::support::scene::{SLOT, page};
use alloc::vec::Vec;
use libvas::{
    Cap, CapTable, Error, Level, Mappable, Object, PAGE_BYTES, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, Thread,
    program,
};

/// Mappings of a page each, side by side, which are not one because all show the same page.
pub(crate) const MAPPINGS: u64 = 20_000;
/// Attachments of a subtree to one space.
pub(crate) const ATTACHMENTS: u64 = 4_000;
/// Mappings that have tables of their own.
const TABLED: u64 = 2_000;
/// Spaces, or views of one.
pub(crate) const SPACES: u64 = 3_000;
/// Threads.
pub(crate) const THREADS: u64 = 2_000;
/// The largest capability table there can be, and capabilities in it.
pub(crate) const SLOTS: u64 = 65_536;
pub(crate) const CAPABILITIES: u64 = 60_000;

/// Where mappings and attachments begin.
const START: u64 = SLOT;

/// Where subtrees have a page.
pub(crate) const PAGE: core::ops::Range<u64> = PAGE_BYTES..2 * PAGE_BYTES;

/// The range that [`map_many`] maps in.
pub(crate) const MANY: core::ops::Range<u64> = START..START + MAPPINGS * PAGE_BYTES;

/// Maps the same page [`MAPPINGS`] times from `start` on.
pub(crate) fn map_many<T: Mappable + Object>(target: &Cap<T>, start: u64) -> Result<(), Error> {
    let segment = page()?;
    let map = |index| target.map(start + index * PAGE_BYTES, &segment, 0..PAGE_BYTES, Rights::READ_WRITE);
    (0..MAPPINGS).try_for_each(map)
}

/// A space with [`MAPPINGS`].
pub(crate) fn space_with_mappings() -> Result<Cap<Space>, Error> {
    let space = Space::new(program().account())?;
    map_many(&space, START)?;
    Ok(space)
}

/// A subtree with [`MAPPINGS`].
pub(crate) fn subtree_with_mappings() -> Result<Cap<Subtree>, Error> {
    let subtree = Subtree::new(program().account())?;
    map_many(&subtree, PAGE_BYTES)?;
    Ok(subtree)
}

/// A subtree of 2 MiB, with [`PAGE`], and a space to which it is attached [`ATTACHMENTS`] times.
pub(crate) fn subtree_at_many_places() -> Result<(Cap<Subtree>, Cap<Space>), Error> {
    let (subtree, space) = (Subtree::with_level(program().account(), Level::TwoMib)?, Space::new(program().account())?);
    subtree.map(PAGE.start, &page()?, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    let step = Level::TwoMib.size_bytes();
    (0..ATTACHMENTS).try_for_each(|index| space.attach(START + index * step, &subtree, Rights::READ_WRITE))?;
    Ok((subtree, space))
}

/// A space with [`TABLED`] mappings of a page each, so far apart that each has tables of its own, and behind them, in a table of
/// those below the root as well, a subtree.
pub(crate) fn attachment_behind_many_tables() -> Result<(Cap<Subtree>, Cap<Space>), Error> {
    let (subtree, space) = (Subtree::with_level(program().account(), Level::TwoMib)?, Space::new(program().account())?);
    let (step, segment) = (Level::OneGib.size_bytes(), page()?);
    let map = |index| space.map(START + index * step, &segment, 0..PAGE_BYTES, Rights::READ_WRITE);
    (0..TABLED).try_for_each(map)?;
    space.attach(START + TABLED * step, &subtree, Rights::READ_WRITE)?;
    Ok((subtree, space))
}

/// [`SPACES`] with nothing but the program in them.
pub(crate) fn many_spaces() -> Result<Vec<Cap<Space>>, Error> {
    (0..SPACES).map(|_| program().new_space()).collect()
}

/// A subtree with [`PAGE`], and [`SPACES`] to which it is attached, all of which have been entered.
pub(crate) fn subtree_in_many_spaces() -> Result<(Cap<Subtree>, Vec<Cap<Space>>), Error> {
    let (subtree, spaces) = (Subtree::new(program().account())?, many_spaces()?);
    subtree.map(PAGE.start, &page()?, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    spaces.iter().try_for_each(|space| {
        space.attach(TOP_SLOT_BYTES, &subtree, Rights::READ_WRITE)?;
        space.enter(|| ())
    })?;
    Ok((subtree, spaces))
}

/// A segment, and a table with so many children of the capability to it.
pub(crate) fn children(count: u64) -> Result<(Cap<Segment>, Cap<CapTable>), Error> {
    let (segment, table) = (page()?, CapTable::new(program().account(), SLOTS)?);
    (0..count).try_for_each(|_| segment.copy_into(&table, Rights::READ, 0).map(|_| ()))?;
    Ok((segment, table))
}

/// Threads that use a table of their own and begin in a space, and the table that keeps them. They are ready, and never have a
/// turn while there is work of a higher priority on CPU 0; whoever drops them stops them first.
pub(crate) struct Threads {
    pub(crate) used: Cap<CapTable>,
    kept: Cap<CapTable>,
}

impl Threads {
    pub(crate) fn ready_in(space: &Cap<Space>, count: u64) -> Result<Threads, Error> {
        let (threads, runner) = (Threads::none()?, Runner::new());
        (0..count).try_for_each(|_| runner.start(&threads.add(space, 0)?))?;
        Ok(threads)
    }

    pub(crate) fn none() -> Result<Threads, Error> {
        let account = program().account();
        Ok(Threads { used: CapTable::new(account, 8)?, kept: CapTable::new(account, SLOTS)? })
    }

    /// One more, which has not started.
    pub(crate) fn add(&self, space: &Cap<Space>, priority: u64) -> Result<Cap<Thread>, Error> {
        let thread = Thread::new(program().account(), &self.used, space, priority)?;
        thread.set_affinity(CPU_0)?;
        thread.copy_into(&self.kept, thread.rights()?, 0)?;
        Ok(thread)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // All rights to the table are here, so nothing is refused.
        let _ = self.used.stop_threads();
    }
}
