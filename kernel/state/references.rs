//! References to objects: an object goes when nothing refers to it any more.

use tessera_abi::ObjectKind;

use crate::cpu::cap_word::CapWord;
use crate::object::id::{ObjectRef, with_kinds};
use crate::state::kernel::Kernel;

/// Works on the store of what a word names. The machine is in none; free slots name nothing.
macro_rules! in_store {
    ([$kernel:ident $word:ident $function:ident] $($kind:ident $store:ident;)*) => {
        match $word.kind() {
            $(Some(ObjectKind::$kind) => $kernel.$store.$function($word.index()),)*
            Some(ObjectKind::Machine) | None => {}
        }
    };
}

macro_rules! find {
    ([$kernel:ident $word:ident] $($kind:ident $store:ident;)*) => {
        match $word.kind()? {
            $(ObjectKind::$kind => $kernel.$store.id_at($word.index()).map(ObjectRef::$kind),)*
            ObjectKind::Machine => Some(ObjectRef::Machine),
        }
    };
}

macro_rules! count {
    ([$kernel:ident $object:ident] $($kind:ident $store:ident;)*) => {
        match $object {
            $(ObjectRef::$kind(id) => $kernel.$store.references(id),)*
            ObjectRef::Machine => 1,
        }
    };
}

impl Kernel {
    /// Notes one more reference to the object that a capability names.
    #[inline(always)]
    pub fn retain_named(&mut self, word: CapWord) {
        with_kinds!(in_store self word retain_at);
    }

    /// Notes one reference less. What nothing refers to any more goes with the next `reap` (`kernel/lifecycle`).
    #[inline(always)]
    pub fn release_named(&mut self, word: CapWord) {
        with_kinds!(in_store self word release_at);
    }

    /// What a capability names, by its word.
    pub fn object_of(&self, word: CapWord) -> Option<ObjectRef> {
        with_kinds!(find self word)
    }

    /// How many references an object has.
    pub fn references(&self, object: ObjectRef) -> u32 {
        with_kinds!(count self object)
    }
}
