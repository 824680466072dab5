//! Capabilities: putting one into a table, and deleting one or all of a table.

use tessera_abi::{Handle, Rights};

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::object::derivation;
use crate::object::id::{CapId, ObjectRef, TableId};
use crate::state::kernel::Kernel;

/// Effort of giving a capability up.
const CAPABILITY_UNITS: u32 = 20;

impl Kernel {
    /// Gives a capability up. Its children become its parent's.
    #[inline(always)]
    pub fn delete_capability(&mut self, cap: CapId) {
        if derivation::has_children(&self.tables, cap) {
            return self.delete_parent(cap);
        }
        let object = derivation::remove(&mut self.tables, cap);
        self.release_named(object);
    }

    /// The same for one with children. Out of the way of the others, all of it, so that they have all registers.
    #[cold]
    #[inline(never)]
    fn delete_parent(&mut self, cap: CapId) {
        derivation::hand_on_children(&mut self.tables, cap);
        let object = derivation::remove(&mut self.tables, cap);
        self.release_named(object);
    }

    /// Gives the capabilities of a table up, from the slot on at which that stopped last; gives whether it is through.
    pub fn empty_table(&mut self, table: TableId, effort: &mut Effort) -> bool {
        let mut next = core::mem::take(&mut self.tables[table].emptied).saturating_sub(1);
        if self.tables[table].used() == 0 {
            return true;
        }
        while let Some(slot) = self.tables[table].next_used(next) {
            if !effort.is_left() {
                self.tables[table].emptied = slot + 1 + u32::from(is_seeded(Mutant::EmptyingForgetsSlot));
                return false;
            }
            effort.spend(CAPABILITY_UNITS);
            next = slot + 1;
            let cap = CapId::new(table, slot);
            let parent = derivation::record(&self.tables, cap).parent;
            if parent.is_none_or(|parent| parent.table() != cap.table()) {
                self.delete_from_top(cap);
            }
        }
        true
    }

    /// Gives a capability up, and what was derived from it and lies in the same table: parents before children, so
    /// that a child is handed on once and not by each of its ancestors.
    fn delete_from_top(&mut self, top: CapId) {
        let mut waiting = None;
        let mut at = Some(top.slot());
        while let Some(slot) = at {
            let cap = top.beside(slot);
            let mut child = derivation::record(&self.tables, cap).first_child;
            while let Some(below) = child {
                if below.table() == top.table() {
                    waiting = Some(self.tables.at_mut(top.table()).chain(below.slot(), waiting));
                }
                child = derivation::record(&self.tables, below).next_sibling;
            }
            self.delete_capability(cap);
            at = waiting;
            waiting = at.and_then(|slot| self.tables.at_mut(top.table()).unchain(slot));
        }
    }

    /// Puts the first capability to a new object, which has one reference, into a table.
    #[inline(always)]
    pub fn insert_first(&mut self, table: TableId, object: ObjectRef) -> Handle {
        self.insert_with(table, object, Rights::all())
    }

    /// The same, with certain rights only.
    #[inline(always)]
    pub fn insert_with(&mut self, table: TableId, object: ObjectRef, rights: Rights) -> Handle {
        self.tables.at_mut(table.index()).insert(object, rights, 0)
    }
}
