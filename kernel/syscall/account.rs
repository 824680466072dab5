//! Calls on accounts.

use tessera_abi::layout::AccountInfo;
use tessera_abi::{Error, Handle, Rights};

use super::{Caller, Result};
use crate::object::account::Account;
use crate::object::id::ObjectRef;

impl Caller<'_> {
    pub(super) fn account_create(&mut self, account: Handle, bytes: u64) -> Result<u64> {
        let (parent, payer) = self.payer(account, Rights::SPLIT)?;
        self.kernel.accounts.ensure_room()?;
        payer.ensure_object::<Account>(bytes)?;
        self.ensure_can_create(0)?;
        self.kernel.charge_object::<Account>(parent, bytes);
        let id = self.kernel.accounts.insert(Account::new(bytes, Some(parent)));
        Ok(self.kernel.insert_first(self.table, ObjectRef::Account(id)).bits())
    }

    pub(super) fn account_info(&mut self, account: Handle, buffer: u64) -> Result<u64> {
        let (_, object, rights) = self.capability(account)?;
        let ObjectRef::Account(id) = object else { return Err(Error::WrongObject) };
        if !rights.intersects(Rights::CHARGE | Rights::CONTROL) {
            return Err(Error::MissingRight);
        }
        let account = &self.kernel.accounts[id];
        let info = AccountInfo { limit_bytes: account.limit_bytes(), used_bytes: account.used_bytes() };
        self.write(buffer, &info).map(|()| 0)
    }
}
