//! What shares subtrees: attachments, and what is public.

use tessera_abi::{Error, PAGE_BYTES, Rights, USER_END};
use tessera_arch::TOP_LEVEL;

use super::world::World;
use crate::walker::entry_pages;

const SLOT_PAGES: u64 = entry_pages(TOP_LEVEL);

/// Where a subtree can be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The space or subtree.
    pub owner: usize,
    /// The page in it.
    pub page: u64,
    /// The one CPU, for a core window.
    pub cpu: Option<usize>,
}

/// What is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The subtree.
    pub subtree: usize,
    /// What it may allow there.
    pub bounds: Rights,
    /// Whether views leave it as it is.
    pub is_window: bool,
}

impl World {
    /// What stands against attaching a subtree; nothing, and it is done.
    pub fn attach(&mut self, target: usize, address: u64, cpu: Option<usize>, attached: Attached) -> Vec<Error> {
        let Attached { subtree, bounds, is_window } = attached;
        let (level, to_level) = (self.levels[subtree], self.levels[target]);
        let mut errors = self.sealed_errors(target);
        if !bounds.contains(Rights::READ) || is_window && !(self.is_space(target) && level == TOP_LEVEL) {
            errors.push(Error::BadArgument);
        }
        if level >= to_level || cpu.is_some() && level != TOP_LEVEL {
            errors.push(Error::WrongLevel);
        }
        let is_nested = self.places_of(target).any(|spot| !self.is_space(spot.owner));
        if !self.is_space(target) && (is_nested || self.attached_in(subtree).next().is_some()) {
            errors.push(Error::TooDeep);
        }
        let has_window = self.places_of(subtree).any(|spot| spot.cpu.is_some());
        let is_elsewhere = cpu.is_some() && self.places_of(subtree).next().is_some();
        if has_window || is_elsewhere || self.public.contains_key(&subtree) || self.public.contains_key(&target) {
            errors.push(Error::BadState);
        }
        let page = match self.page_to_attach(target, address, level) {
            Ok(page) => page,
            Err(more) => return [errors, more].concat(),
        };
        let spot = Spot { owner: target, page, cpu };
        if !self.is_vacant(spot, entry_pages(level)) {
            errors.push(Error::Overlap);
        }
        if errors.is_empty() {
            self.attachments.insert(spot, attached);
        }
        errors
    }

    /// What stands against detaching; nothing, and it is done.
    pub fn detach(&mut self, target: usize, address: u64, cpu: Option<usize>) -> Vec<Error> {
        let (unit, end) = match cpu {
            Some(_) => (SLOT_PAGES, USER_END - USER_END % (SLOT_PAGES * PAGE_BYTES)),
            None => (entry_pages(1), self.end_bytes(target)),
        };
        let mut errors = self.sealed_errors(target);
        if !address.is_multiple_of(unit * PAGE_BYTES) {
            errors.push(Error::Misaligned);
        }
        if address >= end {
            errors.push(Error::BadAddress);
        }
        let spot = Spot { owner: target, page: address / PAGE_BYTES, cpu };
        if !self.attachments.contains_key(&spot) {
            errors.push(Error::NotMapped);
        }
        if errors.is_empty() {
            self.attachments.remove(&spot);
        }
        errors
    }

    /// Takes a subtree out of everything, whatever is sealed; nothing stands against it.
    pub fn withdraw(&mut self, subtree: usize) -> Vec<Error> {
        self.attachments.retain(|_, attached| attached.subtree != subtree);
        self.public.remove(&subtree);
        Vec::new()
    }

    /// What stands against making a subtree public; nothing, and it is done.
    pub fn publish(&mut self, subtree: usize, address: u64, bounds: Rights, spaces: &[usize]) -> Vec<Error> {
        let mut errors = Vec::new();
        if !bounds.contains(Rights::READ) || bounds.contains(Rights::WRITE) {
            errors.push(Error::BadArgument);
        }
        if self.levels[subtree] != TOP_LEVEL {
            errors.push(Error::WrongLevel);
        }
        let is_used = self.places_of(subtree).next().is_some() || self.attached_in(subtree).next().is_some();
        if is_used || self.public.contains_key(&subtree) {
            errors.push(Error::BadState);
        }
        if address == 0 {
            errors.push(Error::BadAddress);
        }
        match slot_page(address) {
            Err(more) => errors.extend(more),
            Ok(page) => {
                let vacant = |space: &usize| self.is_vacant(Spot { owner: *space, page, cpu: None }, SLOT_PAGES);
                if !spaces.iter().all(vacant) {
                    errors.push(Error::Overlap);
                }
                if errors.is_empty() {
                    self.public.insert(subtree, (page / SLOT_PAGES, bounds));
                }
            }
        }
        errors
    }

    /// Forgets what is attached in a space or subtree that is gone.
    pub fn empty(&mut self, map: usize) {
        self.attachments.retain(|spot, _| spot.owner != map);
        self.maps[map].extents.clear();
    }

    /// Everywhere a subtree is attached.
    pub fn places_of(&self, subtree: usize) -> impl Iterator<Item = &Spot> {
        self.attachments.iter().filter(move |(_, attached)| attached.subtree == subtree).map(|(spot, _)| spot)
    }

    /// Everything attached in a space or subtree.
    pub fn attached_in(&self, owner: usize) -> impl Iterator<Item = (&Spot, &Attached)> {
        self.attachments.iter().filter(move |(spot, _)| spot.owner == owner)
    }

    fn end_bytes(&self, map: usize) -> u64 {
        if self.is_space(map) { USER_END } else { entry_pages(self.levels[map]) * PAGE_BYTES }
    }

    fn page_to_attach(&self, target: usize, address: u64, level: u8) -> Result<u64, Vec<Error>> {
        if self.is_space(target) && level == TOP_LEVEL {
            return slot_page(address);
        }
        let size_bytes = entry_pages(level) * PAGE_BYTES;
        let range = self.maps[target].range(address, size_bytes);
        if address.is_multiple_of(size_bytes) {
            return range.map(|(page, _)| page);
        }
        Err([range.err().unwrap_or_default(), vec![Error::Misaligned]].concat())
    }

    /// Whether a subtree of so many pages could be attached.
    fn is_vacant(&self, spot: Spot, pages: u64) -> bool {
        let meets = |other: &Spot, attached: &Attached| {
            let end = other.page + entry_pages(self.levels[attached.subtree]);
            other.page < spot.page + pages && spot.page < end
        };
        let others_window = |other: &Spot| spot.cpu.is_some() && other.cpu.is_some() && other.cpu != spot.cpu;
        let mut attached = self.attached_in(spot.owner);
        attached.all(|(other, attached)| !meets(other, attached) || others_window(other))
            && !self.maps[spot.owner].meets(spot.page, pages)
            && !self.meets_public(spot.owner, spot.page, pages)
    }

    /// Whether a range of a map holds attachments, or what is public.
    pub(super) fn is_taken(&self, owner: usize, first: u64, count: u64) -> bool {
        let meets = |(spot, attached): (&Spot, &Attached)| {
            spot.page < first + count && first < spot.page + entry_pages(self.levels[attached.subtree])
        };
        self.attached_in(owner).any(meets) || self.meets_public(owner, first, count)
    }

    fn meets_public(&self, owner: usize, first: u64, count: u64) -> bool {
        let slots = first / SLOT_PAGES..=(first + count - 1) / SLOT_PAGES;
        self.is_space(owner) && self.public.values().any(|(slot, _)| slots.contains(slot))
    }
}

fn slot_page(address: u64) -> Result<u64, Vec<Error>> {
    let mut errors = Vec::new();
    if !address.is_multiple_of(SLOT_PAGES * PAGE_BYTES) {
        errors.push(Error::Misaligned);
    }
    if address / (SLOT_PAGES * PAGE_BYTES) >= 255 {
        errors.push(Error::BadAddress);
    }
    if errors.is_empty() { Ok(address / PAGE_BYTES) } else { Err(errors) }
}
