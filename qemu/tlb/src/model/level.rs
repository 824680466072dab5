//! One level of caching: the arrays that are asked at once, for different page sizes.

use super::array::{Array, Entry, Page};
use super::owner::Reader;
use super::profile::Shape;

/// The level.
pub(super) struct Level {
    arrays: Vec<Array>,
    /// By the size of a page, as a power of two: which array takes it in, and in what size.
    places: [Option<(u8, u8)>; 64],
}

impl Level {
    /// The level of these arrays.
    pub(super) fn new(shapes: &[Shape]) -> Level {
        let sizes = |shape: &Shape| shape.pages.iter().map(|page| page.bits()).collect::<Vec<u8>>();
        let arrays = shapes.iter().map(Array::new).collect();
        let place = |page_bits: usize| {
            let all =
                shapes.iter().enumerate().flat_map(|(array, shape)| sizes(shape).into_iter().map(move |b| (b, array)));
            let largest = all.filter(|&(bits, _)| usize::from(bits) <= page_bits).max()?;
            Some((largest.1 as u8, largest.0))
        };
        Level { arrays, places: std::array::from_fn(place) }
    }

    /// See [`Array::lookup`].
    #[inline(always)]
    pub(super) fn lookup(&mut self, address: u64, reader: Reader, needs: u8) -> Option<Page> {
        self.arrays.iter_mut().find_map(|array| array.lookup(address, reader, needs))
    }

    /// See [`Array::lookup_sized`].
    pub(super) fn lookup_sized(&mut self, address: u64, bits: u8, reader: Reader) -> bool {
        match self.places[usize::from(bits)] {
            Some((array, size)) if size == bits => self.arrays[usize::from(array)].lookup_sized(address, bits, reader),
            _ => false,
        }
    }

    /// Takes a page in, or the fragment of it that the address is in if the level holds smaller pages only.
    pub(super) fn insert(&mut self, page: &Page) {
        if let Some((array, size)) = self.places[usize::from(page.bits)] {
            self.arrays[usize::from(array)].insert(page, size);
        }
    }

    /// Takes in an entry of just this size, if the level holds such.
    pub(super) fn insert_sized(&mut self, page: &Page) {
        if self.places[usize::from(page.bits)].is_some_and(|(_, size)| size == page.bits) {
            self.insert(page);
        }
    }

    /// See [`Array::drop_where`].
    pub(super) fn drop_where(&mut self, condition: impl Fn(&Entry) -> bool) -> u64 {
        self.arrays.iter_mut().map(|array| array.drop_where(&condition)).sum()
    }
}
