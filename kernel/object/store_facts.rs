//! What a store says of an object besides the object: its capabilities, its place among what an account pays for; and going
//! over all objects in steps, by their numbers, which what comes and goes meanwhile does not confuse.

use crate::base::effort::Effort;
use crate::object::charged::Charged;
use crate::object::chunk::{CHUNK, place_of};
use crate::object::id::{Id, Object};
use crate::object::neighbour::Neighbour;
use crate::object::store::Store;

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
        let (mut number, mut offset) = place_of(index);
        while let Some(chunk) = self.chunks.get(number) {
            let found = (offset..CHUNK).find(|offset| chunk.values[*offset].is_some());
            if let Some(found) = found {
                let index = (number * CHUNK + found) as u32;
                return if effort.is_left() { Ok(Some(Id::new(index, chunk.generations[found]))) } else { Err(index) };
            }
            effort.spend(2);
            (number, offset) = (number + 1, 0);
            if !effort.is_left() {
                return Err((number * CHUNK) as u32);
            }
        }
        Ok(None)
    }
}
