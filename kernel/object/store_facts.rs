//! What a store says of an object besides the object: its capabilities, its place among what an account pays for; and going
//! over all objects in steps, by their numbers, which what comes and goes meanwhile does not confuse.

use crate::base::effort::Effort;
use crate::object::charged::Charged;
use crate::object::chunk::{CHUNK, place_of};
use crate::object::id::{Id, Object};
use crate::object::neighbour::Neighbour;
use crate::object::store::Store;

/// Effort of looking through what is left of a chunk.
const CHUNK_UNITS: u32 = 2;

impl<T: Object> Store<T> {
    /// Where the capabilities of the object with this number are listed: in its list, or if it has none yet, the first one.
    #[inline(always)]
    pub fn capabilities(&self, index: u32) -> Neighbour {
        let (chunk, offset) = self.chunk(index);
        chunk.lists[offset]
    }

    /// Notes where they are listed.
    #[inline(always)]
    pub fn set_capabilities(&mut self, index: u32, list: Neighbour) {
        let (chunk, offset) = self.chunk_mut(index);
        chunk.lists[offset] = list;
    }

    /// Notes both, of a new object: where its capabilities are listed, and its place among what its account pays for.
    #[inline(always)]
    pub(super) fn set_facts(&mut self, index: u32, list: Neighbour, place: Charged) {
        let (chunk, offset) = self.chunk_mut(index);
        (chunk.lists[offset], chunk.charged[offset]) = (list, place);
    }

    /// An object's place among what its account pays for.
    #[inline(always)]
    pub(super) fn charged(&self, index: u32) -> Charged {
        let (chunk, offset) = self.chunk(index);
        chunk.charged[offset]
    }

    /// The same, to be changed.
    #[inline(always)]
    pub(super) fn charged_mut(&mut self, index: u32) -> &mut Charged {
        let (chunk, offset) = self.chunk_mut(index);
        &mut chunk.charged[offset]
    }

    /// The first object with this number or a higher one; `Err` with a number to go on from if that takes too long.
    ///
    /// # Errors
    /// As said.
    pub fn first_from(&self, index: u32, effort: &mut Effort) -> Result<Option<Id<T::Kind>>, u32> {
        let (mut number, offset) = place_of(index);
        let mut passed = !(u32::MAX << offset);
        while let Some(chunk) = self.chunks.get(number) {
            // Those that are not free, a bit each; what is worn out is not free, and holds nothing.
            let mut left = !chunk.free & !passed;
            while left != 0 && chunk.values[left.trailing_zeros() as usize % CHUNK].is_none() {
                left &= left - 1;
            }
            if !effort.is_left() {
                return Err((number * CHUNK) as u32 + left.trailing_zeros());
            }
            if left != 0 {
                let offset = left.trailing_zeros() as usize % CHUNK;
                return Ok(Some(Id::new((number * CHUNK + offset) as u32, chunk.generations[offset])));
            }
            effort.spend(CHUNK_UNITS);
            (number, passed) = (self.occupied_from(number + 1), 0);
        }
        Ok(None)
    }
}
