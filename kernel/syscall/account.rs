//! Calls on accounts.

use tessera_abi::layout::AccountInfo;
use tessera_abi::{Error, Handle, ObjectKind, Rights};

use super::{Caller, Result};
use crate::object::account::Account;
use crate::object::id::ObjectRef;
use crate::state::kernel::Kernel;
use crate::state::memory::reserve_heap;

impl Caller<'_> {
    pub(super) fn account_create(&mut self, account: Handle, bytes: u64) -> Result<u64> {
        let payer = self.number_of(account, ObjectKind::Account, Rights::SPLIT)?;
        let own = self.table();
        let Kernel { accounts, tables, frames, .. } = &mut *self.kernel;
        accounts.ensure_room()?;
        let mut payer = accounts.open(payer).ok_or(Error::BadHandle)?;
        payer.object.ensure_object::<Account>(bytes)?;
        tables.at(own).ensure_slot()?;
        reserve_heap(frames, 0)?;
        payer.charge_object::<Account>(bytes);
        let parent = payer.id;
        let id = accounts.insert_boxed(Account::boxed(bytes, Some(parent)));
        let payer = (Rights::all(), Some(parent.index()));
        let handle = self.kernel.insert_paid(self.table(), ObjectRef::Account(id), payer);
        Ok(handle.bits())
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
