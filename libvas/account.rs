//! Accounts: budgets in bytes to which everything is charged.

use crate::Cap;
use crate::call::{fill_in, perform};
use tessera_abi::layout::AccountInfo;
use tessera_abi::{Call, Error, Handle};

/// A budget in bytes. Every frame, page table and kernel object is charged to one, and credited when it goes.
#[derive(Debug)]
pub enum Account {}

impl Cap<Account> {
    /// Splits a budget of `bytes` off; it returns when the new account goes.
    ///
    /// ```no_run
    /// use libvas::{Error, Segment, program};
    ///
    /// let small = program().account().split(64 * 1024)?;
    /// assert_eq!(Segment::new(&small, 1 << 20).err(), Some(Error::AccountExhausted));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// `MissingRight` (`SPLIT`), `AccountExhausted`, `OutOfMemory`, `TableFull`.
    pub fn split(&self, bytes: u64) -> Result<Cap<Account>, Error> {
        let bits = perform(Call::AccountCreate { account: self.handle(), bytes })?;
        Ok(Cap::from_handle(Handle::from_bits(bits)))
    }

    /// Budget and use, bytes.
    ///
    /// # Errors
    /// `MissingRight` (`CHARGE` or `CONTROL`).
    pub fn info(&self) -> Result<AccountInfo, Error> {
        let account = self.handle();
        fill_in(|buffer| Call::AccountInfo { account, buffer }).map(|(info, _)| info)
    }

    /// Ends the account: all that is charged to it and to what was split off from it goes, whoever holds or uses it.
    ///
    /// # Errors
    /// `MissingRight` (`CONTROL`), `BadState` if it pays for this thread, its table or the space that it is in.
    pub fn end(self) -> Result<(), Error> {
        perform(Call::AccountEnd { account: self.handle() }).map(|_| ())
    }

    /// What can still be charged, bytes.
    ///
    /// # Errors
    /// As [`Cap::<Account>::info`].
    pub fn available_bytes(&self) -> Result<u64, Error> {
        let info = self.info()?;
        Ok(info.limit_bytes.saturating_sub(info.used_bytes))
    }
}
