//! The same CPU as a plain list of entries, written without regard to speed.

use tlb_model::model::{Access, Figures, Invalidation, Shape, Translation, Walk, WalkEntries};

/// Which of the CPU's structures an entry is in.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Instruction,
    Data,
    Second,
    WalkCache,
}

struct Entry {
    place: Place,
    /// The number of its array among those of its place.
    array: usize,
    first: u64,
    bits: u8,
    page_bits: u8,
    /// None: global.
    tag: Option<u16>,
    writable: bool,
    executable: bool,
}

impl Entry {
    fn serves(&self, tag: u16, address: u64) -> bool {
        self.tag.is_none_or(|own| own == tag) && self.first == address & !((1 << self.bits) - 1)
    }

    fn page_overlaps(&self, first: u64, last: u64) -> bool {
        let size = 1_u64 << self.page_bits;
        let begin = self.first / size * size;
        begin <= last && begin + (size - 1) >= first
    }
}

/// The CPU.
pub(crate) struct Naive {
    shapes: [Vec<Shape>; 4],
    /// From the least recently used on.
    entries: Vec<Entry>,
    pub(crate) figures: Figures,
}

impl Naive {
    /// A CPU with these arrays in instruction, data, second level and walk caches.
    pub(crate) fn new(shapes: [Vec<Shape>; 4]) -> Naive {
        Naive { shapes, entries: Vec::new(), figures: Figures::default() }
    }

    pub(crate) fn access(&mut self, access: Access, tag: u16, address: u64, walk: &Walk) {
        let place = if access == Access::Fetch { Place::Instruction } else { Place::Data };
        match access {
            Access::Fetch => self.figures.fetches += 1,
            Access::Load => self.figures.loads += 1,
            Access::Store => self.figures.stores += 1,
        }
        if self.use_entry(place, access, tag, address).is_some() {
            return;
        }
        match place {
            Place::Instruction => self.figures.instruction_misses += 1,
            _ => self.figures.data_misses += 1,
        }
        let translation = match self.use_entry(Place::Second, access, tag, address) {
            Some(translation) => translation,
            None => {
                self.walk(tag, address, walk);
                let mut found = walk.result.expect("every walk of this test finds something");
                found.writable |= access == Access::Store;
                found.executable |= access == Access::Fetch;
                self.insert(Place::Second, tag, address, found);
                found
            }
        };
        self.insert(place, tag, address, translation);
    }

    pub(crate) fn switch_root(&mut self, tag: u16, flush: bool) {
        if flush {
            self.figures.flushing_root_writes += 1;
            self.invalidate(Invalidation::Tag(tag));
        } else {
            self.figures.root_writes += 1;
        }
    }

    pub(crate) fn invalidate(&mut self, invalidation: Invalidation) {
        let before = self.entries.len();
        self.entries.retain(|entry| !goes(entry, invalidation));
        self.figures.entries_dropped += (before - self.entries.len()) as u64;
    }

    fn use_entry(&mut self, place: Place, access: Access, tag: u16, address: u64) -> Option<Translation> {
        let index = self.entries.iter().position(|entry| entry.place == place && entry.serves(tag, address))?;
        let entry = self.entries.remove(index);
        let allowed = match access {
            Access::Fetch => entry.executable,
            Access::Load => true,
            Access::Store => entry.writable,
        };
        if !allowed {
            return None;
        }
        let (frame, user) = (0, true);
        let (writable, executable) = (entry.writable, entry.executable);
        let found =
            Translation { frame, page_bits: entry.page_bits, global: entry.tag.is_none(), writable, user, executable };
        self.entries.push(entry);
        Some(found)
    }

    fn walk(&mut self, tag: u16, address: u64, walk: &Walk) {
        let span = |depth: u8| 48 - 9 * depth;
        let known = (1..walk.references).rev().find(|&depth| {
            let found = self.entries.iter().position(|entry| {
                entry.place == Place::WalkCache && entry.bits == span(depth) && entry.serves(tag, address)
            });
            found.map(|index| self.entries.remove(index)).map(|entry| self.entries.push(entry)).is_some()
        });
        let known = known.unwrap_or(0);
        self.figures.walks += 1;
        self.figures.walk_references += u64::from(walk.references - known);
        self.figures.saved_references += u64::from(known);
        for depth in known + 1..walk.references {
            let table = Translation {
                frame: 0,
                page_bits: span(depth),
                global: false,
                writable: false,
                user: true,
                executable: false,
            };
            self.insert(Place::WalkCache, tag, address, table);
        }
    }

    fn insert(&mut self, place: Place, tag: u16, address: u64, page: Translation) {
        let shapes = &self.shapes[place as usize];
        let held = |bits: u8| shapes.iter().position(|shape| shape.pages.iter().any(|size| size.bits() == bits));
        let sizes = if place == Place::WalkCache { page.page_bits..=page.page_bits } else { 12..=page.page_bits };
        let Some((bits, array)) = sizes.rev().find_map(|bits| Some((bits, held(bits)?))) else { return };
        let (ways, sets) = (shapes[array].ways as usize, u64::from(shapes[array].entries / shapes[array].ways));
        let hashed = shapes[array].hash_tag;
        let set = |address: u64, bits: u8, tag: Option<u16>| {
            let spread = tag.filter(|_| hashed).map_or(0, |tag| (u64::from(tag) * 0x9e37_79b9) >> 16);
            (address >> bits ^ spread) % sets
        };
        let tag = if page.global { None } else { Some(tag) };
        let mine = set(address, bits, tag);
        let rivals = |entry: &Entry| {
            entry.place == place && entry.array == array && set(entry.first, entry.bits, entry.tag) == mine
        };
        if self.entries.iter().filter(|entry| rivals(entry)).count() == ways {
            let oldest = self.entries.iter().position(rivals).expect("there are as many as ways");
            self.entries.remove(oldest);
        }
        self.entries.push(Entry {
            place,
            array,
            first: address & !((1 << bits) - 1),
            bits,
            page_bits: page.page_bits,
            tag,
            writable: page.writable,
            executable: page.executable,
        });
    }
}

/// Whether the manuals say that an entry goes.
fn goes(entry: &Entry, invalidation: Invalidation) -> bool {
    let table = entry.place == Place::WalkCache;
    match invalidation {
        Invalidation::All { globals } => globals || entry.tag.is_some(),
        Invalidation::Tag(tag) => entry.tag == Some(tag),
        Invalidation::Page { tag, address, globals, walk_entries } => {
            let of_page = entry.page_overlaps(address, address);
            match (table, walk_entries) {
                (true, WalkEntries::Keep) => false,
                (true, WalkEntries::OfTag) => tag.is_none() || entry.tag == tag,
                (true, WalkEntries::OfAddress) => of_page && (tag.is_none() || entry.tag == tag),
                (false, _) if entry.tag.is_none() => of_page && (globals || tag.is_none()),
                (false, _) => of_page && (tag.is_none() || entry.tag == tag),
            }
        }
        Invalidation::Range { tag, start, bytes, walk_entries } => {
            let in_range = entry.page_overlaps(start, start.saturating_add(bytes - 1));
            let owned = tag.is_none() || entry.tag.is_none() || entry.tag == tag;
            in_range && owned && !(table && walk_entries == WalkEntries::Keep)
        }
    }
}
