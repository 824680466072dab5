//! A list of memory ranges in fixed space, for the time before there is a heap.

use core::ops::Range;

use tessera_abi::PAGE_BYTES;

use crate::{PhysAddr, PhysRange};

/// The most ranges a list holds.
const RANGES_MAX: usize = 128;

/// Ranges of whole frames in ascending order, without overlap; neighbours are merged.
#[derive(Clone)]
pub(super) struct RangeList {
    ranges: [PhysRange; RANGES_MAX],
    count: usize,
}

impl RangeList {
    /// No ranges.
    pub(super) const fn new() -> RangeList {
        let empty = PhysRange { start: PhysAddr::new(0), length_bytes: 0 };
        RangeList { ranges: [empty; RANGES_MAX], count: 0 }
    }

    /// The ranges.
    pub(super) fn as_slice(&self) -> &[PhysRange] {
        &self.ranges[..self.count]
    }

    /// Appends the addresses from `start` to `end`, both on frame boundaries, less what lies below the end of the
    /// last range; they must not begin before it. A list that is full stays as it is.
    pub(super) fn push(&mut self, start: u64, end: u64) {
        debug_assert!(start.is_multiple_of(PAGE_BYTES) && end.is_multiple_of(PAGE_BYTES));
        let last = self.count.checked_sub(1).map(|index| &mut self.ranges[index]);
        let last_end = last.as_ref().map_or(0, |range| range.end().value());
        let start = start.max(last_end);
        if start >= end {
            return;
        }
        match last {
            Some(range) if start == last_end => range.length_bytes += end - start,
            _ if self.count < RANGES_MAX => {
                self.ranges[self.count] = PhysRange { start: PhysAddr::new(start), length_bytes: end - start };
                self.count += 1;
            }
            _ => {}
        }
    }

    /// The longest range.
    pub(super) fn longest(&self) -> Option<PhysRange> {
        self.as_slice().iter().copied().max_by_key(|range| range.length_bytes)
    }
}

/// What of a range lies before another, in it, and behind it; each may be empty.
pub(super) fn parts(whole: &Range<u64>, middle: &Range<u64>) -> [Range<u64>; 3] {
    let first = middle.start.clamp(whole.start, whole.end);
    let second = middle.end.clamp(first, whole.end);
    [whole.start..first, first..second, second..whole.end]
}

/// The frames that lie whole in a piece of memory below `limit`, which is on a frame boundary.
pub(super) fn frames_within(base: u64, length: u64, limit: u64) -> Range<u64> {
    let end = base.saturating_add(length).min(limit) & !(PAGE_BYTES - 1);
    let start = base.min(limit).next_multiple_of(PAGE_BYTES);
    start.min(end)..end
}

/// The frames that lie at least in part in a piece of memory below `limit`, which is on a frame boundary.
pub(super) fn frames_around(base: u64, length: u64, limit: u64) -> Range<u64> {
    let end = base.saturating_add(length).min(limit).next_multiple_of(PAGE_BYTES);
    let start = base & !(PAGE_BYTES - 1);
    start.min(end)..end
}

#[cfg(test)]
mod tests {
    use super::{RANGES_MAX, RangeList, frames_around, frames_within, parts};

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

    fn pairs(list: &RangeList) -> Vec<(u64, u64)> {
        list.as_slice().iter().map(|range| (range.start.value(), range.end().value())).collect()
    }

    #[test]
    fn neighbours_and_overlaps_are_merged() {
        let mut list = RangeList::new();
        for (start, end) in [(0x1000, 0x3000), (0x3000, 0x4000), (0x3000, 0x6000), (0x8000, 0x8000), (0x9000, 0xa000)] {
            list.push(start, end);
        }
        assert_eq!(pairs(&list), [(0x1000, 0x6000), (0x9000, 0xa000)]);
        assert_eq!(list.longest().map(|range| range.length_bytes), Some(0x5000));
    }

    #[test]
    fn a_full_list_stays_as_it_is() {
        let mut list = RangeList::new();
        for index in 0..RANGES_MAX as u64 + 2 {
            list.push(index * 0x2000, index * 0x2000 + 0x1000);
        }
        assert_eq!(list.as_slice().len(), RANGES_MAX);
    }
}
