//! Rights: what a capability permits.

use bitflags::bitflags;

bitflags! {
    /// A set of rights. One set serves all kinds of object; each kind uses its own part
    /// (the table in section 1 of `docs/architecture.md`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Rights: u32 {
        /// Read memory (segment), map or attach it readable (subtree).
        const READ = 1 << 0;
        /// Write memory (segment), attach it writable (subtree).
        const WRITE = 1 << 1;
        /// Execute memory (segment), attach it executable (subtree).
        const EXECUTE = 1 << 2;
        /// Change the mappings of a space or subtree, and write its memory from outside.
        const MAP = 1 << 3;
        /// Switch a thread into a space.
        const SWITCH = 1 << 4;
        /// Run a guest; have guests run in a space.
        const RUN = 1 << 5;
        /// Read a space's memory, mappings and figures from outside.
        const INSPECT = 1 << 6;
        /// Copy the capability into another table.
        const GRANT = 1 << 7;
        /// Name, configure, stop or destroy the object.
        const CONTROL = 1 << 8;
        /// Charge an account.
        const CHARGE = 1 << 9;
        /// Split a new account off an account.
        const SPLIT = 1 << 10;
        /// Read and write a thread's registers, start it.
        const REGISTERS = 1 << 11;
        /// Interrupt a guest.
        const KICK = 1 << 12;
        /// Insert capabilities into a capability table.
        const INSERT = 1 << 13;
        /// Send to an endpoint (later issue).
        const SEND = 1 << 14;
        /// Receive from an endpoint (later issue).
        const RECEIVE = 1 << 15;
        /// Signal a notification (later issue).
        const SIGNAL = 1 << 16;
        /// Wait for a notification or for a thread's end.
        const WAIT = 1 << 17;
        /// Call a gate.
        const CALL = 1 << 18;
    }
}

impl Rights {
    /// The three rights that concern access to memory.
    pub const ACCESS: Rights = Rights::READ.union(Rights::WRITE).union(Rights::EXECUTE);

    /// Readable and writable memory.
    pub const READ_WRITE: Rights = Rights::READ.union(Rights::WRITE);

    /// Readable and executable memory.
    pub const READ_EXECUTE: Rights = Rights::READ.union(Rights::EXECUTE);

    /// Whether both writing and executing are in the set, which no mapping may have.
    pub const fn is_write_execute(self) -> bool {
        self.contains(Rights::WRITE.union(Rights::EXECUTE))
    }
}

#[cfg(test)]
mod tests {
    use super::Rights;

    #[test]
    fn write_execute_needs_both() {
        assert!(Rights::ACCESS.is_write_execute());
        assert!(!Rights::READ_EXECUTE.is_write_execute());
        assert!(!Rights::READ_WRITE.is_write_execute());
    }
}
