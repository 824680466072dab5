//! What the loader's map of memory means, as a function of its entries: firmware made them, and they may overlap.

use crate::PhysRange;
use crate::ranges::RangeList;
use tessera_abi::PAGE_BYTES;

/// The old display's memory and the firmware's code, on every PC: never memory, whatever the map says.
const LEGACY: [u64; 2] = [0xa_0000, 0x10_0000];
/// The direct map has room for as much.
const ADDRESS_BITS_MAX: u32 = 46;

/// What an entry of a loader's map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Memory that nobody uses.
    Free,
    /// Memory that the loader uses until its tables are left.
    Reclaimable,
    /// In use, or no memory at all.
    Other,
}

/// Memory that the kernel may have, in two lists that do not overlap.
#[derive(Clone)]
pub(super) struct MemoryMap {
    /// Memory that nobody uses.
    pub(super) free: RangeList,
    /// Memory that the loader uses until its tables are left.
    pub(super) reclaimable: RangeList,
}

impl MemoryMap {
    /// Takes first address, length and kind of each entry, in any order. Where entries overlap, the more careful one
    /// counts; what physical addresses of so many bits cannot reach does not.
    pub(super) fn new(entries: impl Iterator<Item = (u64, u64, Kind)> + Clone, address_bits: u32) -> MemoryMap {
        let mut map = MemoryMap { free: RangeList::new(), reclaimable: RangeList::new() };
        let limit = 1 << address_bits.min(ADDRESS_BITS_MAX);
        let of_kind = |wanted| {
            let spans = entries.clone().filter(move |(.., kind)| *kind == wanted);
            let ends = spans.map(move |(start, length, _)| (start, start.saturating_add(length).min(limit)));
            ends.filter(|(start, end)| start < end)
        };
        of_kind(Kind::Free).for_each(|(start, end)| map.free.add(start, end));
        for (start, end) in of_kind(Kind::Reclaimable) {
            map.free.remove(start, end);
            map.reclaimable.add(start, end);
        }
        let legacy = core::iter::once((LEGACY[0], LEGACY[1]));
        for (start, end) in of_kind(Kind::Other).chain(legacy) {
            map.free.remove(start, end);
            map.reclaimable.remove(start, end);
        }
        map
    }

    /// All that is memory, the archive included: what the kernel maps. What the list has no room for is taken out of the
    /// lists here, so that nobody uses memory that is not mapped.
    pub(super) fn all(&mut self, archive: PhysRange) -> RangeList {
        let mut all = RangeList::new();
        all.add(archive.start.value(), archive.end().value().next_multiple_of(PAGE_BYTES));
        for list in [&mut self.free, &mut self.reclaimable] {
            list.as_slice().iter().for_each(|range| all.add(range.start.value(), range.end().value()));
        }
        self.free.keep(&all);
        self.reclaimable.keep(&all);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, MemoryMap};
    use crate::ranges::{RANGES_MAX, RangeList};
    use crate::{PhysAddr, PhysRange};

    const MIB: u64 = 1 << 20;

    fn pages(list: &RangeList) -> Vec<(u64, u64)> {
        list.as_slice().iter().map(|range| (range.start.value() >> 12, range.end().value() >> 12)).collect()
    }

    fn map(entries: &[(u64, u64, Kind)]) -> MemoryMap {
        MemoryMap::new(entries.iter().copied(), 36)
    }

    #[test]
    fn the_careful_entry_counts_whatever_the_order() {
        let mut entries = [
            (MIB, 7 * MIB, Kind::Free),
            (2 * MIB + 0x800, 0x1000, Kind::Other),
            (3 * MIB, MIB, Kind::Reclaimable),
            (3 * MIB + 0x2000, 0x1000, Kind::Other),
            (5 * MIB, 0, Kind::Other),
            (6 * MIB, 4 * MIB, Kind::Free),
        ];
        for _ in 0..entries.len() {
            let map = map(&entries);
            assert_eq!(pages(&map.free), [(0x100, 0x200), (0x202, 0x300), (0x400, 0xa00)]);
            assert_eq!(pages(&map.reclaimable), [(0x300, 0x302), (0x303, 0x400)]);
            entries.rotate_left(1);
        }
    }

    #[test]
    fn what_is_no_memory_or_out_of_reach_is_left_out() {
        let map = map(&[
            (0, 2 * MIB, Kind::Free),
            (u64::MAX - 10, 100, Kind::Free),
            (u64::MAX, u64::MAX, Kind::Other),
            ((1 << 36) - 0x2000, 1 << 20, Kind::Free),
            (1 << 50, 1 << 51, Kind::Reclaimable),
        ]);
        assert_eq!(pages(&map.free), [(0, 0xa0), (0x100, 0x200), (0xff_fffe, 0x100_0000)]);
        assert_eq!(pages(&map.reclaimable), []);
        let wide = MemoryMap::new([(0, u64::MAX, Kind::Free)].into_iter(), 52);
        assert_eq!(pages(&wide.free), [(0, 0xa0), (0x100, 1 << 34)]);
    }

    #[test]
    fn memory_that_the_list_of_all_cannot_hold_is_not_used() {
        let many = |first: u64, kind| {
            (0..RANGES_MAX as u64 - 1).map(move |index| (first + index * 0x2000, 0x1000, kind)).collect::<Vec<_>>()
        };
        let mut map = map(&[many(16 * MIB, Kind::Free), many(32 * MIB, Kind::Reclaimable)].concat());
        let archive = PhysRange { start: PhysAddr::new(64 * MIB), length_bytes: 100 };
        let all = map.all(archive);
        assert_eq!(all.as_slice().len(), RANGES_MAX);
        assert!(pages(&all).contains(&(0x4000, 0x4001)), "the archive is mapped");
        for list in [&map.free, &map.reclaimable] {
            assert!(pages(list).iter().all(|range| pages(&all).contains(range)));
        }
        assert_eq!((map.free.as_slice().len(), map.reclaimable.as_slice().len()), (RANGES_MAX - 1, 0));
    }
}
