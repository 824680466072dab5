//! References to objects of any kind.

use tessera_abi::ObjectKind;

use crate::object::account::Account;
use crate::object::cap_table::CapTable;
use crate::object::segment::Segment;
use crate::object::space::Space;
use crate::object::store::Id;
use crate::object::subtree::Subtree;
use crate::object::thread::Thread;

/// Names an object of whatever kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectRef {
    /// An account.
    Account(Id<Account>),
    /// A space.
    Space(Id<Space>),
    /// A subtree.
    Subtree(Id<Subtree>),
    /// A segment.
    Segment(Id<Segment>),
    /// A thread.
    Thread(Id<Thread>),
    /// A capability table.
    CapTable(Id<CapTable>),
    /// The machine, of which there is one.
    Machine,
}

impl ObjectRef {
    /// The object's kind.
    pub fn kind(self) -> ObjectKind {
        match self {
            ObjectRef::Account(_) => ObjectKind::Account,
            ObjectRef::Space(_) => ObjectKind::Space,
            ObjectRef::Subtree(_) => ObjectKind::Subtree,
            ObjectRef::Segment(_) => ObjectKind::Segment,
            ObjectRef::Thread(_) => ObjectKind::Thread,
            ObjectRef::CapTable(_) => ObjectKind::CapTable,
            ObjectRef::Machine => ObjectKind::Machine,
        }
    }

    /// The object's number among those of its kind.
    pub fn index(self) -> u32 {
        match self {
            ObjectRef::Account(id) => id.index(),
            ObjectRef::Space(id) => id.index(),
            ObjectRef::Subtree(id) => id.index(),
            ObjectRef::Segment(id) => id.index(),
            ObjectRef::Thread(id) => id.index(),
            ObjectRef::CapTable(id) => id.index(),
            ObjectRef::Machine => 0,
        }
    }
}
