//! Where the type of physical memory changes, by the memory type range registers (SDM volume 3, 13.11.2): a large page
//! over two types has a type that nobody chose (13.11.9).

use crate::ranges::RangeList;

/// The most ranges that are looked at; CPUs have ten or so.
const RANGES_MAX: usize = 32;
/// In a mask register: the range counts.
const VALID: u64 = 1 << 11;
const PAGE: u64 = 4096;

/// The ranges in which an address lies if it has the same bits as the base where the mask has ones.
#[derive(Clone, Debug)]
pub(super) struct TypeRanges {
    ranges: [(u64, u64); RANGES_MAX],
    count: usize,
}

impl TypeRanges {
    /// Takes the values of the base and mask registers, in pairs.
    pub(super) fn new(registers: impl Iterator<Item = (u64, u64)>) -> TypeRanges {
        let mut types = TypeRanges { ranges: [(0, 0); RANGES_MAX], count: 0 };
        for (place, (base, mask)) in types.ranges.iter_mut().zip(registers.filter(|(_, mask)| mask & VALID != 0)) {
            *place = (base & !(PAGE - 1), mask & !(PAGE - 1));
            types.count += 1;
        }
        types
    }

    /// Whether a page, whose size is a power of two that divides its address, lies in each range wholly or not at all.
    pub(super) fn is_uniform(&self, page: u64, size_bytes: u64) -> bool {
        self.ranges[..self.count].iter().all(|(base, mask)| {
            let granule = mask & mask.wrapping_neg();
            granule >= size_bytes || (page ^ base) & mask & !(size_bytes - 1) != 0
        })
    }

    /// Calls `each` with address and level of the largest pages, of `highest` level at most, that cover just this memory and
    /// are uniform.
    pub(super) fn for_each_page(&self, memory: &RangeList, highest: u8, mut each: impl FnMut(u64, u8)) {
        for range in memory.as_slice() {
            let (mut at, end) = (range.start.value(), range.end().value());
            while at < end {
                let size = |level: u8| PAGE << (9 * level);
                let fits = |level: &u8| {
                    let size = size(*level);
                    at.is_multiple_of(size) && end - at >= size && self.is_uniform(at, size)
                };
                let level = (1..=highest).rev().find(fits).unwrap_or(0);
                each(at, level);
                at += size(level);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RangeList, TypeRanges};

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    /// A mask for a range of a power of two, on a CPU with addresses of 39 bits.
    const fn mask(size: u64) -> u64 {
        ((1 << 39) - 1) & !(size - 1) | 1 << 11
    }

    #[test]
    fn large_pages_end_where_a_range_does() {
        // A small uncached range in the middle of memory, as firmware leaves one for its own use.
        let types = TypeRanges::new([(0x8000_0000 + 16 * MIB, mask(MIB)), (3 * GIB, mask(GIB))].into_iter());
        for (page, size, is_uniform) in [
            (0x8000_0000, GIB, false),
            (0x8000_0000 + 16 * MIB, 2 * MIB, false),
            (0x8000_0000 + 18 * MIB, 2 * MIB, true),
            (0x8000_0000 + 16 * MIB, 4096, true),
            (0x8000_0000 + 14 * MIB, 2 * MIB, true),
            (3 * GIB, GIB, true),
            (3 * GIB + 2 * MIB, 2 * MIB, true),
            (2 * GIB - GIB, GIB, true),
        ] {
            assert_eq!(types.is_uniform(page, size), is_uniform, "{page:#x}, {size:#x}");
        }
    }

    #[test]
    fn ranges_that_do_not_count_change_nothing() {
        let types = TypeRanges::new([(16 * MIB, mask(MIB) & !(1 << 11)), (0, 0)].into_iter());
        assert!(types.is_uniform(0, GIB));
    }

    /// A mask with holes gives a range in pieces; every byte of every page is compared.
    #[test]
    fn uniform_is_what_comparing_every_page_says() {
        let ranges = [(0x10_0000, 0x30_0000 | 1 << 11), (0x4_0000, mask(0x2_0000)), (0, mask(0x80_0000))];
        let types = TypeRanges::new(ranges.into_iter());
        let in_which = |address: u64| ranges.map(|(base, mask)| (address ^ base) & mask & !0xfff == 0);
        for size in (12..24).map(|bits| 1_u64 << bits) {
            for page in (0..16 * MIB).step_by(size as usize) {
                let same = (page..page + size).step_by(4096).all(|address| in_which(address) == in_which(page));
                assert_eq!(types.is_uniform(page, size), same, "{page:#x}, {size:#x}");
            }
        }
    }

    fn list(ranges: &[(u64, u64)]) -> RangeList {
        let mut list = RangeList::new();
        ranges.iter().for_each(|(start, end)| list.add(*start, *end));
        list
    }

    fn pages(list: &RangeList) -> Vec<(u64, u64)> {
        list.as_slice().iter().map(|range| (range.start.value() >> 12, range.end().value() >> 12)).collect()
    }

    #[test]
    fn pages_cover_the_ranges_and_no_byte_more() {
        let list = list(&[(0x1000, 0x9_f000), (MIB, 0xbff_d000), (4096 * MIB, 6144 * MIB + 0x3000)]);
        for highest in [0, 1, 2] {
            let (mut covered, mut largest) = (RangeList::new(), 0);
            TypeRanges::new(core::iter::empty()).for_each_page(&list, highest, |address, level| {
                let end = address + (4096_u64 << (9 * level));
                assert!(address.is_multiple_of(end - address), "{address:#x} at level {level}");
                assert!(covered.as_slice().iter().all(|range| range.end().value() <= address), "twice at {address:#x}");
                // The first 2 MiB hold the hole of the old display, so they are mapped finely.
                assert!(level == 0 || address >= 2 * MIB, "a large page at {address:#x}");
                covered.add(address, end);
                largest = largest.max(level);
            });
            assert_eq!((pages(&covered), largest), (pages(&list), highest));
        }
    }

    #[test]
    fn no_large_page_covers_memory_of_two_types() {
        let list = list(&[(0, 4 * GIB)]);
        // 1 MiB that is not cached, in the second GiB.
        let types = TypeRanges::new([(GIB + (7 << 20), 0x7f_fff0_0800)].into_iter());
        let mut pages = [0; 3];
        types.for_each_page(&list, 2, |_, level| pages[usize::from(level)] += 1);
        assert_eq!(pages, [512, 511, 3]);
    }
}
