//! The kinds of kernel object a capability can name.

/// What a capability names. The numbers are part of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ObjectKind {
    /// A budget in bytes, to which everything is charged.
    Account = 1,
    /// An address space: root table, tag, mappings, attachments.
    Space = 2,
    /// A page-table subtree that can be attached to many spaces.
    Subtree = 3,
    /// Memory that can be mapped.
    Segment = 4,
    /// A thread of execution.
    Thread = 5,
    /// A capability table; the threads of one program share one.
    CapTable = 6,
    /// The machine as a whole: power, kernel self-checks, counters.
    Machine = 7,
}

impl ObjectKind {
    /// Every kind, in numeric order.
    pub const ALL: [ObjectKind; 7] = [
        ObjectKind::Account,
        ObjectKind::Space,
        ObjectKind::Subtree,
        ObjectKind::Segment,
        ObjectKind::Thread,
        ObjectKind::CapTable,
        ObjectKind::Machine,
    ];

    /// The kind with this number, if there is one.
    pub fn from_number(number: u64) -> Option<ObjectKind> {
        ObjectKind::ALL.into_iter().find(|kind| *kind as u64 == number)
    }
}
