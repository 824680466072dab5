//! One set-associative array of tagged entries, replaced by exact LRU.

use super::owner::{Owner, Reader};
use super::profile::Shape;

/// How many places [`Array`] remembers, by address and tag.
const HINTS: usize = 256;

/// The right to store.
pub(super) const WRITE: u8 = 1;
/// The right to fetch instructions.
pub(super) const EXECUTE: u8 = 2;

/// A page, or the addresses below a table, as a cache gets to know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// An address in it.
    pub(super) address: u64,
    /// Its size in the page tables, as a power of two.
    pub(super) bits: u8,
    pub(super) owner: Owner,
    /// [`WRITE`], [`EXECUTE`].
    pub(super) rights: u8,
}

/// One entry: a page, or a fragment of one that is too large for the array.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    base: u64,
    /// When it was last used; 0 if it is empty.
    stamp: u64,
    pub(super) owner: Owner,
    /// The size that it covers, as a power of two.
    bits: u8,
    /// The size of the page that it is of: an invalidation of any of its bytes concerns all fragments.
    page_bits: u8,
    rights: u8,
}

const EMPTY: Entry = Entry { base: 0, stamp: 0, owner: Owner::NOBODY, bits: 12, page_bits: 12, rights: 0 };

impl Entry {
    /// Whether the entry's page holds an address from `first` to `last`, both included.
    pub(super) fn overlaps(&self, first: u64, last: u64) -> bool {
        let begin = self.base >> self.page_bits << self.page_bits;
        begin <= last && first <= begin | ((1 << self.page_bits) - 1)
    }

    /// Whether all of the entry's page is at a place: addresses that are the same when shifted right by so many bits.
    pub(super) fn is_within(&self, (prefix, bits): (u64, u8)) -> bool {
        self.page_bits <= bits && self.base >> bits == prefix
    }

    #[inline(always)]
    fn serves(&self, address: u64, reader: Reader) -> bool {
        (address ^ self.base) >> self.bits == 0 && reader.may_use(self.owner)
    }

    fn page(&self, address: u64) -> Page {
        Page { address, bits: self.page_bits, owner: self.owner, rights: self.rights }
    }
}

/// The array.
pub(super) struct Array {
    /// Set by set, `ways` of each.
    entries: Vec<Entry>,
    ways: usize,
    set_mask: usize,
    /// Whether the tag is mixed into the index.
    hash_tag: bool,
    /// Page sizes that occur, and how many entries have each: those that none has need not be looked for.
    sizes: Vec<(u8, usize)>,
    /// Where an address was found last: most accesses hit there, and need not look through the ways.
    hints: [u16; HINTS],
    clock: u64,
}

impl Array {
    /// The array of that shape, with nothing in it.
    pub(super) fn new(shape: &Shape) -> Array {
        let (entries, ways) = (shape.entries as usize, shape.ways as usize);
        let sets = entries / ways;
        assert!(sets.is_power_of_two() && sets * ways == entries && entries <= usize::from(u16::MAX));
        Array {
            entries: vec![EMPTY; entries],
            ways,
            set_mask: sets - 1,
            hash_tag: shape.hash_tag,
            sizes: shape.pages.iter().map(|size| (size.bits(), 0)).collect(),
            hints: [0; HINTS],
            clock: 0,
        }
    }

    /// Whether an entry serves the access; one that does not give the rights `needs` is dropped, as a CPU drops it that
    /// takes the exception (SDM volume 3, section 5.10.4.1), and does not count.
    #[inline(always)]
    pub(super) fn lookup(&mut self, address: u64, reader: Reader, needs: u8) -> Option<Page> {
        let hint = hint(address, reader);
        let mut index = usize::from(self.hints[hint]);
        if !self.entries[index].serves(address, reader) {
            index = self.find(address, reader)?;
            self.hints[hint] = index as u16;
        }
        let entry = &mut self.entries[index];
        if entry.rights & needs != needs {
            self.empty(index);
            return None;
        }
        self.clock += 1;
        entry.stamp = self.clock;
        Some(entry.page(address))
    }

    fn find(&self, address: u64, reader: Reader) -> Option<usize> {
        if self.set_mask == 0 {
            return self.entries.iter().position(|entry| entry.serves(address, reader));
        }
        let sizes = self.sizes.iter().filter(|(_, count)| *count > 0);
        sizes.map(|&(bits, _)| bits).find_map(|bits| self.find_sized(address, bits, reader))
    }

    /// Whether there is an entry of just this size for the address; it counts as used.
    pub(super) fn lookup_sized(&mut self, address: u64, bits: u8, reader: Reader) -> bool {
        let Some(index) = self.find_sized(address, bits, reader) else { return false };
        self.clock += 1;
        self.entries[index].stamp = self.clock;
        true
    }

    fn find_sized(&self, address: u64, bits: u8, reader: Reader) -> Option<usize> {
        let in_set = |owner: Owner| {
            let set = self.set(address, bits, owner);
            let ways = &self.entries[set..set + self.ways];
            ways.iter().position(|entry| entry.bits == bits && entry.serves(address, reader)).map(|way| set + way)
        };
        // With the tag in the index, what has no tag is elsewhere.
        in_set(reader.owner()).or_else(|| if self.hash_tag { in_set(Owner::GLOBAL) } else { None })
    }

    /// Takes a page in, as an entry that covers 2 to the power of `bits` bytes, in place of the least recently used.
    pub(super) fn insert(&mut self, page: &Page, bits: u8) {
        let base = page.address >> bits << bits;
        let set = self.set(base, bits, page.owner);
        let (mut victim, mut oldest) = (set, u64::MAX);
        for index in set..set + self.ways {
            let entry = &self.entries[index];
            if entry.owner == page.owner && entry.base == base && entry.bits == bits {
                victim = index;
                break;
            }
            if entry.stamp < oldest {
                (victim, oldest) = (index, entry.stamp);
            }
        }
        self.empty(victim);
        self.clock += 1;
        let stamp = self.clock;
        self.entries[victim] =
            Entry { base, stamp, owner: page.owner, bits, page_bits: page.bits, rights: page.rights };
        *self.count(bits) += 1;
    }

    /// Empties every entry of which `condition` holds, and returns how many those were.
    pub(super) fn drop_where(&mut self, condition: impl Fn(&Entry) -> bool) -> u64 {
        let before = self.len();
        if before == 0 {
            return 0;
        }
        for index in 0..self.entries.len() {
            if self.entries[index].stamp != 0 && condition(&self.entries[index]) {
                self.empty(index);
            }
        }
        (before - self.len()) as u64
    }

    fn len(&self) -> usize {
        self.sizes.iter().map(|(_, count)| count).sum()
    }

    fn empty(&mut self, index: usize) {
        let entry = self.entries[index];
        if entry.stamp != 0 {
            *self.count(entry.bits) -= 1;
            self.entries[index] = EMPTY;
        }
    }

    fn count(&mut self, bits: u8) -> &mut usize {
        let size = self.sizes.iter_mut().find(|size| size.0 == bits);
        &mut size.expect("the level inserts only sizes that the array holds").1
    }

    fn set(&self, address: u64, bits: u8, owner: Owner) -> usize {
        let spread = if self.hash_tag { owner.spread() } else { 0 };
        ((address >> bits ^ spread) as usize & self.set_mask) * self.ways
    }
}

#[inline(always)]
fn hint(address: u64, reader: Reader) -> usize {
    (address >> 12 ^ address >> 21 ^ reader.owner().spread()) as usize % HINTS
}
