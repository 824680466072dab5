//! Objects that many benchmarks begin with: one of each kind, and a space with a page that comes and goes.

use libvas::{Cap, CapTable, Error, PAGE_BYTES, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, View, program};

/// Off 2 MiB; the page before it keeps the table.
pub(crate) const ADDRESS: u64 = 2 * TOP_SLOT_BYTES + 8 * PAGE_BYTES;
/// Where the page is that stays.
pub(crate) const KEEPER: u64 = ADDRESS - 2 * PAGE_BYTES;
/// Off the pages of [`Scene`].
pub(crate) const FREE: u64 = ADDRESS + (1 << 30);
/// For a subtree: nothing is there in any space.
pub(crate) const SLOT: u64 = 5 * TOP_SLOT_BYTES;
/// Where other mappings begin: half of them before the pages that are measured, half of them behind.
const BESIDE: [u64; 2] = [TOP_SLOT_BYTES, 3 * TOP_SLOT_BYTES];

/// A space in which nobody runs, and memory of one page.
pub(crate) struct Scene {
    pub(crate) space: Cap<Space>,
    segment: Cap<Segment>,
}

impl Scene {
    pub(crate) fn new() -> Result<Scene, Error> {
        let scene = Scene { space: program().new_space()?, segment: page()? };
        scene.map(KEEPER)?;
        Ok(scene)
    }

    /// The same where so many other pages are mapped, every second one.
    pub(crate) fn beside(mappings: u64) -> Result<Scene, Error> {
        let scene = Scene::new()?;
        for start in BESIDE {
            (0..mappings / 2).try_for_each(|index| scene.map(start + index * 2 * PAGE_BYTES))?;
        }
        Ok(scene)
    }

    #[inline(always)]
    pub(crate) fn map(&self, address: u64) -> Result<(), Error> {
        self.space.map(address, &self.segment, 0..PAGE_BYTES, Rights::READ_WRITE)
    }

    #[inline(always)]
    pub(crate) fn unmap(&self, address: u64) -> Result<(), Error> {
        self.space.unmap(address..address + PAGE_BYTES)
    }
}

/// Maps two pages of memory at [`FREE`].
pub(crate) fn map_at_free(space: &Cap<Space>) -> Result<(), Error> {
    let segment = Segment::new(program().account(), 2 * PAGE_BYTES)?;
    space.map(FREE, &segment, 0..2 * PAGE_BYTES, Rights::READ_WRITE)
}

/// A segment of one page.
#[inline(always)]
pub(crate) fn page() -> Result<Cap<Segment>, Error> {
    Segment::new(program().account(), PAGE_BYTES)
}

/// An empty capability table with 64 slots.
#[inline(always)]
pub(crate) fn table() -> Result<Cap<CapTable>, Error> {
    CapTable::new(program().account(), 64)
}

/// An empty subtree of the top level.
#[inline(always)]
pub(crate) fn subtree() -> Result<Cap<Subtree>, Error> {
    Subtree::new(program().account())
}

/// A read-only view of the program's own space.
#[inline(always)]
pub(crate) fn view() -> Result<Cap<View>, Error> {
    View::new(program().account(), program().space(), Rights::READ)
}
