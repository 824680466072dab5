//! An object and its capabilities: the first one, the list of all, and the chain of what an account pays for.

use tessera_abi::{Handle, ObjectKind, Rights};

use crate::cpu::cap_word::CapWord;
use crate::object::charge_chain;
use crate::object::charged;
use crate::object::derivation;
use crate::object::id::{AccountId, CapId, Object, ObjectRef, TableId, UseId, with_kinds};
use crate::object::neighbour::Neighbour;
use crate::object::use_pool::Use;
use crate::state::kernel::Kernel;

macro_rules! set_list {
    ([$kernel:ident $object:ident $list:ident] $($kind:ident $store:ident;)*) => {
        match $object {
            $(ObjectRef::$kind(id) => $kernel.$store.set_capabilities(id.index(), $list),)*
            ObjectRef::Machine => $kernel.machine_list = $list,
        }
    };
}

macro_rules! payer {
    ([$kernel:ident $object:ident] $($kind:ident $store:ident;)*) => {
        match $object {
            $(ObjectRef::$kind(id) => $kernel.$store.at(id.index()).payer(),)*
            ObjectRef::Machine => None,
        }
    };
}

macro_rules! list {
    ([$kernel:ident $object:ident] $($kind:ident $store:ident;)*) => {
        match $object {
            $(ObjectRef::$kind(id) => $kernel.$store.capabilities(id.index()),)*
            ObjectRef::Machine => $kernel.machine_list,
        }
    };
}

macro_rules! link {
    ([$kernel:ident $object:ident $list:ident $payer:ident $behind:ident] $($kind:ident $store:ident;)*) => {
        match $object {
            $(ObjectRef::$kind(id) => {
                charge_chain::link(&mut $kernel.$store, (id.index(), $list), $payer, $behind);
            })*
            ObjectRef::Machine => {}
        }
    };
}

macro_rules! splice {
    ([$kernel:ident $kind_of:ident $into:ident $from_ends:ident $into_ends:ident] $($kind:ident $store:ident;)*) => {
        match $kind_of {
            $(ObjectKind::$kind => charge_chain::splice(&mut $kernel.$store, $into, $from_ends, $into_ends),)*
            ObjectKind::Machine => $into_ends,
        }
    };
}

macro_rules! unlink {
    ([$kernel:ident $object:ident] $($kind:ident $store:ident;)*) => {
        match $object.kind() {
            $(Some(ObjectKind::$kind) => {
                let left = charge_chain::unlink(&mut $kernel.$store, $object.index());
                left.settle(&mut $kernel.accounts, ObjectKind::$kind);
            })*
            Some(ObjectKind::Machine) | None => {}
        }
    };
}

impl Kernel {
    /// Puts the first capability to a new object, which has one reference, into a table.
    #[inline(always)]
    pub fn insert_first(&mut self, table: TableId, object: ObjectRef) -> Handle {
        self.insert_with(table, object, Rights::all())
    }

    /// The same, with certain rights only.
    #[inline(always)]
    pub fn insert_with(&mut self, table: TableId, object: ObjectRef, rights: Rights) -> Handle {
        let payer = self.payer_of(object);
        self.insert_paid(table.index(), object, (rights, payer.map(AccountId::index)))
    }

    /// The first capability, into the table with this number.
    #[inline(always)]
    pub fn insert_owned(&mut self, table: u32, object: ObjectRef) -> Handle {
        let payer = self.payer_of(object);
        self.insert_paid(table, object, (Rights::all(), payer.map(AccountId::index)))
    }

    /// The same, of an object whose payer's number is at hand.
    #[inline(always)]
    pub fn insert_paid(&mut self, table: u32, object: ObjectRef, (rights, payer): (Rights, Option<u32>)) -> Handle {
        let word = CapWord::new(object.kind(), rights, object.index());
        let (handle, list) = derivation::insert_first(&mut self.tables, &mut self.uses, table, word);
        match payer {
            Some(payer) => {
                let behind = self.accounts.at_mut(payer).charges_mut(object.kind()).put_first(object.index());
                with_kinds!(link self object list payer behind);
            }
            None => with_kinds!(set_list self object list),
        }
        handle
    }

    /// Notes what an object's list is.
    pub fn set_list(&mut self, word: CapWord, list: Neighbour) {
        if let Some(object) = self.object_of(word) {
            with_kinds!(set_list self object list);
        }
    }

    /// Sees that the object of a capability has a list, so that something can stand beside that.
    #[inline(always)]
    pub fn ensure_list(&mut self, cap: CapId) {
        if derivation::is_alone(&self.tables, cap) {
            self.make_list(cap);
        }
    }

    #[cold]
    #[inline(never)]
    fn make_list(&mut self, cap: CapId) {
        let object =
            self.object_of(derivation::record(&self.tables, cap).object).expect("a capability keeps its object");
        let list = derivation::make_list(&mut self.tables, &mut self.uses, cap);
        with_kinds!(set_list self object list);
    }

    /// Notes a use of a capability. The heap has a page.
    #[inline(always)]
    pub fn lend(&mut self, cap: CapId, value: Use) -> UseId {
        self.ensure_list(cap);
        derivation::lend(&mut self.tables, &mut self.uses, cap, value)
    }

    /// Notes what an account uses of an object of another one's, by its capability; or of its own, if the capability was
    /// derived. Else it cannot be taken back by itself: it ends with the object, or when who uses it wants. The heap has a
    /// page.
    #[inline(always)]
    pub fn note_use(&mut self, cap: CapId, [user, owner]: [AccountId; 2], value: Use) -> Option<UseId> {
        self.lend_derived_or(cap, value, |_| user != owner)
    }

    /// Notes a use of a capability that was derived, or for which else there is a reason.
    #[inline(always)]
    pub fn lend_derived_or(&mut self, cap: CapId, value: Use, is_lent: impl FnOnce(&Kernel) -> bool) -> Option<UseId> {
        if self.tables.at(cap.table()).is_derived(cap.slot()) {
            // It stands below another one, or in a list that was made when that went: it is never alone.
            return Some(derivation::lend(&mut self.tables, &mut self.uses, cap, value));
        }
        is_lent(self).then(|| self.lend_first(cap, value))
    }

    #[inline(never)]
    fn lend_first(&mut self, cap: CapId, value: Use) -> UseId {
        self.lend(cap, value)
    }

    /// Takes an object out of the chain of what its account pays for, if it is in it still.
    #[inline(always)]
    pub fn leave_charges(&mut self, object: CapWord) {
        with_kinds!(unlink self object);
    }

    /// Puts all that one account pays for among what another one does.
    pub fn splice_charges(&mut self, from: u32, into: u32) {
        for kind in charged::CHARGED {
            let from_ends = core::mem::replace(self.accounts.at_mut(from).charges_mut(kind), charged::Ends::EMPTY);
            let into_ends = *self.accounts.at_mut(into).charges_mut(kind);
            *self.accounts.at_mut(into).charges_mut(kind) = with_kinds!(splice self kind into from_ends into_ends);
        }
    }

    /// Who pays for an object.
    #[inline(always)]
    pub fn payer_of(&self, object: ObjectRef) -> Option<AccountId> {
        with_kinds!(payer self object)
    }

    /// Where the capabilities to an object are listed.
    pub fn list_of(&self, object: ObjectRef) -> Neighbour {
        with_kinds!(list self object)
    }
}
