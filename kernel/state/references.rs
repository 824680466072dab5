//! References to objects: an object goes when nothing refers to it any more. And the lists of those that are going.

use tessera_abi::ObjectKind;

use crate::cpu::cap_word::CapWord;
use crate::object::doomed::Debt;
use crate::object::id::{ObjectRef, ThreadId, with_kinds};
use crate::object::neighbour::Neighbour;
use crate::object::progress::Progress;
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

macro_rules! join {
    ([$kernel:ident $last:ident $next:ident] $($kind:ident $store:ident;)*) => {
        match $last.kind() {
            $(Some(ObjectKind::$kind) => $kernel.$store.join_due($last.index(), $next),)*
            Some(ObjectKind::Machine) | None => {}
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

    /// Notes one reference less. What nothing refers to any more is put on the list of debts.
    #[inline(always)]
    pub fn release_named(&mut self, word: CapWord) {
        with_kinds!(in_store self word release_at);
    }

    /// The same, with the object's only capability.
    #[inline(always)]
    pub fn release_last_named(&mut self, word: CapWord) {
        with_kinds!(in_store self word release_last_at);
        if word.kind() == Some(ObjectKind::Machine) {
            self.machine_list = Neighbour::NOBODY;
        }
    }

    /// The same, with an object's only capability, below which others stood: they are in this list now.
    #[cold]
    #[inline(never)]
    pub fn release_listed(&mut self, word: CapWord, list: Neighbour) {
        self.set_list(word, list);
        self.release_named(word);
    }

    /// What a capability names, by its word.
    pub fn object_of(&self, word: CapWord) -> Option<ObjectRef> {
        with_kinds!(find self word)
    }

    /// One list of debts of two.
    pub fn join_debts(&mut self, front: Debt, behind: Debt) -> Debt {
        if front.is_none() || behind.is_none() {
            return if front.is_none() { behind } else { front };
        }
        let (last, next) = (front.last(), behind.first());
        with_kinds!(join self last next);
        Debt::new(front.first(), behind.last())
    }

    /// Nobody owes this debt any more.
    pub fn leave_unowed(&mut self, debt: Debt) {
        self.unowed = self.join_debts(debt, self.unowed);
        self.debts.note_unowed(!self.unowed.is_none());
    }

    /// How many references an object has.
    pub fn references(&self, object: ObjectRef) -> u32 {
        with_kinds!(count self object)
    }

    /// Forgets the call that a thread was making step by step. What it has done stays done; an object that it was making goes.
    pub fn abandon_call(&mut self, id: ThreadId) {
        let progress = core::mem::replace(&mut self.threads[id].progress, Progress::NONE);
        match progress.making() {
            Some((ObjectKind::Segment, index)) => self.segments.release_at(index),
            Some((ObjectKind::CapTable, index)) => self.tables.release_at(index),
            _ => {}
        }
    }
}
