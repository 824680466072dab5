//! Free memory while booting: a short sorted list of ranges in static size, as there is no heap yet.

use tessera_abi::PAGE_BYTES;

use super::mtrr::TypeRanges;
use crate::{PhysAddr, PhysRange};

/// The most ranges a list can hold. Memory that would need more is left unused.
pub(super) const RANGES_MAX: usize = 128;

const EMPTY: PhysRange = PhysRange { start: PhysAddr::new(0), length_bytes: 0 };

/// Sorted ranges of whole frames that neither overlap nor touch.
#[derive(Clone)]
pub(super) struct RangeList {
    ranges: [PhysRange; RANGES_MAX],
    count: usize,
}

impl RangeList {
    /// The list without ranges.
    pub(super) const fn new() -> RangeList {
        RangeList { ranges: [EMPTY; RANGES_MAX], count: 0 }
    }

    /// The ranges, ascending.
    pub(super) fn as_slice(&self) -> &[PhysRange] {
        &self.ranges[..self.count]
    }

    /// Adds the whole frames between two addresses, whether or not some of them are in the list already.
    pub(super) fn add(&mut self, start: u64, end: u64) {
        let Some(mut start) = start.checked_next_multiple_of(PAGE_BYTES) else { return };
        let mut end = end / PAGE_BYTES * PAGE_BYTES;
        if start >= end {
            return;
        }
        let mut kept = RangeList::new();
        for range in self.as_slice() {
            let (first, last) = (range.start.value(), range.end().value());
            if last < start || end < first {
                kept.push(first, last);
            } else {
                (start, end) = (start.min(first), end.max(last));
            }
        }
        kept.push(start, end);
        kept.ranges[..kept.count].sort_unstable_by_key(|range| range.start);
        *self = kept;
    }

    /// Takes every frame that has a byte between two addresses out of the list.
    pub(super) fn remove(&mut self, start: u64, end: u64) {
        let start = start / PAGE_BYTES * PAGE_BYTES;
        let end = end.checked_next_multiple_of(PAGE_BYTES).unwrap_or(u64::MAX);
        let mut kept = RangeList::new();
        for range in self.as_slice() {
            let (first, last) = (range.start.value(), range.end().value());
            kept.push(first, last.min(start));
            kept.push(first.max(end), last);
        }
        *self = kept;
    }

    /// Takes out what is not in another list.
    pub(super) fn keep(&mut self, other: &RangeList) {
        let mut next = 0;
        for range in other.as_slice() {
            self.remove(next, range.start.value());
            next = range.end().value();
        }
        self.remove(next, u64::MAX);
    }

    /// Takes the highest frame below `limit` out of the list.
    pub(super) fn take_frame(&mut self, limit: u64) -> Option<PhysAddr> {
        let range = self.as_slice().iter().rev().find(|range| range.start.value() + PAGE_BYTES <= limit)?;
        let start = range.end().value().min(limit / PAGE_BYTES * PAGE_BYTES) - PAGE_BYTES;
        self.remove(start, start + PAGE_BYTES);
        Some(PhysAddr::new(start))
    }

    /// Calls `each` with address and level of the largest pages, of `highest` level at most, that cover just these ranges
    /// and lie in memory of one type.
    pub(super) fn for_each_page(&self, highest: u8, types: &TypeRanges, mut each: impl FnMut(u64, u8)) {
        for range in self.as_slice() {
            let (mut at, end) = (range.start.value(), range.end().value());
            while at < end {
                let size = |level: u8| PAGE_BYTES << (9 * level);
                let fits = |level: &u8| {
                    let size = size(*level);
                    at.is_multiple_of(size) && end - at >= size && types.is_uniform(at, size)
                };
                let level = (1..=highest).rev().find(fits).unwrap_or(0);
                each(at, level);
                at += size(level);
            }
        }
    }

    /// Appends a range if it is not empty and there is room for it.
    fn push(&mut self, start: u64, end: u64) {
        if start < end && self.count < RANGES_MAX {
            self.ranges[self.count] = PhysRange { start: PhysAddr::new(start), length_bytes: end - start };
            self.count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RANGES_MAX, RangeList, TypeRanges};

    fn list(ranges: &[(u64, u64)]) -> RangeList {
        let mut list = RangeList::new();
        ranges.iter().for_each(|(start, end)| list.add(*start, *end));
        list
    }

    fn pages(list: &RangeList) -> Vec<(u64, u64)> {
        list.as_slice().iter().map(|range| (range.start.value() >> 12, range.end().value() >> 12)).collect()
    }

    #[test]
    fn ranges_are_rounded_inwards_sorted_and_merged() {
        let list = list(&[(0x9000, 0xb000), (0x1001, 0x4fff), (0x4000, 0x5000), (0x7fff, 0x8001)]);
        assert_eq!(pages(&list), [(2, 5), (9, 11)]);
        let mut merged = list.clone();
        merged.add(0x5000, 0x9000);
        assert_eq!(pages(&merged), [(2, 11)]);
    }

    #[test]
    fn removal_is_rounded_outwards_and_splits() {
        let mut list = list(&[(0x1000, 0x9000)]);
        list.remove(0x3fff, 0x4001);
        assert_eq!(pages(&list), [(1, 3), (5, 9)]);
        list.remove(0, 0x2000);
        list.remove(0x8000, 0x20000);
        assert_eq!(pages(&list), [(2, 3), (5, 8)]);
    }

    #[test]
    fn frames_come_from_below_the_limit() {
        let mut list = list(&[(0x1000, 0x3000), (0x8000, 0xa000)]);
        assert_eq!(list.take_frame(u64::MAX).map(|frame| frame.value()), Some(0x9000));
        assert_eq!(list.take_frame(0x2000).map(|frame| frame.value()), Some(0x1000));
        assert_eq!(list.take_frame(0x2fff), None);
        assert_eq!(pages(&list), [(2, 3), (8, 9)]);
    }

    #[test]
    fn pages_cover_the_ranges_and_no_byte_more() {
        const MIB: u64 = 1 << 20;
        let list = list(&[(0x1000, 0x9_f000), (MIB, 0xbff_d000), (4096 * MIB, 6144 * MIB + 0x3000)]);
        for highest in [0, 1, 2] {
            let (mut covered, mut largest) = (RangeList::new(), 0);
            list.for_each_page(highest, &TypeRanges::new(core::iter::empty()), |address, level| {
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
        const GIB: u64 = 1 << 30;
        let list = list(&[(0, 4 * GIB)]);
        // 1 MiB that is not cached, in the second GiB.
        let types = TypeRanges::new([(GIB + (7 << 20), 0x7f_fff0_0800)].into_iter());
        let mut pages = [0; 3];
        list.for_each_page(2, &types, |_, level| pages[usize::from(level)] += 1);
        assert_eq!(pages, [512, 511, 3]);
    }

    #[test]
    fn what_another_list_lacks_is_not_kept() {
        let mut kept = list(&[(0x1000, 0x9000), (0xb000, 0xd000), (0x20000, 0x21000)]);
        kept.keep(&list(&[(0x2000, 0x4000), (0x5000, 0x6000), (0x8000, 0xc000)]));
        assert_eq!(pages(&kept), [(2, 4), (5, 6), (8, 9), (11, 12)]);
        kept.keep(&RangeList::new());
        assert_eq!(pages(&kept), []);
    }

    #[test]
    fn addresses_at_the_end_of_all_do_not_wrap() {
        let mut list = list(&[(0x1000, 0x3000), (u64::MAX - 1, u64::MAX)]);
        assert_eq!(pages(&list), [(1, 3)]);
        list.remove(0x2000, u64::MAX);
        assert_eq!(pages(&list), [(1, 2)]);
    }

    #[test]
    fn a_full_list_loses_memory_and_nothing_else() {
        let mut list = RangeList::new();
        for index in 0..2 * RANGES_MAX as u64 {
            list.add(index * 0x2000, index * 0x2000 + 0x1000);
        }
        assert_eq!(list.as_slice().len(), RANGES_MAX);
        list.remove(0, u64::MAX / 2);
        assert!(list.as_slice().is_empty());
    }
}
