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
    /// An entry point into a space, with the table and the stacks of those who come in.
    Gate = 8,
    /// Registers that a thread runs in a space, in the place of its own.
    Guest = 9,
}

impl ObjectKind {
    /// Every kind, in numeric order.
    pub const ALL: [ObjectKind; 9] = [
        ObjectKind::Account,
        ObjectKind::Space,
        ObjectKind::Subtree,
        ObjectKind::Segment,
        ObjectKind::Thread,
        ObjectKind::CapTable,
        ObjectKind::Machine,
        ObjectKind::Gate,
        ObjectKind::Guest,
    ];

    /// The kind with this number, if there is one.
    #[inline]
    pub const fn from_number(number: u64) -> Option<ObjectKind> {
        Some(match number {
            1 => ObjectKind::Account,
            2 => ObjectKind::Space,
            3 => ObjectKind::Subtree,
            4 => ObjectKind::Segment,
            5 => ObjectKind::Thread,
            6 => ObjectKind::CapTable,
            7 => ObjectKind::Machine,
            8 => ObjectKind::Gate,
            9 => ObjectKind::Guest,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ObjectKind;

    #[test]
    fn every_kind_is_found_by_its_number_and_nothing_else_is() {
        for number in 0..1 << 10 {
            let due = ObjectKind::ALL.into_iter().find(|kind| *kind as u64 == number);
            assert_eq!(ObjectKind::from_number(number), due);
        }
    }
}
