//! References to objects: an object goes when nothing refers to it any more.

use crate::object::id::ObjectRef;
use crate::state::kernel::Kernel;

impl Kernel {
    /// Notes one more reference to an object.
    #[inline(always)]
    pub fn retain(&mut self, object: ObjectRef) {
        match object {
            ObjectRef::Account(id) => self.accounts.retain(id),
            ObjectRef::Space(id) => self.spaces.retain(id),
            ObjectRef::Subtree(id) => self.subtrees.retain(id),
            ObjectRef::Segment(id) => self.segments.retain(id),
            ObjectRef::Thread(id) => self.threads.retain(id),
            ObjectRef::CapTable(id) => self.tables.retain(id),
            ObjectRef::Machine => {}
        }
    }

    /// Notes one reference less. What nothing refers to any more goes with the next `reap` (`kernel/lifecycle`).
    #[inline]
    pub fn release(&mut self, object: ObjectRef) {
        match object {
            ObjectRef::Account(id) => self.accounts.release(id),
            ObjectRef::Space(id) => self.spaces.release(id),
            ObjectRef::Subtree(id) => self.subtrees.release(id),
            ObjectRef::Segment(id) => self.segments.release(id),
            ObjectRef::Thread(id) => self.threads.release(id),
            ObjectRef::CapTable(id) => self.tables.release(id),
            ObjectRef::Machine => {}
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
