//! References to objects: an object goes when nothing refers to it any more.

use tessera_abi::ObjectKind;

use crate::cpu::cap_word::HotWord;
use crate::object::id::ObjectRef;
use crate::state::kernel::Kernel;

/// Works on the store of the objects of one kind. The machine is in none; free slots name nothing.
macro_rules! in_store {
    ($kernel:expr, $kind:expr, $function:ident($($argument:expr),*)) => {
        match $kind {
            Some(ObjectKind::Account) => $kernel.accounts.$function($($argument),*),
            Some(ObjectKind::Space) => $kernel.spaces.$function($($argument),*),
            Some(ObjectKind::Subtree) => $kernel.subtrees.$function($($argument),*),
            Some(ObjectKind::Segment) => $kernel.segments.$function($($argument),*),
            Some(ObjectKind::Thread) => $kernel.threads.$function($($argument),*),
            Some(ObjectKind::CapTable) => $kernel.tables.$function($($argument),*),
            Some(ObjectKind::Machine) | None => {}
        }
    };
}

impl Kernel {
    /// Notes one more reference to the object that a capability names.
    #[inline(always)]
    pub fn retain_named(&mut self, word: HotWord) {
        in_store!(self, word.kind(), retain_at(word.index()));
    }

    /// Notes one reference less. What nothing refers to any more goes with the next `reap` (`kernel/lifecycle`).
    #[inline(always)]
    pub fn release_named(&mut self, word: HotWord) {
        in_store!(self, word.kind(), release_at(word.index()));
    }

    /// What a capability names, by its word.
    pub fn object_of(&self, word: HotWord) -> Option<ObjectRef> {
        let index = word.index();
        match word.kind()? {
            ObjectKind::Account => self.accounts.id_at(index).map(ObjectRef::Account),
            ObjectKind::Space => self.spaces.id_at(index).map(ObjectRef::Space),
            ObjectKind::Subtree => self.subtrees.id_at(index).map(ObjectRef::Subtree),
            ObjectKind::Segment => self.segments.id_at(index).map(ObjectRef::Segment),
            ObjectKind::Thread => self.threads.id_at(index).map(ObjectRef::Thread),
            ObjectKind::CapTable => self.tables.id_at(index).map(ObjectRef::CapTable),
            ObjectKind::Machine => Some(ObjectRef::Machine),
        }
    }

    /// How many references an object has.
    pub fn references(&self, object: ObjectRef) -> u32 {
        match object {
            ObjectRef::Account(id) => self.accounts.references(id),
            ObjectRef::Space(id) => self.spaces.references(id),
            ObjectRef::Subtree(id) => self.subtrees.references(id),
            ObjectRef::Segment(id) => self.segments.references(id),
            ObjectRef::Thread(id) => self.threads.references(id),
            ObjectRef::CapTable(id) => self.tables.references(id),
            ObjectRef::Machine => 1,
        }
    }
}
