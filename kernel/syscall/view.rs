//! Calls on views.

use tessera_abi::{Error, Handle, Rights};

use super::{Caller, Result};
use crate::object::id::ObjectRef;
use crate::object::space::{Space, VIEW_BYTES, ViewOf};
use crate::vm::view;

impl Caller<'_> {
    pub(super) fn view_create(&mut self, account: Handle, space: Handle, bounds: Rights) -> Result<u64> {
        let account = self.account(account, Rights::CHARGE)?;
        let (through, object, held) = self.capability(space)?;
        let ObjectRef::Space(space) = object else { return Err(Error::WrongObject) };
        if !held.contains(Rights::INSPECT) {
            return Err(Error::MissingRight);
        }
        if !bounds.contains(Rights::READ) || !Rights::ACCESS.contains(bounds) {
            return Err(Error::BadArgument);
        }
        let seen = self.kernel.seen_in(space);
        let seen = ViewOf { bounds: seen.bounds & bounds, ..seen };
        self.kernel.spaces.ensure_room()?;
        self.kernel.ensure_object::<Space>(account, Space::NEW_BYTES + VIEW_BYTES, 1)?;
        self.ensure_can_create(2)?;
        let view = view::make_view(self.kernel, account, seen, through);
        let paid = (held - Rights::MAP, Some(account.index()));
        Ok(self.kernel.insert_paid(self.table, ObjectRef::Space(view), paid).bits())
    }
}
