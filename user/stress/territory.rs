//! A few pages of addresses that one worker has to itself, in a space or a subtree, and what it has mapped there.

use crate::memory::Memory;
use alloc::vec::Vec;
use demonstration::Random;
use libvas::{Cap, Error, Mappable, PAGE_BYTES, Place, Rights};

/// Pages of a territory. Few, so that addresses are used again and again with other memory.
pub(crate) const PAGES: usize = 12;

/// The longest run of pages that one operation works on.
const RUN_MAX: u64 = 4;

/// What is mapped at a page.
#[derive(Clone, Copy)]
struct Page {
    name: u64,
    writable: bool,
}

/// What a thread must find at an address.
#[derive(Clone, Copy)]
pub(crate) struct Fact {
    place: Place<u64>,
    name: u64,
    writable: bool,
}

/// The addresses, and what is there.
pub(crate) struct Territory<T: Mappable> {
    target: Cap<T>,
    /// Where it begins, as the target counts.
    from: u64,
    /// Where it begins, as a thread sees it.
    seen: u64,
    pages: [Option<Page>; PAGES],
}

impl<T: Mappable> Territory<T> {
    /// An empty territory.
    pub(crate) fn new(target: Cap<T>, from: u64, seen: u64) -> Territory<T> {
        Territory { target, from, seen, pages: [None; PAGES] }
    }

    /// Maps a part of some memory where nothing is, if the dice find such a place.
    pub(crate) fn map(&mut self, memory: &Memory, random: &mut Random) -> Result<(), Error> {
        let start = random.below(PAGES as u64) as usize;
        let free = self.pages[start..].iter().take_while(|page| page.is_none()).count() as u64;
        let count = free.min(memory.pages).min(RUN_MAX);
        if count == 0 {
            return Ok(());
        }
        let count = 1 + random.below(count);
        let offset = random.below(memory.pages - count + 1);
        let writable = random.below(2) == 0;
        let rights = if writable { Rights::READ_WRITE } else { Rights::READ };
        let range = offset * PAGE_BYTES..(offset + count) * PAGE_BYTES;
        self.target.map(self.from + start as u64 * PAGE_BYTES, &memory.segment, range, rights)?;
        for page in 0..count {
            self.pages[start + page as usize] = Some(Page { name: memory.name(offset + page), writable });
        }
        Ok(())
    }

    /// Unmaps a run of pages, across mappings or in the middle of one.
    pub(crate) fn unmap(&mut self, random: &mut Random) -> Result<(), Error> {
        let Some((start, count)) = self.run(random) else { return Ok(()) };
        self.target.unmap(self.addresses(start, count))?;
        self.pages[start..start + count].fill(None);
        Ok(())
    }

    /// Changes whether a run of pages can be written.
    pub(crate) fn protect(&mut self, random: &mut Random) -> Result<(), Error> {
        let Some((start, count)) = self.run(random) else { return Ok(()) };
        let writable = random.below(2) == 0;
        let rights = if writable { Rights::READ_WRITE } else { Rights::READ };
        self.target.protect(self.addresses(start, count), rights)?;
        self.pages[start..start + count].iter_mut().flatten().for_each(|page| page.writable = writable);
        Ok(())
    }

    /// Unmaps all of it.
    pub(crate) fn clear(&mut self) -> Result<(), Error> {
        for start in 0..PAGES {
            if self.pages[start].take().is_some() {
                self.target.unmap(self.addresses(start, 1))?;
            }
        }
        Ok(())
    }

    /// A run of mapped pages.
    fn run(&self, random: &mut Random) -> Option<(usize, usize)> {
        let start = random.below(PAGES as u64) as usize;
        let mapped = self.pages[start..].iter().take_while(|page| page.is_some()).count() as u64;
        (mapped > 0).then(|| (start, 1 + random.below(mapped.min(RUN_MAX)) as usize))
    }

    fn addresses(&self, start: usize, count: usize) -> core::ops::Range<u64> {
        let address = self.from + start as u64 * PAGE_BYTES;
        address..address + count as u64 * PAGE_BYTES
    }

    /// What a thread that sees the territory must find.
    pub(crate) fn facts(&self) -> Result<Vec<Fact>, Error> {
        let mapped = (0..).zip(&self.pages).filter_map(|(index, page)| page.map(|page| (index, page)));
        mapped
            .map(|(index, page): (u64, Page)| {
                let place = Place::<u64>::new(self.seen + index * PAGE_BYTES)?;
                Ok(Fact { place, name: page.name, writable: page.writable })
            })
            .collect()
    }
}

/// How many facts are not true for the calling thread; `stamp` is written where that is allowed.
pub(crate) fn count_wrong(facts: &[Fact], stamp: u64) -> u64 {
    let mut wrong = 0;
    for fact in facts {
        wrong += u64::from(fact.place.get() != fact.name);
        if fact.writable
            && let Ok(beside) = fact.place.at(1)
        {
            beside.set(stamp);
            wrong += u64::from(beside.get() != stamp);
        }
    }
    wrong
}

/// How many of the places that may be written do not have this stamp any more.
pub(crate) fn count_unstamped(facts: &[Fact], stamp: u64) -> u64 {
    let is_stamped = |fact: &Fact| fact.place.at(1).is_ok_and(|beside| beside.get() == stamp);
    facts.iter().filter(|fact| fact.writable && !is_stamped(fact)).count() as u64
}
