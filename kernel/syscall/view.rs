//! Calls on views.

use tessera_abi::{Error, Handle, ObjectKind, Rights};

use super::{Caller, Result};
use crate::object::id::ObjectRef;
use crate::object::space::{Space, VIEW_BYTES, ViewOf};
use crate::state::charges::ensure_frames;
use crate::state::kernel::Kernel;
use crate::state::memory::reserve_heap;
use crate::vm::view;

impl Caller<'_> {
    pub(super) fn view_create(&mut self, account: Handle, space: Handle, bounds: Rights) -> Result<u64> {
        let payer_number = self.number_of(account, ObjectKind::Account, Rights::CHARGE)?;
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
        let own = self.table();
        let Kernel { accounts, tables, spaces, frames, .. } = &mut *self.kernel;
        spaces.ensure_room()?;
        let mut payer = accounts.open(payer_number).ok_or(Error::BadHandle)?;
        ensure_frames(frames, 1)?;
        tables.at(own).ensure_slot()?;
        reserve_heap(frames, 2)?;
        payer.try_charge_object::<Space>(Space::NEW_BYTES + VIEW_BYTES)?;
        let account = payer.id;
        let view = view::make_paid_view(self.kernel, account, seen, through);
        let paid = (held - Rights::MAP, Some(payer_number));
        Ok(self.kernel.insert_paid(own, ObjectRef::Space(view), paid).bits())
    }
}
