//! Calls on capabilities themselves.

use tessera_abi::layout::{CapabilityInfo, Name};
use tessera_abi::syscall::number;
use tessera_abi::{Error, Handle, NAME_BYTES, Rights};

use super::{Caller, Outcome, Result};
use crate::base::effort::Effort;
use crate::cpu::per_cpu::PerCpu;
use crate::lifecycle::relatives::{self, Relatives};
use crate::object::derivation;
use crate::object::id::{CapId, ObjectRef, with_kinds};
use crate::sched::{deletion, way_in};
use crate::state::kernel::Kernel;

macro_rules! name_in {
    ([$kernel:expr, $object:ident] $($kind:ident $store:ident;)*) => {
        match $object {
            $(ObjectRef::$kind(id) => Some(&mut $kernel.$store[id].name),)*
            ObjectRef::Machine => None,
        }
    };
}

impl Caller<'_> {
    pub(super) fn capability_derive(&mut self, handle: Handle, rights: Rights, badge: u64) -> Result<u64> {
        let word = self.word_of(handle)?;
        if !word.rights().contains(rights) {
            return Err(Error::MissingRight);
        }
        let own = self.table();
        self.derive_into(CapId::at(own, handle.slot()), own, word.with(rights), badge)
    }

    pub(super) fn capability_copy(&mut self, handle: Handle, table: Handle, rights: Rights, badge: u64) -> Result<u64> {
        let word = self.word_of(handle)?;
        let table = self.cap_table(table, Rights::INSERT)?;
        if !word.rights().contains(rights | Rights::GRANT) {
            return Err(Error::MissingRight);
        }
        self.derive_into(CapId::at(self.table(), handle.slot()), table.index(), word.with(rights), badge)
    }

    #[inline(always)]
    pub(super) fn capability_delete(&mut self, handle: Handle) -> Result<Outcome> {
        let word = self.word_of(handle)?;
        let cap = CapId::at(self.table(), handle.slot());
        if way_in::leads_in(word) {
            return Ok(delete_way_in(self.kernel, self.line, cap));
        }
        deletion::delete_closed(self.kernel, cap);
        Ok(Outcome::Done(0))
    }

    pub(super) fn capability_info(&mut self, handle: Handle, buffer: u64) -> Result<Outcome> {
        let progress = self.progress(number::capability_info);
        let (cap, object, rights) = self.capability(handle)?;
        let (children, ancestor) = match relatives::relatives(self.kernel, self.thread, cap, progress) {
            Relatives::Known(children, parent) => (children, parent),
            Relatives::Counted(word) => return Ok(self.again(number::capability_info, word)),
        };
        let badge = derivation::record(&self.kernel.tables, cap).badge();
        let parent = ancestor.filter(|parent| parent.table() == self.table());
        let [name0, name1, name2, name3] = self.name_of(object).words();
        let info = CapabilityInfo {
            kind: object.kind() as u64,
            rights: u64::from(rights.bits()),
            badge,
            has_parent: u64::from(ancestor.is_some()),
            parent: parent
                .map_or(Handle::NONE, |parent| self.kernel.tables.at(self.table()).handle_of(parent.slot()))
                .bits(),
            children,
            object: u64::from(object.index()),
            references: u64::from(self.kernel.references(object)),
            name0,
            name1,
            name2,
            name3,
        };
        self.write(buffer, &info).map(|()| Outcome::Done(0))
    }

    pub(super) fn object_set_name(&mut self, handle: Handle, text: u64, length_bytes: u64) -> Result<u64> {
        let object = self.object(handle, Rights::CONTROL)?;
        let mut buffer = [0; NAME_BYTES];
        let name = Name::new(self.text(text, length_bytes, &mut buffer)?).ok_or(Error::BadText)?;
        *self.name_mut(object).ok_or(Error::WrongObject)? = name;
        Ok(0)
    }

    fn name_mut(&mut self, object: ObjectRef) -> Option<&mut Name> {
        with_kinds!(name_in self.kernel, object)
    }

    fn name_of(&mut self, object: ObjectRef) -> Name {
        self.name_mut(object).map_or(Name::EMPTY, |name| *name)
    }
}

/// Deletes a capability that leads into a space, a gate or a guest. It is closed as far as an entry's effort goes; if that is not all, the
/// call is made again. Not a method, so that the deletion of any other does not find out who calls.
#[cold]
#[inline(never)]
fn delete_way_in(kernel: &mut Kernel, line: &'static PerCpu, cap: CapId) -> Outcome {
    if !way_in::is_closed_at_once(kernel) {
        // Where the steps before have come stands in the capability.
        super::caller(kernel, line).progress(number::capability_delete);
    }
    let is_closed = way_in::close_way_in(kernel, cap, &mut Effort::of_entry());
    if !is_closed {
        super::caller(kernel, line).again(number::capability_delete, 1);
        return Outcome::Unfinished;
    }
    deletion::delete_closed(kernel, cap);
    Outcome::Done(0)
}
