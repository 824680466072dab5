//! Going over all objects of a kind in steps, by their numbers: what comes and goes meanwhile does not confuse it.

use crate::base::effort::Effort;
use crate::object::chunk::{CHUNK, place_of};
use crate::object::id::{Id, Object};
use crate::object::store::Store;

impl<T: Object> Store<T> {
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
