//! What the switch reads of a capability, in two words without the lock.

use core::sync::atomic::{AtomicU64, Ordering};

use tessera_abi::{Error, Handle, ObjectKind, Rights};

const KIND_SHIFT: u32 = 56;
const KIND_MASK: u64 = 0xff << KIND_SHIFT;
const RIGHTS_MASK: u64 = 0xff_ffff << 32;

/// Where no right is: the capability was derived from another one.
const DERIVED: u64 = 1 << 55;

/// Where no right is: the capability is being deleted.
const CLOSED: u64 = 1 << 54;

/// What a use of a capability needs, in one word: kind in bits 56 to 63, whether it was derived in 55, whether it is being deleted
/// in 54, rights in 32 to 53, object number in 0 to 31. Zero is a free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapWord(pub(crate) u64);

impl CapWord {
    /// A free slot's.
    pub const FREE: CapWord = CapWord(0);

    #[inline(always)]
    pub(crate) fn new(kind: ObjectKind, rights: Rights, index: u32) -> CapWord {
        CapWord(((kind as u64) << KIND_SHIFT) | (u64::from(rights.bits()) << 32) | u64::from(index))
    }

    /// The kind of the object; `None` for a free slot.
    #[inline(always)]
    pub fn kind(self) -> Option<ObjectKind> {
        ObjectKind::from_number(self.0 >> KIND_SHIFT)
    }

    /// Whether the object is of a kind.
    #[inline(always)]
    pub fn is_of(self, kind: ObjectKind) -> bool {
        self.0 >> KIND_SHIFT == kind as u64
    }

    /// Whether the object is of one of these kinds, a bit each.
    #[inline(always)]
    pub(crate) fn is_one_of(self, kinds: u64) -> bool {
        kinds >> (self.0 >> KIND_SHIFT) & 1 != 0
    }

    /// The object's number among those of its kind.
    #[inline(always)]
    pub fn index(self) -> u32 {
        self.0 as u32
    }

    /// The same object with these rights.
    #[inline(always)]
    pub(crate) fn with(self, rights: Rights) -> CapWord {
        CapWord(self.0 & !RIGHTS_MASK | u64::from(rights.bits()) << 32)
    }

    /// The same of a capability that was derived from another one.
    #[inline(always)]
    pub(crate) fn derived(self) -> CapWord {
        CapWord(self.0 | DERIVED)
    }

    /// Whether the capability was derived from another one, so that what is done with it may be taken back.
    #[inline(always)]
    pub fn is_derived(self) -> bool {
        self.0 & DERIVED != 0
    }

    /// The same of a capability that is being deleted: it has no rights any more.
    #[inline(always)]
    pub(crate) fn closed(self) -> CapWord {
        CapWord(self.with(Rights::empty()).0 | self.0 & DERIVED | CLOSED)
    }

    /// Whether the capability is being deleted.
    #[inline(always)]
    pub(crate) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// The object's number, if the capability is for this kind and carries the rights.
    #[inline(always)]
    pub fn object(self, kind: ObjectKind, rights: Rights) -> Option<u32> {
        let needed = CapWord::new(kind, rights, 0).0;
        (self.0 & (needed | KIND_MASK) == needed).then_some(self.0 as u32)
    }

    /// Why the capability does not serve where one of this kind with these rights is asked for.
    pub fn refusal(self, kind: ObjectKind) -> Error {
        let is_kind = (self.0 & KIND_MASK) >> KIND_SHIFT == kind as u64;
        if is_kind { Error::MissingRight } else { Error::WrongObject }
    }

    pub(crate) fn rights(self) -> Rights {
        Rights::from_bits_truncate((self.0 >> 32) as u32 & 0xff_ffff)
    }
}

/// The half of a slot that the fast path reads.
#[derive(Debug)]
pub struct CapSlot {
    word: AtomicU64,
    /// What the switch reads: the slot's generation in the upper half; in the lower the number of the space plus one, if
    /// the capability lets its holder switch to one, else zero. So one look tells all.
    door: AtomicU64,
}

impl CapSlot {
    /// A slot that was never in use.
    #[inline(always)]
    pub(crate) fn new() -> CapSlot {
        CapSlot { word: AtomicU64::new(CapWord::FREE.0), door: AtomicU64::new(1 << 32) }
    }

    /// The generation of what is in the slot, or of what will be.
    #[inline(always)]
    pub(crate) fn generation(&self) -> u32 {
        (self.door.load(Ordering::Relaxed) >> 32) as u32
    }

    /// The word, whatever the generation.
    #[inline(always)]
    pub(crate) fn word(&self) -> CapWord {
        CapWord(self.word.load(Ordering::Relaxed))
    }

    /// Puts a capability into the slot, which is empty and has this number; gives the handle that names it.
    #[inline(always)]
    pub(crate) fn fill(&self, slot: u32, word: CapWord) -> Handle {
        let space = word.object(ObjectKind::Space, Rights::SWITCH).map_or(0, |space| u64::from(space) + 1);
        // Of an empty slot, it says no more than the generation.
        let door = self.door.load(Ordering::Relaxed);
        self.word.store(word.0, Ordering::Release);
        self.door.store(door | space, Ordering::Release);
        Handle::from_bits(door | u64::from(slot))
    }

    /// Lets nobody switch by the capability any more, which goes at once.
    pub(crate) fn close_door(&self) {
        self.door.store(u64::from(self.generation()) << 32, Ordering::Release);
    }

    /// Lets nobody do anything with the capability any more, which is about to go, and has this word and generation.
    #[inline(always)]
    pub(crate) fn close(&self, word: CapWord, generation: u32) {
        self.door.store(u64::from(generation) << 32, Ordering::Release);
        self.word.store(word.closed().0, Ordering::Release);
    }

    /// Takes that back: the capability has these rights.
    pub(crate) fn reopen(&self, rights: Rights) {
        let open = self.word().with(rights);
        let word = if self.word().is_derived() { open.derived() } else { open };
        let space = word.object(ObjectKind::Space, Rights::SWITCH).map_or(0, |space| u64::from(space) + 1);
        self.word.store(word.0, Ordering::Release);
        self.door.store(u64::from(self.generation()) << 32 | space, Ordering::Release);
    }

    /// Empties the slot; what is put in next has the next generation. Gives whether there is one.
    #[inline(always)]
    pub(crate) fn empty(&self) -> bool {
        let next = (self.door.load(Ordering::Relaxed) | u64::from(u32::MAX)).wrapping_add(1);
        let is_worn_out = next == 0;
        self.clear(if is_worn_out { u32::MAX } else { (next >> 32) as u32 });
        !is_worn_out
    }

    /// Empties the slot; what is put in next has this generation.
    #[inline(always)]
    pub(crate) fn clear(&self, generation: u32) {
        // The generation first, so that a reader on another CPU cannot see the old one with a new word.
        self.door.store(u64::from(generation) << 32, Ordering::Release);
        self.word.store(CapWord::FREE.0, Ordering::Release);
    }

    /// The number plus one of the space that the capability lets its holder switch to, zero if it does not, if the slot's
    /// generation is the handle's. Nothing else is read on the strength of it: the space's words are always there, and its
    /// passes are looked at for themselves.
    #[inline(always)]
    pub fn space_number(&self, generation: u32) -> Option<u32> {
        let door = self.door.load(Ordering::Relaxed);
        if (door >> 32) as u32 == generation { Some(door as u32) } else { None }
    }

    /// Whether what the switch reads says what the word says.
    pub(crate) fn is_coherent(&self) -> bool {
        let space = self.word().object(ObjectKind::Space, Rights::SWITCH);
        self.space_number(self.generation()) == Some(space.map_or(0, |space| space + 1))
    }

    /// Whether the slot's generation is the handle's, and its word is for an object of this kind and carries the rights: by one
    /// comparison.
    #[inline(always)]
    pub fn is_for(&self, word: CapWord, generation: u32, (kind, rights): (ObjectKind, Rights)) -> bool {
        let needed = CapWord::new(kind, rights, 0).0;
        let missing = (word.0 & (needed | KIND_MASK)) ^ needed;
        missing | u64::from(self.generation() ^ generation) == 0
    }

    /// The word, if the slot's generation is the handle's.
    ///
    /// Read without the lock, a word may be one that is taken away at this moment: then the use counts as one
    /// that came before. An object that goes altogether closes its own doors first (`SpaceWords::retire`).
    #[inline(always)]
    pub fn read(&self, generation: u32) -> Option<CapWord> {
        let word = self.word.load(Ordering::Acquire);
        (self.generation() == generation).then_some(CapWord(word))
    }
}
