//! Memory while booting: a short sorted list of ranges in static size, as there is no heap yet.

use core::ops::Range;

use tessera_abi::PAGE_BYTES;

use crate::{PhysAddr, PhysRange};

/// The most ranges a list can hold. Memory that would need more is left unused.
pub const RANGES_MAX: usize = 128;

const EMPTY: PhysRange = PhysRange { start: PhysAddr::new(0), length_bytes: 0 };

/// Sorted ranges of whole frames that neither overlap nor touch.
#[derive(Clone, Debug)]
pub struct RangeList {
    ranges: [PhysRange; RANGES_MAX],
    count: usize,
}

impl Default for RangeList {
    fn default() -> RangeList {
        RangeList::new()
    }
}

impl RangeList {
    /// The list without ranges.
    pub const fn new() -> RangeList {
        RangeList { ranges: [EMPTY; RANGES_MAX], count: 0 }
    }

    /// The ranges, ascending.
    pub fn as_slice(&self) -> &[PhysRange] {
        &self.ranges[..self.count]
    }

    /// Adds the whole frames between two addresses, whether or not some of them are in the list already.
    pub fn add(&mut self, start: u64, end: u64) {
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
    pub fn remove(&mut self, start: u64, end: u64) {
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
    pub fn keep(&mut self, other: &RangeList) {
        let mut next = 0;
        for range in other.as_slice() {
            self.remove(next, range.start.value());
            next = range.end().value();
        }
        self.remove(next, u64::MAX);
    }

    /// Takes the highest frame below `limit` out of the list.
    pub fn take_frame(&mut self, limit: u64) -> Option<PhysAddr> {
        let range = self.as_slice().iter().rev().find(|range| range.start.value() + PAGE_BYTES <= limit)?;
        let start = range.end().value().min(limit / PAGE_BYTES * PAGE_BYTES) - PAGE_BYTES;
        self.remove(start, start + PAGE_BYTES);
        Some(PhysAddr::new(start))
    }

    /// The longest range.
    pub fn longest(&self) -> Option<PhysRange> {
        self.as_slice().iter().copied().max_by_key(|range| range.length_bytes)
    }

    /// Appends a range if it is not empty and there is room for it.
    fn push(&mut self, start: u64, end: u64) {
        if start < end && self.count < RANGES_MAX {
            self.ranges[self.count] = PhysRange { start: PhysAddr::new(start), length_bytes: end - start };
            self.count += 1;
        }
    }
}

/// What of a range lies before another, in it, and behind it; each may be empty.
pub fn parts(whole: &Range<u64>, middle: &Range<u64>) -> [Range<u64>; 3] {
    let first = middle.start.clamp(whole.start, whole.end);
    let second = middle.end.clamp(first, whole.end);
    [whole.start..first, first..second, second..whole.end]
}

/// The frames that lie whole in a piece of memory below `limit`, which is on a frame boundary.
pub fn frames_within(base: u64, length: u64, limit: u64) -> Range<u64> {
    let end = base.saturating_add(length).min(limit) & !(PAGE_BYTES - 1);
    let start = base.min(limit).next_multiple_of(PAGE_BYTES);
    start.min(end)..end
}

/// The frames that lie at least in part in a piece of memory below `limit`, which is on a frame boundary.
pub fn frames_around(base: u64, length: u64, limit: u64) -> Range<u64> {
    let end = base.saturating_add(length).min(limit).next_multiple_of(PAGE_BYTES);
    let start = base & !(PAGE_BYTES - 1);
    start.min(end)..end
}

#[cfg(test)]
mod tests {
    use super::{RANGES_MAX, RangeList, frames_around, frames_within, parts};

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

    #[test]
    fn neighbours_and_overlaps_are_merged() {
        let mut list = RangeList::new();
        for (start, end) in [(0x1000, 0x3000), (0x3000, 0x4000), (0x3000, 0x6000), (0x8000, 0x8000), (0x9000, 0xa000)] {
            list.add(start, end);
        }
        assert_eq!(pages(&list), [(1, 6), (9, 10)]);
        assert_eq!(list.longest().map(|range| range.length_bytes), Some(0x5000));
    }

    /// As the direct map ends: 64 TiB.
    const LIMIT: u64 = 1 << 46;

    #[test]
    fn a_range_has_three_parts() {
        let whole = 0x4000..0x8000;
        let of = |middle| parts(&whole, &middle);
        assert_eq!(of(0x5000..0x6000), [0x4000..0x5000, 0x5000..0x6000, 0x6000..0x8000]);
        assert_eq!(of(0x4000..0x8000), [0x4000..0x4000, 0x4000..0x8000, 0x8000..0x8000]);
        assert_eq!(of(0x1000..0x5000), [0x4000..0x4000, 0x4000..0x5000, 0x5000..0x8000]);
        assert_eq!(of(0x7000..0x9000), [0x4000..0x7000, 0x7000..0x8000, 0x8000..0x8000]);
        assert_eq!(of(0x1000..0x2000), [0x4000..0x4000, 0x4000..0x4000, 0x4000..0x8000]);
        assert_eq!(of(0x9000..0xa000), [0x4000..0x8000, 0x8000..0x8000, 0x8000..0x8000]);
    }

    #[test]
    fn memory_is_taken_in_whole_frames_and_none_beyond_the_limit() {
        assert_eq!(
            (frames_within(0x1800, 0x2000, LIMIT), frames_around(0x1800, 0x2000, LIMIT)),
            (0x2000..0x3000, 0x1000..0x4000)
        );
        for empty in [
            frames_within(0x1800, 0x400, LIMIT),
            frames_within(LIMIT, 0x1000, LIMIT),
            frames_within(u64::MAX, 1, LIMIT),
        ] {
            assert!(empty.is_empty(), "{empty:x?}");
        }
        assert!(frames_around(LIMIT, 0x1000, LIMIT).is_empty() && frames_around(1 << 60, u64::MAX, LIMIT).is_empty());
        for frames in [frames_within, frames_around] {
            assert_eq!(frames(LIMIT - 0x1000, 0x4000, LIMIT), LIMIT - 0x1000..LIMIT);
            assert_eq!(frames(0x1000, u64::MAX, LIMIT), 0x1000..LIMIT);
            assert_eq!(frames(0x1000, u64::MAX - 0xfff, LIMIT), 0x1000..LIMIT);
        }
    }
}
