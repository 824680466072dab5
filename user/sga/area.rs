//! The area: many pages of 4 KiB in one subtree, all mapped to the same few frames.

use demonstration::{Failure, Size};
use libvas::{Cap, Error, Mappable, PAGE_BYTES, Place, Rights, Segment, Subtree, TOP_SLOT_BYTES, clock, program};
use rt::println;

/// Where each client attaches the area's subtree.
pub(crate) const SLOT: u64 = 64 * TOP_SLOT_BYTES;

/// Where in the subtree the area begins.
const START: u64 = 1 << 30;

/// The memory behind the area, mapped again and again, bytes.
const CHUNK_BYTES: u64 = 16 << 20;

/// How many pages that is.
const CHUNK_PAGES: u64 = CHUNK_BYTES / PAGE_BYTES;

/// How much is mapped from one line of progress to the next, bytes.
const PROGRESS_BYTES: u64 = 50 << 30;

/// Pages that one last-level table holds entries for, and one table above it.
const TABLE_PAGES: [u64; 2] = [512, 512 * 512];

/// A subtree, and the memory that its pages show.
pub(crate) struct Area {
    subtree: Cap<Subtree>,
    memory: Cap<Segment>,
    length_bytes: u64,
}

/// What the first word of a frame holds, by the frame's number in the chunk.
fn stamp(frame: u64) -> u64 {
    0x5347_4100_0000_0000 | frame
}

impl Area {
    /// An area of so many bytes, of which nothing is mapped yet.
    ///
    /// The kernel would use large pages wherever address and memory are aligned alike. So the memory begins with one
    /// page that is not mapped: whatever lies at a multiple of 2 MiB in the area lies behind one in the memory.
    pub(crate) fn new(length_bytes: u64) -> Result<Area, Failure> {
        let account = program().account();
        let memory = Segment::new(account, PAGE_BYTES + CHUNK_BYTES)?;
        let window = program().window(&memory, PAGE_BYTES..PAGE_BYTES + CHUNK_BYTES, Rights::READ_WRITE)?;
        for frame in 0..CHUNK_PAGES {
            window.write(frame * PAGE_BYTES, &stamp(frame).to_le_bytes())?;
        }
        let subtree = Subtree::new(account)?;
        subtree.set_name("sga")?;
        Ok(Area { subtree, memory, length_bytes })
    }

    /// The subtree.
    pub(crate) fn subtree(&self) -> &Cap<Subtree> {
        &self.subtree
    }

    /// How many pages there are.
    pub(crate) fn pages(&self) -> u64 {
        self.length_bytes / PAGE_BYTES
    }

    /// Last-level tables, each with the entries of 512 pages.
    pub(crate) fn last_level_tables(&self) -> u64 {
        self.pages().div_ceil(TABLE_PAGES[0])
    }

    /// What its tables take if every page has an entry of its own: the last level, the one above, and the first.
    pub(crate) fn expected_table_bytes(&self) -> u64 {
        (self.last_level_tables() + self.pages().div_ceil(TABLE_PAGES[1]) + 1) * PAGE_BYTES
    }

    /// Maps all of it, and tells how far it is.
    pub(crate) fn map_with_progress(&self) -> Result<(), Failure> {
        let began = clock::now();
        for part in (0..self.length_bytes).step_by(PROGRESS_BYTES as usize) {
            let end = self.length_bytes.min(part + PROGRESS_BYTES);
            self.map_part(&self.subtree, START, part, end)?;
            println!("   {:>9} of it mapped after {} ms", Size(end), (clock::now() - began).as_millis());
        }
        Ok(())
    }

    /// Maps all of it.
    pub(crate) fn map(&self) -> Result<(), Error> {
        self.map_part(&self.subtree, START, 0, self.length_bytes)
    }

    /// Maps the same into a space, in the slot where the subtree would be: with tables of the space's own.
    pub(crate) fn map_privately(&self, space: &Cap<libvas::Space>) -> Result<(), Error> {
        self.map_part(space, SLOT + START, 0, self.length_bytes)
    }

    /// Maps the area's bytes from `part` to `end`, of an area that begins at `start` in the target.
    fn map_part<T: Mappable>(&self, target: &Cap<T>, start: u64, part: u64, end: u64) -> Result<(), Error> {
        (part..end).step_by(CHUNK_BYTES as usize).try_for_each(|offset| {
            let length_bytes = CHUNK_BYTES.min(end - offset);
            target.map(start + offset, &self.memory, PAGE_BYTES..PAGE_BYTES + length_bytes, Rights::READ_WRITE)
        })
    }

    /// The addresses in the subtree of a page.
    fn range_of(page: u64) -> core::ops::Range<u64> {
        START + page * PAGE_BYTES..START + (page + 1) * PAGE_BYTES
    }

    /// Unmaps one page.
    pub(crate) fn unmap_page(&self, page: u64) -> Result<(), Error> {
        self.subtree.unmap(Area::range_of(page))
    }

    /// Maps the first page of other memory where a page was.
    pub(crate) fn map_page(&self, page: u64, memory: &Cap<Segment>) -> Result<(), Error> {
        self.subtree.map(Area::range_of(page).start, memory, 0..PAGE_BYTES, Rights::READ_WRITE)
    }

    /// Where a client finds the first word of a page.
    pub(crate) fn place_of(&self, page: u64) -> Result<Place<u64>, Error> {
        Place::new(SLOT + START + page * PAGE_BYTES)
    }

    /// Whether the page shows the frame that it should, in the space that the thread is in.
    pub(crate) fn is_right(&self, page: u64) -> Result<bool, Error> {
        Ok(self.place_of(page)?.get() == stamp(page % CHUNK_PAGES))
    }
}
