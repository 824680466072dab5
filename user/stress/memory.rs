//! Memory whose pages say who they are.

use alloc::vec;
use demonstration::Random;
use libvas::{Cap, Error, PAGE_BYTES, Segment, program};

/// The most pages of a segment.
const PAGES_MAX: u64 = 5;

/// A segment; the first word of each page is its name.
pub(crate) struct Memory {
    pub(crate) segment: Cap<Segment>,
    pub(crate) pages: u64,
    first_name: u64,
}

impl Memory {
    /// New memory. `serial` is different for each one that a worker makes.
    pub(crate) fn new(worker: u64, serial: u64, random: &mut Random) -> Result<Memory, Error> {
        let pages = 1 + random.below(PAGES_MAX);
        let first_name = (worker + 1) << 48 | serial << 8;
        let segment = match random.below(3) {
            0 => Segment::new_lazy(program().account(), pages * PAGE_BYTES)?,
            _ => Segment::new(program().account(), pages * PAGE_BYTES)?,
        };
        let mut bytes = vec![0; ((pages - 1) * PAGE_BYTES) as usize + 8];
        for page in 0..pages {
            let at = (page * PAGE_BYTES) as usize;
            bytes[at..at + 8].copy_from_slice(&(first_name + page).to_le_bytes());
        }
        segment.write(0, &bytes)?;
        Ok(Memory { segment, pages, first_name })
    }

    /// The name of a page.
    pub(crate) fn name(&self, page: u64) -> u64 {
        self.first_name + page
    }
}
