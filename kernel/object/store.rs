//! Stores: where the objects of one kind live, each with a count of what refers to it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU32, Ordering};

use tessera_abi::{Error, ObjectKind};

use crate::base::steps;
use crate::mem::FrameAllocator;
use crate::object::id::{Id, Object};
use crate::object::tally::Tally;

/// Entries are made in chunks of this many.
const CHUNK: usize = 32;

/// An object's share of its store besides the object itself, bytes.
pub const ENTRY_BYTES: u64 = crate::mem::block::box_bytes::<Chunk<()>>().div_ceil(CHUNK as u64);

const NONE: u32 = u32::MAX;

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

struct Entry<T> {
    generation: NonZeroU64,
    references: u32,
    /// Next free entry, or next entry that waits to be destroyed.
    next: u32,
    /// Of the objects that exist, the one made just before this one, and the one made just after.
    older: u32,
    newer: u32,
    value: Option<Box<T>>,
}

// Every use of an object looks one up.
const _: () = assert!(size_of::<Entry<()>>() == 32, "an entry is found by a shift");

#[repr(C)]
struct Chunk<T> {
    entries: [Entry<T>; CHUNK],
    /// What the checks count of each, out of the way of all else.
    tallies: [Tally; CHUNK],
}

/// The kinds of which objects may wait to be taken apart, a bit each. All stores share it, for who looks at each trap.
#[derive(Clone, Debug, Default)]
pub struct DoomedKinds(Arc<AtomicU32>);

impl DoomedKinds {
    /// One of them; the one with the greatest number, if there are several.
    #[inline(always)]
    pub fn first(&self) -> Option<ObjectKind> {
        ObjectKind::from_number(u64::from(self.0.load(Ordering::Relaxed).checked_ilog2()?))
    }

    /// Whether there is any.
    #[inline(always)]
    pub fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    // The kernel's lock is held: no other CPU changes it meanwhile.
    #[inline(always)]
    fn set(&self, kind: ObjectKind, is_doomed: bool) {
        let bit = 1 << kind as u32;
        let others = self.0.load(Ordering::Relaxed) & !bit;
        self.0.store(if is_doomed { others | bit } else { others }, Ordering::Relaxed);
    }
}

/// All objects of one kind.
pub struct Store<T> {
    #[expect(clippy::vec_box, reason = "the directory is taken at once, its chunks one by one")]
    chunks: Vec<Box<Chunk<T>>>,
    free: u32,
    doomed: u32,
    /// The kinds of which objects are doomed, this one among others.
    doomed_kinds: DoomedKinds,
    /// The object made last.
    newest: u32,
    count: usize,
}

impl<T: Object> Store<T> {
    /// An empty store with room for more objects than can ever be paid for, if each costs `least_bytes` and all accounts
    /// together have `memory_bytes`. Takes the room for its directory at once, so that growing never moves anything.
    ///
    /// `doomed_kinds` is told when an object is doomed.
    ///
    /// Numbers end at 2^32: a machine would need 768 GiB for so many of the smallest objects.
    pub fn for_memory(
        frames: &mut FrameAllocator,
        memory_bytes: u64,
        least_bytes: u64,
        doomed_kinds: &DoomedKinds,
    ) -> Store<T> {
        let most = (memory_bytes / least_bytes).min(u64::from(NONE) - CHUNK as u64);
        let chunks = most as usize / CHUNK + 1;
        crate::mem::provide_list::<Box<Chunk<T>>>(frames, chunks);
        let (chunks, doomed_kinds) = (Vec::with_capacity(chunks), doomed_kinds.clone());
        Store { chunks, free: NONE, doomed: NONE, doomed_kinds, newest: NONE, count: 0 }
    }

    /// An empty store for at least so many objects: for tests.
    #[cfg(test)]
    pub(crate) fn of(most: u64) -> Store<T> {
        Store::for_memory(
            &mut FrameAllocator::new(&mut [], tessera_arch::Frame::new(0)),
            most,
            1,
            &DoomedKinds::default(),
        )
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
        let is_full = self.free == NONE && self.chunks.len() == self.chunks.capacity();
        if is_full { Err(Error::LimitReached) } else { Ok(()) }
    }

    /// Puts an object in, with one reference. `ensure_room` has been asked before.
    #[inline]
    pub fn insert(&mut self, value: T) -> Id<T::Kind> {
        self.insert_boxed(Box::new(value))
    }

    /// The same for one that is where it will stay: large ones are made there.
    #[inline]
    pub fn insert_boxed(&mut self, value: Box<T>) -> Id<T::Kind> {
        if self.free == NONE {
            self.grow();
        }
        let (index, older) = (self.free, self.newest);
        let entry = self.entry_mut(index);
        let generation = entry.generation;
        let before = entry.value.replace(value);
        assert!(before.is_none(), "a free entry holds nothing");
        (entry.references, entry.older, entry.newer) = (1, older, NONE);
        self.free = entry.next;
        if older != NONE {
            self.entry_mut(older).newer = index;
        }
        self.newest = index;
        self.count += 1;
        Id::new(index, generation)
    }

    /// The object, if it exists still.
    #[inline(always)]
    pub fn find(&self, id: Id<T::Kind>) -> Option<&T> {
        steps::count();
        let entry = &self.chunks.get(id.index() as usize / CHUNK)?.entries[id.index() as usize % CHUNK];
        if entry.generation == id.generation() { entry.value.as_deref() } else { None }
    }

    /// The id of the object that has this index now.
    #[inline(always)]
    pub fn id_at(&self, index: u32) -> Option<Id<T::Kind>> {
        steps::count();
        let entry = &self.chunks.get(index as usize / CHUNK)?.entries[index as usize % CHUNK];
        entry.value.as_ref()?;
        Some(Id::new(index, entry.generation))
    }

    /// The object that has this index now, and its id.
    #[inline(always)]
    pub fn look(&self, index: u32) -> Option<(Id<T::Kind>, &T)> {
        steps::count();
        let entry = &self.chunks.get(index as usize / CHUNK)?.entries[index as usize % CHUNK];
        Some((Id::new(index, entry.generation), entry.value.as_deref()?))
    }

    /// The object that has this index now, all of it with one look.
    #[inline(always)]
    pub fn open(&mut self, index: u32) -> Option<Opened<'_, T>> {
        steps::count();
        let entry = &mut self.chunks.get_mut(index as usize / CHUNK)?.entries[index as usize % CHUNK];
        let id = Id::new(index, entry.generation);
        Some(Opened { id, object: entry.value.as_deref_mut()?, references: &mut entry.references })
    }

    /// The object that has this number now. There is one, which whoever keeps the number sees to.
    #[inline(always)]
    pub fn at(&self, index: u32) -> &T {
        self.entry(index).value.as_deref().expect(NAMES_EXIST)
    }

    /// The same, to be changed.
    #[inline(always)]
    pub fn at_mut(&mut self, index: u32) -> &mut T {
        self.entry_mut(index).value.as_deref_mut().expect(NAMES_EXIST)
    }

    /// All ids, the newest object's first; the cost is that of the objects that exist, however many there once were.
    pub fn ids(&self) -> impl Iterator<Item = Id<T::Kind>> + '_ {
        core::iter::successors(self.newest(), |id| self.older(*id))
    }

    /// The object made last.
    pub fn newest(&self) -> Option<Id<T::Kind>> {
        self.id_at(self.newest)
    }

    /// The object that was made just before another: a step of a walk that changes the objects.
    pub fn older(&self, id: Id<T::Kind>) -> Option<Id<T::Kind>> {
        self.id_at(self.entry(id.index()).older)
    }

    /// How often the object is referred to.
    pub fn references(&self, id: Id<T::Kind>) -> u32 {
        self.entry(id.index()).references
    }

    /// Where the checks count what they find of an object.
    ///
    /// # Panics
    /// If the object is gone: whoever refers to it keeps it.
    pub fn tally(&self, id: Id<T::Kind>) -> &Tally {
        let entry = self.entry(id.index());
        assert!(entry.generation == id.generation() && entry.value.is_some(), "what is referred to exists");
        &self.chunks[id.index() as usize / CHUNK].tallies[id.index() as usize % CHUNK]
    }

    /// Notes one more reference.
    #[inline(always)]
    pub fn retain(&mut self, id: Id<T::Kind>) {
        let entry = self.entry_mut(id.index());
        assert!(entry.generation == id.generation(), "only what exists can be referred to");
        entry.references += 1;
    }

    /// The same for the object with this number, which whoever keeps the number keeps already.
    #[inline(always)]
    pub fn retain_at(&mut self, index: u32) {
        let entry = self.entry_mut(index);
        assert!(entry.references != 0, "only what is referred to can be referred to once more");
        entry.references += 1;
    }

    /// The object, with one more reference noted.
    #[inline(always)]
    pub fn retained(&mut self, id: Id<T::Kind>) -> &mut T {
        let entry = self.entry_mut(id.index());
        assert!(entry.generation == id.generation(), "only what exists can be referred to");
        entry.references += 1;
        entry.value.as_deref_mut().expect(NAMES_EXIST)
    }

    /// Notes one reference less; the last one dooms the object: it waits for [`Store::take_doomed`].
    #[inline(always)]
    pub fn release(&mut self, id: Id<T::Kind>) {
        self.released(id);
    }

    /// The same; gives the object, which exists still.
    #[inline(always)]
    pub fn released(&mut self, id: Id<T::Kind>) -> &mut T {
        let entry = self.give_up(id.index());
        assert!(entry.generation == id.generation(), "only what exists can be released");
        entry.value.as_deref_mut().expect(NAMES_EXIST)
    }

    /// The same for the object with this number, which whoever gives the reference up has kept so far.
    #[inline(always)]
    pub fn release_at(&mut self, index: u32) {
        self.give_up(index);
    }

    #[inline(always)]
    fn give_up(&mut self, index: u32) -> &mut Entry<T> {
        let Store { chunks, doomed, doomed_kinds, .. } = self;
        steps::count();
        let entry = &mut chunks[index as usize / CHUNK].entries[index as usize % CHUNK];
        entry.references = entry.references.checked_sub(1).expect("a reference is released once");
        if entry.references == 0 {
            entry.next = core::mem::replace(doomed, index);
            doomed_kinds.set(T::KIND, true);
        }
        entry
    }

    /// An object that nothing refers to any more; [`Store::take_doomed`] gives the same.
    #[inline(always)]
    pub fn doomed(&self) -> Option<Id<T::Kind>> {
        if self.doomed == NONE { None } else { Some(Id::new(self.doomed, self.entry(self.doomed).generation)) }
    }

    /// An object that nothing refers to any more, to be taken apart.
    #[inline(always)]
    pub fn take_doomed(&mut self) -> Option<Id<T::Kind>> {
        if self.doomed == NONE {
            return None;
        }
        let entry = self.entry(self.doomed);
        let (id, next) = (Id::new(self.doomed, entry.generation), entry.next);
        self.doomed = next;
        if next == NONE {
            self.doomed_kinds.set(T::KIND, false);
        }
        Some(id)
    }

    /// Takes an object out for good; its id is stale from here on.
    #[inline]
    pub fn remove(&mut self, id: Id<T::Kind>) -> Box<T> {
        let free = self.free;
        let entry = self.entry_mut(id.index());
        assert!(entry.generation == id.generation(), "only what exists can be removed");
        let value = entry.value.take().expect("only what exists can be removed");
        let (older, newer) = (entry.older, entry.newer);
        if let Some(generation) = entry.generation.checked_add(1) {
            (entry.generation, entry.next) = (generation, free);
            self.free = id.index();
        }
        if older != NONE {
            self.entry_mut(older).newer = newer;
        }
        match newer {
            NONE => self.newest = older,
            newer => self.entry_mut(newer).older = older,
        }
        self.count -= 1;
        value
    }

    /// As if so many more objects had come and gone where the next one will be: for tests.
    #[cfg(not(target_os = "none"))]
    pub fn skip_generations(&mut self, count: u64) {
        if self.free == NONE {
            self.grow();
        }
        let entry = self.entry_mut(self.free);
        entry.generation = entry.generation.saturating_add(count);
    }

    #[inline(always)]
    fn entry(&self, index: u32) -> &Entry<T> {
        steps::count();
        &self.chunks[index as usize / CHUNK].entries[index as usize % CHUNK]
    }

    #[inline(always)]
    fn entry_mut(&mut self, index: u32) -> &mut Entry<T> {
        steps::count();
        &mut self.chunks[index as usize / CHUNK].entries[index as usize % CHUNK]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let first = (self.chunks.len() * CHUNK) as u32;
        let entry = |offset: u32| {
            let next = if offset + 1 == CHUNK as u32 { NONE } else { first + offset + 1 };
            Entry { generation: NonZeroU64::MIN, references: 0, next, older: NONE, newer: NONE, value: None }
        };
        let entries = core::array::from_fn(|offset| entry(offset as u32));
        self.chunks.push(Box::new(Chunk { entries, tallies: core::array::from_fn(|_| Tally::default()) }));
        self.free = first;
    }
}

impl<T: Object> core::ops::Index<Id<T::Kind>> for Store<T> {
    type Output = T;
    #[inline(always)]
    fn index(&self, id: Id<T::Kind>) -> &T {
        self.find(id).expect(NAMES_EXIST)
    }
}

impl<T: Object> core::ops::IndexMut<Id<T::Kind>> for Store<T> {
    #[inline(always)]
    fn index_mut(&mut self, id: Id<T::Kind>) -> &mut T {
        let entry = self.entry_mut(id.index());
        assert!(entry.generation == id.generation(), "{NAMES_EXIST}");
        entry.value.as_deref_mut().expect(NAMES_EXIST)
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Id, Object, Store};
    use tessera_abi::{Error, ObjectKind};

    impl Object for () {
        type Kind = ();
        const KIND: ObjectKind = ObjectKind::Account;
        const WHAT: &'static str = "value";
    }

    impl Object for i32 {
        type Kind = i32;
        const KIND: ObjectKind = ObjectKind::Account;
        const WHAT: &'static str = "value";
    }

    impl Object for &str {
        type Kind = str;
        const KIND: ObjectKind = ObjectKind::Account;
        const WHAT: &'static str = "value";
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
        assert_eq!(store.ids().collect::<Vec<_>>(), kept);
        assert!(crate::base::steps::take() < 16);
        let again = store.insert(7);
        assert_eq!(store.ids().collect::<Vec<_>>(), [again, kept[0], kept[1], kept[2]]);
        kept.into_iter().chain([again]).for_each(|id| drop(store.remove(id)));
        assert_eq!(store.ids().count(), 0);
    }

    #[test]
    fn an_id_never_names_the_next_object() {
        let mut store = Store::of(10);
        let first = store.insert("first");
        store.release(first);
        assert_eq!(store.take_doomed(), Some(first));
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
        assert_eq!(store.take_doomed(), None);
        store.release(ids[50]);
        store.release(ids[51]);
        assert_eq!(store.take_doomed(), Some(ids[51]));
        assert_eq!(store.take_doomed(), Some(ids[50]));
        assert_eq!((store.take_doomed(), store.len()), (None, 100));
    }
}
