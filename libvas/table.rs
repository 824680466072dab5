//! Capability tables: what the handles of a program's threads mean.

use crate::call::perform;
use crate::{Account, Cap};
use tessera_abi::{Call, Error, Handle};

/// A capability table. The threads of one program share one; a handle is a slot number in it.
#[derive(Debug)]
pub enum CapTable {}

impl CapTable {
    /// Makes an empty table with room for `slots` capabilities, 1 to 65,536.
    ///
    /// ```no_run
    /// use libvas::{CapTable, Rights, program};
    ///
    /// let table = CapTable::new(program().account(), 16)?;
    /// // A program that used this table could name our space by `theirs`, and look at it only.
    /// let theirs = program().space().copy_into(&table, Rights::INSPECT, 0)?;
    /// # Ok::<(), libvas::Error>(())
    /// ```
    ///
    /// # Errors
    /// `MissingRight` (`CHARGE`), `BadArgument`, `AccountExhausted`, `OutOfMemory`, `TableFull` (the caller's).
    pub fn new(account: &Cap<Account>, slots: u64) -> Result<Cap<CapTable>, Error> {
        let bits = perform(Call::TableCreate { account: account.handle(), slots })?;
        Ok(Cap::from_handle(Handle::from_bits(bits)))
    }
}

impl Cap<CapTable> {
    /// Ends every thread that uses the table, which is what makes up a program, but for the caller itself; returns
    /// how many it ended.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`).
    pub fn stop_threads(&self) -> Result<u64, Error> {
        perform(Call::TableStopThreads { table: self.handle() })
    }
}
