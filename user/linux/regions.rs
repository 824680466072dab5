//! What a program has at which addresses: bookkeeping, beside what the kernel's space has.
//!
//! The kernel's mappings cannot say "nothing is allowed here, and what is there stays", as `mprotect` can; so what is mapped is
//! written down here as well.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;
use libvas::Rights;

/// Pages that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region<M> {
    /// Its addresses.
    pub range: Range<u64>,
    /// What they allow; nothing, if they are not mapped in the kernel's space.
    pub rights: Rights,
    /// The memory, and where in it they begin, bytes.
    pub memory: M,
    /// Where in the memory they begin, bytes.
    pub offset: u64,
}

/// Regions that do not overlap, by their first addresses.
#[derive(Clone, Debug)]
pub struct Regions<M> {
    by_start: BTreeMap<u64, Region<M>>,
}

impl<M: Clone> Regions<M> {
    /// None.
    pub const fn new() -> Regions<M> {
        Regions { by_start: BTreeMap::new() }
    }

    /// Takes one in, where there is none, or exactly in the place of one.
    pub fn insert(&mut self, region: Region<M>) {
        self.by_start.insert(region.range.start, region);
    }

    /// Takes out all that lies in a range, cutting what lies in it in part.
    pub fn take(&mut self, range: &Range<u64>) -> Vec<Region<M>> {
        self.cut(range.start);
        self.cut(range.end);
        let starts: Vec<u64> = self.by_start.range(range.clone()).map(|(start, _)| *start).collect();
        starts.iter().filter_map(|start| self.by_start.remove(start)).collect()
    }

    /// All of them, in their order.
    pub fn all(&self) -> impl Iterator<Item = &Region<M>> {
        self.by_start.values()
    }

    /// Whether nothing is in a range.
    pub fn is_free(&self, range: &Range<u64>) -> bool {
        let last = self.by_start.range(..range.end).next_back();
        last.is_none_or(|(_, region)| region.range.end <= range.start)
    }

    /// Whether there is something everywhere in a range.
    pub fn covers(&self, range: &Range<u64>) -> bool {
        let mut at = range.start;
        while at < range.end {
            let Some((_, region)) = self.by_start.range(..=at).next_back() else { return false };
            if region.range.end <= at {
                return false;
            }
            at = region.range.end;
        }
        true
    }

    /// The first place in a range where so many bytes are free.
    pub fn gap(&self, range: &Range<u64>, length_bytes: u64) -> Option<u64> {
        let before = self.by_start.range(..range.start).next_back().map_or(0, |(_, region)| region.range.end);
        let mut at = range.start.max(before);
        for region in self.by_start.range(range.clone()).map(|(_, region)| region) {
            if at.checked_add(length_bytes)? <= region.range.start {
                break;
            }
            at = at.max(region.range.end);
        }
        (at.checked_add(length_bytes)? <= range.end).then_some(at)
    }

    /// Makes two of the region that an address lies in, if it does not begin there.
    fn cut(&mut self, at: u64) {
        let Some((_, region)) = self.by_start.range_mut(..at).next_back() else { return };
        if region.range.end > at {
            let mut second = region.clone();
            second.offset += at - region.range.start;
            second.range.start = at;
            region.range.end = at;
            self.by_start.insert(at, second);
        }
    }
}

impl<M: Clone> Default for Regions<M> {
    fn default() -> Regions<M> {
        Regions::new()
    }
}

#[cfg(test)]
mod tests {
    use super::{Region, Regions};
    use libvas::Rights;

    fn region(start: u64, end: u64, memory: char) -> Region<char> {
        Region { range: start..end, rights: Rights::READ, memory, offset: 0 }
    }

    fn regions() -> Regions<char> {
        let mut regions = Regions::new();
        [region(10, 20, 'a'), region(20, 30, 'b'), region(40, 50, 'c')]
            .into_iter()
            .for_each(|each| regions.insert(each));
        regions
    }

    fn told(taken: &[Region<char>]) -> Vec<(u64, u64, char, u64)> {
        taken.iter().map(|each| (each.range.start, each.range.end, each.memory, each.offset)).collect()
    }

    #[test]
    fn what_is_taken_is_cut_out() {
        let mut regions = regions();
        assert_eq!(told(&regions.take(&(15..25))), [(15, 20, 'a', 5), (20, 25, 'b', 0)]);
        assert!(regions.is_free(&(15..25)) && !regions.is_free(&(14..25)) && !regions.is_free(&(15..26)));
        assert_eq!(told(&regions.take(&(0..100))), [(10, 15, 'a', 0), (25, 30, 'b', 5), (40, 50, 'c', 0)]);
        assert_eq!(told(&regions.take(&(0..100))), []);
        assert!(regions.is_free(&(0..u64::MAX)));
    }

    #[test]
    fn the_middle_of_one_is_taken() {
        let mut regions = regions();
        assert_eq!(told(&regions.take(&(12..14))), [(12, 14, 'a', 2)]);
        assert_eq!(told(&regions.take(&(10..20))), [(10, 12, 'a', 0), (14, 20, 'a', 4)]);
    }

    #[test]
    fn a_range_is_covered_without_a_gap() {
        let regions = regions();
        assert!(regions.covers(&(10..30)) && regions.covers(&(15..25)) && regions.covers(&(45..50)));
        assert!(!regions.covers(&(9..20)) && !regions.covers(&(25..45)) && !regions.covers(&(30..31)));
        assert!(!regions.covers(&(45..51)));
    }

    #[test]
    fn gaps_are_found_from_below() {
        let regions = regions();
        assert_eq!((regions.gap(&(0..100), 10), regions.gap(&(5..100), 10)), (Some(0), Some(30)));
        assert_eq!((regions.gap(&(15..100), 11), regions.gap(&(15..60), 11)), (Some(50), None));
        assert_eq!((regions.gap(&(45..55), 5), regions.gap(&(0..100), u64::MAX)), (Some(50), None));
    }
}
