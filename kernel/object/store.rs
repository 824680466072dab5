//! Stores: where the objects of one kind live, each with a count of what refers to it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use tessera_abi::{Error, ObjectKind};

use crate::base::mutants::{Mutant, is_seeded};
use crate::base::steps;
use crate::mem::FrameAllocator;
use crate::object::charged::Charged;
use crate::object::chunk::{CHUNK, Chunk, Listed, NONE, Uses, place_of};
use crate::object::doomed::{Debts, Due};
use crate::object::id::{Id, Object};
use crate::object::neighbour::Neighbour;
use crate::object::tally::Tally;

/// An object's share of its store besides the object itself, bytes.
pub const ENTRY_BYTES: u64 = crate::mem::block::box_bytes::<Chunk<()>>().div_ceil(CHUNK as u64);

/// Chunks of which a word says whether they have objects.
const WORD: usize = u64::BITS as usize;

const NAMES_EXIST: &str = "the kernel's own ids name objects that exist";

/// An object looked up to be changed, with the count of what refers to it.
#[derive(Debug)]
pub struct Opened<'a, T: Object> {
    /// Its id.
    pub id: Id<T::Kind>,
    /// The object.
    pub object: &'a mut T,
    /// How many references it has; who adds one sees that it is taken back.
    pub references: &'a mut u32,
}

/// All objects of one kind.
pub struct Store<T> {
    #[expect(clippy::vec_box, reason = "the directory is taken at once, its chunks one by one")]
    pub(super) chunks: Vec<Box<Chunk<T>>>,
    /// Which chunks have objects, a bit each.
    occupied: Vec<u64>,
    /// The first chunk with free entries.
    open: u32,
    /// Where what is doomed is put, of this kind and of others.
    debts: Debts,
    count: usize,
}

impl<T: Object> Store<T> {
    /// An empty store with room for more objects than can ever be paid for, if each costs `least_bytes` and all accounts
    /// together have `memory_bytes`. Takes the room for its directory at once, so that growing never moves anything.
    ///
    /// What is doomed goes to `debts`.
    ///
    /// Numbers end at 2^32: a machine would need 768 GiB for so many of the smallest objects.
    pub fn for_memory(frames: &mut FrameAllocator, memory_bytes: u64, least_bytes: u64, debts: Debts) -> Store<T> {
        let most = (memory_bytes / least_bytes).min(u64::from(NONE) - CHUNK as u64);
        let chunks = most as usize / CHUNK + 1;
        let words = chunks.div_ceil(WORD);
        crate::mem::provide_list::<Box<Chunk<T>>>(frames, chunks);
        crate::mem::provide_list::<u64>(frames, words);
        let (chunks, occupied) = (Vec::with_capacity(chunks), Vec::with_capacity(words));
        Store { chunks, occupied, open: NONE, debts, count: 0 }
    }

    /// An empty store for at least so many objects: for tests.
    #[cfg(test)]
    pub(crate) fn of(most: u64) -> Store<T> {
        let mut frames = FrameAllocator::new(&mut [], tessera_arch::Frame::new(0));
        let debts = Debts::new(Box::leak(Box::new(crate::cpu::debt_words::DebtWords::new())));
        Store::for_memory(&mut frames, most, 1, debts)
    }

    /// Objects that exist.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no object exists.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether another object fits: always, where accounts have no more than the memory there is.
    ///
    /// # Errors
    /// `LimitReached` if the store is full.
    #[inline(always)]
    pub fn ensure_room(&self) -> Result<(), Error> {
        let is_full = self.open == NONE && self.chunks.len() == self.chunks.capacity();
        if is_full { Err(Error::LimitReached) } else { Ok(()) }
    }

    /// Puts an object in, with one reference. `ensure_room` has been asked before.
    #[inline]
    pub fn insert(&mut self, value: T) -> Id<T::Kind> {
        self.insert_boxed(Box::new(value))
    }

    /// The same for one that is where it will stay: large ones are made there.
    #[inline]
    pub fn insert_boxed(&mut self, mut value: Box<T>) -> Id<T::Kind> {
        if self.open == NONE {
            self.grow();
        }
        steps::count();
        let number = self.open;
        let chunk = &mut *self.chunks[number as usize];
        let free = chunk.free;
        let offset = free.trailing_zeros() as usize % CHUNK;
        let index = number * CHUNK as u32 + offset as u32;
        value.be_numbered(index);
        let before = chunk.values[offset].replace(value);
        assert!(before.is_none(), "a free entry holds nothing");
        chunk.uses[offset] = Uses { references: 1, next_due: NONE };
        let id = Id::new(index, chunk.generations[offset]);
        chunk.free = free & free.wrapping_sub(1);
        if chunk.free == 0 {
            self.open = chunk.next_open;
        }
        if free == u32::MAX {
            self.occupied[number as usize / WORD] |= 1 << (number as usize % WORD);
        }
        self.count += 1;
        id
    }

    /// The object, if it exists still. What is doomed is not found any more, though it is there until it is taken apart.
    #[inline(always)]
    pub fn find(&self, id: Id<T::Kind>) -> Option<&T> {
        let (chunk, offset) = self.look_up(id.index())?;
        let is_found = chunk.uses[offset].references != 0 || is_seeded(Mutant::DoomedFound);
        if chunk.generations[offset] == id.generation() && is_found { chunk.values[offset].as_deref() } else { None }
    }

    /// Whether nothing refers to the object with this number any more, so that it is to be taken apart, or is being.
    #[inline(always)]
    pub fn is_doomed(&self, index: u32) -> bool {
        let (chunk, offset) = self.chunk(index);
        chunk.uses[offset].references == 0
    }

    /// The object with this number, which is there, unless it is doomed.
    #[inline(always)]
    pub fn undoomed(&self, index: u32) -> Option<&T> {
        let (chunk, offset) = self.chunk(index);
        if chunk.uses[offset].references == 0 { None } else { chunk.values[offset].as_deref() }
    }

    /// The id of the object that has this index now.
    #[inline(always)]
    pub fn id_at(&self, index: u32) -> Option<Id<T::Kind>> {
        self.look(index).map(|(id, _)| id)
    }

    /// The object that has this index now, and its id.
    #[inline(always)]
    pub fn look(&self, index: u32) -> Option<(Id<T::Kind>, &T)> {
        let (chunk, offset) = self.look_up(index)?;
        Some((Id::new(index, chunk.generations[offset]), chunk.values[offset].as_deref()?))
    }

    /// The object that has this index now, all of it with one look.
    #[inline(always)]
    pub fn open(&mut self, index: u32) -> Option<Opened<'_, T>> {
        steps::count();
        let (number, offset) = place_of(index);
        let chunk = &mut **self.chunks.get_mut(number)?;
        let id = Id::new(index, chunk.generations[offset]);
        let object = chunk.values[offset].as_deref_mut()?;
        Some(Opened { id, object, references: &mut chunk.uses[offset].references })
    }

    /// The object that has this number now. There is one, which whoever keeps the number sees to.
    #[inline(always)]
    pub fn at(&self, index: u32) -> &T {
        let (chunk, offset) = self.chunk(index);
        chunk.values[offset].as_deref().expect(NAMES_EXIST)
    }

    /// The same, to be changed.
    #[inline(always)]
    pub fn at_mut(&mut self, index: u32) -> &mut T {
        let (chunk, offset) = self.chunk_mut(index);
        chunk.values[offset].as_deref_mut().expect(NAMES_EXIST)
    }

    /// All ids, in the order of their numbers; the cost is that of the objects that exist, and of a look at a word for each two
    /// thousand that there once were.
    pub fn ids(&self) -> impl Iterator<Item = Id<T::Kind>> + '_ {
        self.entries().map(|(id, _)| id)
    }

    /// All objects, in the same order.
    pub fn objects(&self) -> impl Iterator<Item = &T> {
        self.entries().map(|(_, object)| object)
    }

    #[inline(always)]
    fn entries(&self) -> impl Iterator<Item = (Id<T::Kind>, &T)> {
        // The entries of the chunk at hand that are not free, a bit each.
        let (mut number, mut left) = (self.occupied_from(0), None);
        core::iter::from_fn(move || {
            loop {
                steps::count();
                let chunk = &**self.chunks.get(number)?;
                let entries = left.unwrap_or(!chunk.free);
                if entries == 0 {
                    (number, left) = (self.occupied_from(number + 1), None);
                    continue;
                }
                left = Some(entries & (entries - 1));
                let offset = entries.trailing_zeros() as usize % CHUNK;
                // What is worn out is not free, and holds nothing.
                if let Some(object) = chunk.values[offset].as_deref() {
                    return Some((Id::new((number * CHUNK + offset) as u32, chunk.generations[offset]), object));
                }
            }
        })
    }

    /// The first chunk with this number or a higher one that has objects; if there is none, a number that no chunk has.
    pub(super) fn occupied_from(&self, number: usize) -> usize {
        let (mut at, mut mask) = (number / WORD, u64::MAX << (number % WORD));
        while let Some(word) = self.occupied.get(at) {
            if word & mask != 0 {
                return at * WORD + (word & mask).trailing_zeros() as usize;
            }
            (at, mask) = (at + 1, u64::MAX);
        }
        usize::MAX
    }

    /// How often the object is referred to.
    pub fn references(&self, id: Id<T::Kind>) -> u32 {
        let (chunk, offset) = self.chunk(id.index());
        chunk.uses[offset].references
    }

    /// Where the checks count what they find of an object.
    ///
    /// # Panics
    /// If the object is gone: whoever refers to it keeps it.
    pub fn tally(&self, id: Id<T::Kind>) -> &Tally {
        let (chunk, offset) = self.chunk(id.index());
        let is_there = chunk.generations[offset] == id.generation() && chunk.values[offset].is_some();
        assert!(is_there, "what is referred to exists");
        &chunk.tallies[offset]
    }

    /// Notes one more reference.
    #[inline(always)]
    pub fn retain(&mut self, id: Id<T::Kind>) {
        let (chunk, offset) = self.chunk_mut(id.index());
        assert!(chunk.generations[offset] == id.generation(), "only what exists can be referred to");
        chunk.uses[offset].references += 1;
    }

    /// The same for the object with this number, which whoever keeps the number keeps already.
    #[inline(always)]
    pub fn retain_at(&mut self, index: u32) {
        let (chunk, offset) = self.chunk_mut(index);
        let references = &mut chunk.uses[offset].references;
        assert!(*references != 0, "only what is referred to can be referred to once more");
        *references += 1;
    }

    /// The object, with one more reference noted.
    #[inline(always)]
    pub fn retained(&mut self, id: Id<T::Kind>) -> &mut T {
        let (chunk, offset) = self.chunk_mut(id.index());
        assert!(chunk.generations[offset] == id.generation(), "only what exists can be referred to");
        chunk.uses[offset].references += 1;
        chunk.values[offset].as_deref_mut().expect(NAMES_EXIST)
    }

    /// Notes one reference less; the last one dooms the object: it is put on the list of debts.
    #[inline(always)]
    pub fn release(&mut self, id: Id<T::Kind>) {
        self.released(id);
    }

    /// The same; gives the object, which exists still.
    #[inline(always)]
    pub fn released(&mut self, id: Id<T::Kind>) -> &mut T {
        let (chunk, offset) = self.give_up(id.index());
        assert!(chunk.generations[offset] == id.generation(), "only what exists can be released");
        chunk.values[offset].as_deref_mut().expect(NAMES_EXIST)
    }

    /// The same for the object with this number, which whoever gives the reference up has kept so far.
    #[inline(always)]
    pub fn release_at(&mut self, index: u32) {
        self.give_up(index);
    }

    /// The same, with the only capability that there was.
    #[inline(always)]
    pub fn release_last_at(&mut self, index: u32) {
        let (chunk, offset) = self.give_up(index);
        chunk.lists[offset] = Neighbour::NONE_LEFT;
    }

    /// The same; gives the object, which exists still.
    #[inline(always)]
    pub fn released_at(&mut self, index: u32) -> &mut T {
        let (chunk, offset) = self.give_up(index);
        chunk.values[offset].as_deref_mut().expect(NAMES_EXIST)
    }

    #[inline(always)]
    fn give_up(&mut self, index: u32) -> (&mut Chunk<T>, usize) {
        let Store { chunks, debts, .. } = self;
        steps::count();
        let (number, offset) = place_of(index);
        let chunk = &mut *chunks[number];
        let uses = &mut chunk.uses[offset];
        uses.references = uses.references.checked_sub(1).expect("a reference is released once");
        // It may be listed for what is left to be done at it; then its turn comes all the same.
        if uses.references == 0 && chunk.listed[offset] == Listed::NOT {
            push_due(*debts, chunk, offset, index, T::KIND);
        }
        (chunk, offset)
    }

    /// Puts an object in front of the list of debts, unless it is on one.
    #[inline(never)]
    pub fn list_due(&mut self, index: u32) {
        let Store { chunks, debts, .. } = self;
        let (number, offset) = place_of(index);
        let chunk = &mut *chunks[number];
        if chunk.listed[offset] == Listed::NOT {
            push_due(*debts, chunk, offset, index, T::KIND);
        }
    }

    /// Whether an object is on a list of debts.
    pub fn is_due(&self, index: u32) -> bool {
        let (chunk, offset) = self.chunk(index);
        chunk.listed[offset] != Listed::NOT
    }

    /// Takes an object off the list of debts, whose first it is. If it is doomed, gives what is known of it besides: where its
    /// capabilities were listed, and its place in its chain, which it leaves ([`charge_chain::left`]).
    #[inline(always)]
    pub fn take_due(&mut self, index: u32) -> Option<(Neighbour, Charged)> {
        let Store { chunks, debts, .. } = self;
        steps::count();
        let (number, offset) = place_of(index);
        let chunk = &mut *chunks[number];
        let next = core::mem::replace(&mut chunk.listed[offset], Listed::NOT).next(chunk.uses[offset].next_due);
        debts.pop(next);
        let is_doomed = chunk.uses[offset].references == 0;
        is_doomed.then(|| (chunk.lists[offset], core::mem::replace(&mut chunk.charged[offset], Charged::NOWHERE)))
    }

    /// Lets a list of debts go on behind its last object, which this one is.
    pub fn join_due(&mut self, index: u32, next: Due) {
        let (chunk, offset) = self.chunk_mut(index);
        (chunk.listed[offset], chunk.uses[offset].next_due) = (Listed::before(next), next.index());
    }

    /// Takes an object out for good; its id is stale from here on.
    #[inline]
    pub fn remove(&mut self, id: Id<T::Kind>) -> Box<T> {
        let (chunk, offset) = self.chunk(id.index());
        assert!(chunk.generations[offset] == id.generation(), "only what exists can be removed");
        self.vacate(id.index())
    }

    /// The same for the object with this number, of which whoever has the number knows that it exists.
    #[inline(always)]
    pub fn remove_at(&mut self, index: u32) -> Box<T> {
        self.vacate(index)
    }

    #[inline(always)]
    fn vacate(&mut self, index: u32) -> Box<T> {
        let (number, offset) = place_of(index);
        let chunk = &mut *self.chunks[number];
        let value = chunk.values[offset].take().expect("only what exists can be removed");
        chunk.lists[offset] = Neighbour::NOBODY;
        debug_assert!(chunk.listed[offset] == Listed::NOT, "nothing is left to be done at what goes");
        let before = chunk.free;
        if let Some(generation) = chunk.generations[offset].checked_add(1) {
            chunk.generations[offset] = generation;
            chunk.free = before | 1 << offset;
        }
        let free = chunk.free;
        self.count -= 1;
        if before == 0 && free != 0 {
            self.open_again(number);
        }
        if free == u32::MAX {
            self.occupied[number / WORD] &= !(1 << (number % WORD));
        }
        value
    }

    /// As if so many more objects had come and gone where the next one will be: for tests.
    #[cfg(not(target_os = "none"))]
    pub fn skip_generations(&mut self, count: u64) {
        if self.open == NONE {
            self.grow();
        }
        let chunk = &mut self.chunks[self.open as usize];
        let generation = &mut chunk.generations[chunk.free.trailing_zeros() as usize];
        *generation = generation.saturating_add(count);
    }

    #[inline(always)]
    fn look_up(&self, index: u32) -> Option<(&Chunk<T>, usize)> {
        steps::count();
        let (number, offset) = place_of(index);
        Some((&**self.chunks.get(number)?, offset))
    }

    #[inline(always)]
    pub(super) fn chunk(&self, index: u32) -> (&Chunk<T>, usize) {
        steps::count();
        let (number, offset) = place_of(index);
        (&*self.chunks[number], offset)
    }

    #[inline(always)]
    pub(super) fn chunk_mut(&mut self, index: u32) -> (&mut Chunk<T>, usize) {
        steps::count();
        let (number, offset) = place_of(index);
        (&mut *self.chunks[number], offset)
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        self.open = self.chunks.len() as u32;
        self.chunks.push(Box::new(Chunk::new()));
        if self.occupied.len() * WORD < self.chunks.len() {
            self.occupied.push(0);
        }
    }

    /// A chunk that was full has a free entry.
    #[cold]
    #[inline(never)]
    fn open_again(&mut self, number: usize) {
        self.chunks[number].next_open = core::mem::replace(&mut self.open, number as u32);
    }
}

impl<T: Object> core::ops::Index<Id<T::Kind>> for Store<T> {
    type Output = T;
    #[inline(always)]
    fn index(&self, id: Id<T::Kind>) -> &T {
        let (chunk, offset) = self.chunk(id.index());
        assert!(chunk.generations[offset] == id.generation(), "{NAMES_EXIST}");
        chunk.values[offset].as_deref().expect(NAMES_EXIST)
    }
}

impl<T: Object> core::ops::IndexMut<Id<T::Kind>> for Store<T> {
    #[inline(always)]
    fn index_mut(&mut self, id: Id<T::Kind>) -> &mut T {
        let (chunk, offset) = self.chunk_mut(id.index());
        assert!(chunk.generations[offset] == id.generation(), "{NAMES_EXIST}");
        chunk.values[offset].as_deref_mut().expect(NAMES_EXIST)
    }
}

/// Puts an object in front of a list that it is not on.
#[inline(always)]
fn push_due<T>(debts: Debts, chunk: &mut Chunk<T>, offset: usize, index: u32, kind: ObjectKind) {
    let next = debts.push(Due::new(kind, index));
    (chunk.listed[offset], chunk.uses[offset].next_due) = (Listed::before(next), next.index());
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Id, Object, Store};
    use crate::object::id::AccountId;
    use tessera_abi::{Error, ObjectKind};

    fn take_doomed<T: Object>(store: &mut Store<T>) -> Option<Id<T::Kind>> {
        let due = store.debts.first();
        let id = store.id_at(due.index()).filter(|_| !due.is_none())?;
        store.take_due(id.index());
        Some(id)
    }

    macro_rules! values {
        ($($value:ty, $kind:ty;)*) => {$(
            impl Object for $value {
                type Kind = $kind;
                const KIND: ObjectKind = ObjectKind::Account;
                const WHAT: &'static str = "value";

                fn payer(&self) -> Option<AccountId> {
                    None
                }

                fn extra_bytes(&self) -> u64 {
                    0
                }
            }
        )*};
    }

    values! {
        (), ();
        i32, i32;
        &str, str;
    }

    #[test]
    fn a_store_has_room_for_all_that_can_be_paid() {
        let most = 5 * CHUNK as u64 + 7;
        let mut store = Store::of(most);
        while store.ensure_room().is_ok() {
            store.insert(());
        }
        assert_eq!(store.ensure_room(), Err(Error::LimitReached));
        assert!((most..=most + CHUNK as u64).contains(&(store.len() as u64)), "{} have room", store.len());
    }

    #[test]
    fn ids_are_small() {
        assert_eq!((size_of::<Id<u8>>(), size_of::<Option<Id<u8>>>()), (12, 12));
    }

    /// As many objects later as a generation of 32 bits can count, an id names nothing still.
    #[test]
    fn an_id_outlives_four_thousand_million_objects() {
        let mut store = Store::of(1000);
        let first = store.insert("first");
        store.remove(first);
        store.skip_generations((1 << 32) - 1);
        let stranger = store.insert("stranger");
        assert_eq!(stranger.index(), first.index());
        assert_eq!(store.find(first), None);
    }

    /// An entry without generations left is not used again; the id of its last object stays stale.
    #[test]
    fn generations_end_and_do_not_wrap() {
        let mut store = Store::of(31);
        store.skip_generations(u64::MAX);
        let last = store.insert(0);
        store.remove(last);
        let others: Vec<_> = (1..32).map(|number| store.insert(number)).collect();
        assert!(others.iter().all(|id| id.index() != last.index()));
        assert!(store.ensure_room().is_err(), "one entry less");
        assert_eq!((store.find(last), store.id_at(last.index()), store.len()), (None, None, 31));
    }

    #[test]
    fn walking_costs_what_exists_not_what_existed() {
        let mut store = Store::of(1000);
        let mut ids: Vec<_> = (0..1000).map(|number| store.insert(number)).collect();
        let kept = [ids.remove(999), ids.remove(500), ids.remove(0)];
        ids.into_iter().for_each(|id| drop(store.remove(id)));
        crate::base::steps::take();
        assert!(store.ids().eq([kept[2], kept[1], kept[0]]));
        assert!(crate::base::steps::take() < 16);
        let again = store.insert(7);
        let all = store.ids().collect::<Vec<_>>();
        assert!(all.len() == 4 && kept.iter().chain([&again]).all(|id| all.contains(id)), "{all:?}");
        kept.into_iter().chain([again]).for_each(|id| drop(store.remove(id)));
        assert_eq!(store.ids().count(), 0);
    }

    #[test]
    fn an_id_never_names_the_next_object() {
        let mut store = Store::of(10);
        let first = store.insert("first");
        store.release(first);
        assert_eq!(take_doomed(&mut store), Some(first));
        assert_eq!(*store.remove(first), "first");
        let second = store.insert("second");
        assert_eq!(second.index(), first.index());
        assert_eq!(store.find(first), None);
        assert_eq!(store[second], "second");
    }

    #[test]
    fn references_keep_an_object() {
        let mut store = Store::of(100);
        let ids: Vec<_> = (0..100).map(|number| store.insert(number)).collect();
        store.retain(ids[50]);
        store.release(ids[50]);
        assert_eq!(take_doomed(&mut store), None);
        store.release(ids[50]);
        store.release(ids[51]);
        assert_eq!(take_doomed(&mut store), Some(ids[51]));
        assert_eq!(take_doomed(&mut store), Some(ids[50]));
        assert_eq!((take_doomed(&mut store), store.len()), (None, 100));
    }
}
