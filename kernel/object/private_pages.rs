//! Pages that a map was given of its own when they were written to: what a segment had there, clones see still.
//!
//! When a map is cloned, both go on with the same mappings and the same pages, and count up: what was made before that is *copied*
//! when it is written to. So neither has to be gone through. A page that was copied since the last time is the map's own, and is
//! written to; others are only if nobody else has them any more.
//!
//! A map pays for all of its pages, also for those that it has in common with others: what one gives up, another has paid for.

use tessera_abi::PAGE_BYTES;
use tessera_arch::Frame;

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::mem::{FrameAllocator, FrameList};
use crate::object::mapping::FIRST_EPOCH;
use crate::object::page_map::{self, PageMap};
use crate::object::page_node::Copies;

/// What a page of a map's own costs besides what the first one does, bytes: itself, and its record.
const PRIVATE_BYTES: u64 = PAGE_BYTES + page_map::entry_bytes::<Private>();

/// What the first one costs besides, bytes.
const FIRST_BYTES: u64 = page_map::base_bytes::<Private>();

/// Effort of a look at one.
const LOOK_UNITS: u32 = 8;

/// Effort of giving one up.
const PRIVATE_UNITS: u32 = 10;

/// The pages of a map's own.
#[derive(Debug)]
pub struct PrivatePages {
    pages: PageMap<Private>,
    /// How often the map has been cloned, and what it is a clone of had been before, counted from [`FIRST_EPOCH`].
    epoch: u32,
}

impl Default for PrivatePages {
    fn default() -> PrivatePages {
        PrivatePages { pages: PageMap::default(), epoch: FIRST_EPOCH }
    }
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Private {
    frame: Frame,
    /// How often the map had been cloned when it was copied.
    epoch: u32,
}

/// Leaves of pages count, with each page, how many they are.
struct Holders<'a>(&'a mut FrameAllocator);

impl Copies<Private> for Holders<'_> {
    fn copy(&mut self, _: u64, private: &Private) -> Private {
        if !is_seeded(Mutant::PrivateUncounted) {
            self.0.add_sharer(private.frame);
        }
        *private
    }
}

impl PrivatePages {
    /// How often the map has been cloned.
    #[inline(always)]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The pages that a clone begins with: these; both count up.
    pub fn share(&mut self) -> PrivatePages {
        self.epoch += 1;
        PrivatePages { pages: self.pages.share(), epoch: self.epoch }
    }

    /// The frame of a page, if it is one of them.
    pub fn frame(&self, page: u64) -> Option<Frame> {
        self.find(page).map(|private| private.frame)
    }

    /// The same, and whether nobody else has it, so that it may be written to.
    #[inline(always)]
    pub fn look(&self, frames: &FrameAllocator, page: u64) -> Option<(Frame, bool)> {
        let private = self.find(page)?;
        let is_alone = || frames.sharers(private.frame) == 1 && !self.pages.is_shared(page);
        let may_write = private.epoch == self.epoch || is_alone() || is_seeded(Mutant::PrivateWrittenThrough);
        Some((private.frame, may_write))
    }

    /// Whether a page was written to since the map was cloned last.
    #[inline(always)]
    pub fn is_written(&self, page: u64) -> bool {
        self.find(page).is_some_and(|private| private.epoch == self.epoch)
    }

    #[inline(always)]
    fn find(&self, page: u64) -> Option<&Private> {
        self.pages.at_or_before(page).filter(|(first, _)| *first == page).map(|(_, private)| private)
    }

    /// What they cost, bytes.
    pub fn bytes(&self) -> u64 {
        let first = if self.pages.is_empty() { 0 } else { FIRST_BYTES };
        first + self.pages.len() as u64 * PRIVATE_BYTES
    }

    /// What one more costs, bytes.
    pub fn next_bytes(&self) -> u64 {
        PRIVATE_BYTES + if self.pages.is_empty() { FIRST_BYTES } else { 0 }
    }

    /// Takes a page in that is not there, with a frame that nothing knows yet.
    #[inline(always)]
    pub fn insert(&mut self, frames: &mut FrameAllocator, page: u64, frame: Frame) {
        let private = self.private(frames, frame);
        self.pages.insert(page, private, &mut Holders(frames));
    }

    /// Gives a page that is there another frame, likewise. The one that it had goes to `freed` if nobody else has it, to be freed
    /// after what showed it is invalidated.
    pub fn replace(&mut self, frames: &mut FrameAllocator, page: u64, frame: Frame, freed: &mut FrameList) {
        let private = self.private(frames, frame);
        let place = self.pages.get_mut(page, &mut Holders(frames)).expect("the page is there");
        let before = core::mem::replace(place, private);
        let_go(frames, before, freed);
    }

    /// A page that nobody else has is written to again: from here on it is one that was written since the map was cloned last.
    pub fn renew(&mut self, frames: &mut FrameAllocator, page: u64) {
        let epoch = self.epoch;
        if let Some(private) = self.pages.get_mut(page, &mut Holders(frames)) {
            private.epoch = epoch;
        }
    }

    /// The addresses of pages from one on that were written to since the map was cloned last, into a list, as far as that and the effort
    /// go; gives how many these are, and where to go on, if there may be more.
    pub fn written_from(&self, page: u64, list: &mut [[u8; 8]], effort: &mut Effort) -> (usize, Option<u64>) {
        let mut found = 0;
        for (page, private) in self.pages.from(page) {
            if found == list.len() || !effort.spend(LOOK_UNITS) {
                return (found, Some(page));
            }
            if private.epoch == self.epoch {
                list[found] = (page * PAGE_BYTES).to_le_bytes();
                found += 1;
            }
        }
        (found, None)
    }

    #[inline(always)]
    fn private(&self, frames: &mut FrameAllocator, frame: Frame) -> Private {
        frames.set_sharers(frame, 1);
        // A frame that counts entries is not taken for one that holds zeros.
        frames.change_table_entries(frame, 1);
        Private { frame, epoch: self.epoch }
    }

    /// Gives pages up, from one on; gives the first that is left. Those that nobody else has go to `freed`.
    pub fn forget(
        &mut self,
        frames: &mut FrameAllocator,
        (first, end): (u64, u64),
        effort: &mut Effort,
        freed: &mut FrameList,
    ) -> u64 {
        let mut page = first;
        while let Some(next) = self.pages.at_or_behind(page).map(|(next, _)| next).filter(|next| *next < end) {
            if let Some(private) = self.pages.remove(next, &mut Holders(frames)) {
                let_go(frames, private, freed);
            }
            page = next + 1;
            if !effort.spend(PRIVATE_UNITS) {
                return page;
            }
        }
        if self.pages.is_empty() {
            self.pages = PageMap::default();
        }
        end
    }

    /// Gives all up, which nobody sees any more; gives whether none is left.
    pub fn forget_all(&mut self, frames: &mut FrameAllocator, effort: &mut Effort) -> bool {
        let mut units = 0;
        while self.pages.take_last_leaf(|private| {
            let mut freed = FrameList::new();
            let_go(frames, private, &mut freed);
            frames.free_list(freed);
            units += PRIVATE_UNITS;
        }) {
            if !effort.spend(core::mem::take(&mut units)) {
                return self.pages.is_empty();
            }
        }
        true
    }
}

/// One leaf less holds a page.
fn let_go(frames: &mut FrameAllocator, private: Private, freed: &mut FrameList) {
    if frames.drop_sharer(private.frame) {
        frames.push(freed, private.frame);
    }
}
