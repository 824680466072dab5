//! What the switch reads of a capability, in two words without the lock.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tessera_abi::{Error, ObjectKind, Rights};

const KIND_SHIFT: u32 = 56;
const KIND_MASK: u64 = 0xff << KIND_SHIFT;

/// What a use of a capability needs, in one word: kind in bits 56 to 63, rights in 32 to 55, object number in
/// 0 to 31. Zero is a free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotWord(pub(crate) u64);

impl HotWord {
    /// A free slot's.
    pub const FREE: HotWord = HotWord(0);

    pub(crate) fn new(kind: ObjectKind, rights: Rights, index: u32) -> HotWord {
        HotWord(((kind as u64) << KIND_SHIFT) | (u64::from(rights.bits()) << 32) | u64::from(index))
    }

    /// The object's number, if the capability is for this kind and carries the rights.
    #[inline(always)]
    pub fn object(self, kind: ObjectKind, rights: Rights) -> Option<u32> {
        let needed = HotWord::new(kind, rights, 0).0;
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
pub struct HotSlot {
    pub(crate) generation: AtomicU32,
    pub(crate) word: AtomicU64,
}

impl HotSlot {
    /// A slot that was never in use.
    #[inline(always)]
    pub(crate) fn new() -> HotSlot {
        HotSlot { generation: AtomicU32::new(1), word: AtomicU64::new(HotWord::FREE.0) }
    }

    /// The word, if the slot's generation is the handle's.
    ///
    /// Read without the lock, a word may be one that is taken away at this moment: then the use counts as one
    /// that came before. An object that goes altogether closes its own doors first (`SpaceWords::retire`).
    #[inline(always)]
    pub fn read(&self, generation: u32) -> Option<HotWord> {
        let word = self.word.load(Ordering::Acquire);
        (self.generation.load(Ordering::Relaxed) == generation).then_some(HotWord(word))
    }
}
