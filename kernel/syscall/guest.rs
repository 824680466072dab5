//! Calls on guests.

use tessera_abi::guest::{GuestState, STEP};
use tessera_abi::layout::Name;
use tessera_abi::{Error, Handle, ObjectKind, PAGE_BYTES, Rights};
use tessera_arch::{CallResult, ThreadContext, table};

use super::{Caller, Outcome, Result};
use crate::base::mutants::{Mutant, is_seeded};
use crate::cpu::per_cpu::PerCpu;
use crate::object::guest::{GUEST_EXTRA_BYTES, Guest, Standing, StatePage};
use crate::object::id::{CapId, GuestId, ObjectRef};
use crate::object::use_pool::{Use, UseKind};
use crate::sched::guests::{self, Run};
use crate::sched::locks;
use crate::state::kernel::Kernel;

/// Heap pages that making a guest may take: its record, its registers, its capability's list, its use.
const HEAP_PAGES: u64 = 4;

/// Kicks a guest that does not run, which takes nobody off a CPU.
pub(super) fn kick_quickly(kernel: &mut Kernel, line: &'static PerCpu, words: &[u64; 6]) -> CallResult {
    let caller = super::caller(kernel, line);
    let Ok(id) = caller.guest(Handle::from_bits(words[0]), Rights::KICK) else { return CallResult::COMMON };
    let guest = caller.kernel.guests.at_mut(id.index());
    if !matches!(guest.standing, Standing::READY | Standing::KICKED) {
        return CallResult::COMMON;
    }
    if !is_seeded(Mutant::KickLost) {
        (guest.is_kicked, guest.standing) = (true, Standing::KICKED);
    }
    CallResult { status: 0, value: 0 }
}

impl Caller<'_> {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as every call")]
    pub(super) fn guest_state_bytes(&self) -> Result<u64> {
        Ok(GuestState::BYTES as u64)
    }

    pub(super) fn guest_create(&mut self, account: Handle, segment: Handle, offset: u64) -> Result<u64> {
        let account = self.account(account, Rights::CHARGE)?;
        let by = CapId::at(self.table(), segment.slot());
        let index = self.number_of(segment, ObjectKind::Segment, Rights::READ_WRITE)?;
        let segment = self.kernel.segments.id_at(index).ok_or(Error::BadHandle)?;
        if !offset.is_multiple_of(PAGE_BYTES) {
            return Err(Error::Misaligned);
        }
        let (page, object) = (offset / PAGE_BYTES, self.kernel.segments.at(index));
        if page >= object.pages() {
            return Err(Error::BadArgument);
        }
        let frame = object.frame(page).ok_or(Error::BadState)?;
        self.kernel.guests.ensure_room()?;
        self.kernel.ensure_object::<Guest>(account, GUEST_EXTRA_BYTES, 0)?;
        self.ensure_can_create(HEAP_PAGES)?;
        let guest = Guest {
            name: Name::EMPTY,
            account,
            context: ThreadContext::guest(table(frame)),
            state: None,
            standing: Standing::READY,
            runner: None,
            is_kicked: false,
            deadline_ns: u64::MAX,
            came: None,
        };
        self.kernel.charge(&guest);
        let id = self.kernel.guests.insert(guest);
        let lent = self.kernel.lend(by, Use::of_number(UseKind::State, id.index()));
        self.kernel.segments.retained(segment);
        self.kernel.guests.at_mut(id.index()).state = Some(StatePage { segment, lent, page, frame });
        let paid = (Rights::all(), Some(account.index()));
        Ok(self.kernel.insert_paid(self.table(), ObjectRef::Guest(id), paid).bits())
    }

    pub(super) fn guest_run(&mut self, guest: Handle, space: Handle, flags: u64, deadline_ns: u64) -> Result<Outcome> {
        let id = self.guest(guest, Rights::RUN)?;
        let into = self.space(space, Rights::RUN)?;
        if flags & !STEP != 0 {
            return Err(Error::BadArgument);
        }
        locks::ensure_none(self.kernel, into)?;
        let run = Run { guest: (id, guest), space: (into, space), steps: flags & STEP != 0, deadline_ns };
        // Once it runs, the thread's registers are the guest's.
        Ok(match guests::run(self.kernel, self.cpu, self.thread, run)? {
            Some(end) => Outcome::Done(end as u64),
            None => Outcome::Unfinished,
        })
    }

    pub(super) fn guest_kick(&mut self, guest: Handle) -> Result<u64> {
        let id = self.guest(guest, Rights::KICK)?;
        if self.kernel.guests.at(id.index()).state.is_none() {
            return Err(Error::Gone);
        }
        guests::kick(self.kernel, id);
        Ok(0)
    }

    /// The guest that a handle names, if it carries the rights.
    fn guest(&self, handle: Handle, needed: Rights) -> Result<GuestId> {
        let index = self.number_of(handle, ObjectKind::Guest, needed)?;
        self.kernel.guests.id_at(index).ok_or(Error::BadHandle)
    }
}
