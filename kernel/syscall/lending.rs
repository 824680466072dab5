//! Calls on what was lent through a capability.

use tessera_abi::layout::{LentInfo, LentKind, Words};
use tessera_abi::syscall::number;
use tessera_abi::{Error, Handle, ObjectKind, PAGE_BYTES, Rights};
use tessera_arch::{Access, CallResult};

use super::{Caller, Outcome, Result};
use crate::base::effort::Effort;
use crate::cpu::per_cpu::PerCpu;
use crate::lifecycle::end_account;
use crate::lifecycle::revoke::{self, Progress};
use crate::object::derivation;
use crate::object::id::{CapId, UseId};
use crate::object::neighbour::Standing;
use crate::object::use_pool::UseKind;
use crate::sched::{inside, looking, turn};
use crate::state::kernel::Kernel;
use crate::vm::target;
use crate::vm::user_memory::{UserSlice, write_structure};

/// The most that one `lent_list` tells.
const LIST_MAX: u64 = 64;
/// Units of effort that going past one thing in a list costs at most.
const ENTRY_UNITS: u32 = 12;

/// Serves `capability_revoke` without the caller's registers: takes back what nobody is moved or stopped by. Where there is
/// more, the common path goes on.
pub(super) fn revoke_quickly(kernel: &mut Kernel, line: &'static PerCpu, words: &[u64; 6]) -> CallResult {
    let (handle, caller) = (Handle::from_bits(words[0]), super::caller(kernel, line));
    // A call that is under way may have to be forgotten.
    if caller.kernel.threads.at(caller.thread.index()).progress.is_any() {
        return CallResult::COMMON;
    }
    if let Err(error) = caller.word_of(handle) {
        return CallResult { status: error.status(), value: 0 };
    }
    let cap = CapId::at(caller.table(), handle.slot());
    if revoke::revoke_unmoved(kernel, cap) { CallResult { status: 0, value: 0 } } else { CallResult::COMMON }
}

impl Caller<'_> {
    pub(super) fn capability_revoke(&mut self, handle: Handle) -> Result<Outcome> {
        self.revoke(number::capability_revoke, handle, None)
    }

    pub(super) fn capability_revoke_badge(&mut self, handle: Handle, badge: u64) -> Result<Outcome> {
        self.revoke(number::capability_revoke_badge, handle, Some(badge))
    }

    fn revoke(&mut self, call: u64, handle: Handle, badge: Option<u64>) -> Result<Outcome> {
        let word = self.progress(call);
        if word == 0 {
            // One that is left stands in another list, for another call.
            inside::forget_marker(self.kernel, self.thread);
        }
        self.word_of(handle)?;
        let from = CapId::at(self.table(), handle.slot());
        let progress = revoke::go_on(self.kernel, (self.cpu, self.thread), from, badge, word);
        Ok(self.outcome_of(call, progress))
    }

    /// Ends an account, with all that is charged to it and to those that were split off from it.
    pub(super) fn account_end(&mut self, account: Handle) -> Result<Outcome> {
        let id = self.account(account, Rights::CONTROL)?;
        if end_account::pays_for(self.kernel, id, self.thread) {
            return Err(Error::BadState);
        }
        let _ = self.progress(number::account_end);
        let handle = CapId::at(self.table(), account.slot());
        let progress = end_account::end_account(self.kernel, (self.cpu, self.thread), id, handle);
        Ok(self.outcome_of(number::account_end, progress))
    }

    /// How a call goes on that takes back.
    fn outcome_of(&mut self, call: u64, progress: Progress) -> Outcome {
        match progress {
            Progress::Done => Outcome::Done(0),
            Progress::Again(word) => self.again(call, word),
            Progress::Waits(wait) => {
                tessera_arch::restart_call();
                turn::wait_for_console(self.kernel, self.cpu, self.thread, wait);
                Outcome::Unfinished
            }
            Progress::Gone => Outcome::Unfinished,
        }
    }

    pub(super) fn lent_list(&mut self, handle: Handle, buffer: u64, capacity: u64, goes_on: u64) -> Result<Outcome> {
        self.word_of(handle)?;
        if goes_on > 1 {
            return Err(Error::BadArgument);
        }
        let from = CapId::at(self.table(), handle.slot());
        let capacity = capacity.min(LIST_MAX);
        let list = UserSlice::new(self.here(), buffer, capacity * LentInfo::BYTES as u64)?;
        list.fault_in(self.kernel, Access::Write)?;
        let word = self.progress(number::lent_list);
        let (is_new, left) = (word == 0 && goes_on == 0, Effort::of_entry().left());
        let begun = match is_new {
            true => Ok((inside::new_marker_below(self.kernel, self.thread, from), left)),
            false => looking::begin(self.kernel, self.thread, from, word, left),
        };
        let (marker, left) = match begun {
            Ok(begun) => begun,
            Err(word) => return Ok(self.again(number::lent_list, word)),
        };
        let (mut count, mut effort) = (0, Effort::of(left));
        while count < capacity && effort.is_left() {
            let standing = derivation::behind(&self.kernel.tables, &self.kernel.uses, marker);
            if let Standing::Use(other) = standing
                && self.kernel.uses.get(other).kind == UseKind::Marker
            {
                match looking::past(self.kernel, self.thread, marker, other, effort.left()) {
                    Ok(left) => effort = Effort::of(left),
                    // What was told is told; the next call looks past them anew.
                    Err(_) if count != 0 => break,
                    Err(word) => return Ok(self.again(number::lent_list, word)),
                }
                continue;
            }
            effort.spend(ENTRY_UNITS);
            if standing == Standing::End(from) {
                // Only who is told so knows that this is the end.
                if count == 0 {
                    inside::forget_marker(self.kernel, self.thread);
                    return Ok(Outcome::Done(0));
                }
                break;
            }
            derivation::pass(&mut self.kernel.tables, &mut self.kernel.uses, marker, standing);
            let Some(info) = describe(self.kernel, standing) else { continue };
            let here = self.here();
            let written = write_structure(self.kernel, here, buffer + count * LentInfo::BYTES as u64, &info);
            if written.is_err() {
                looking::end(self.kernel, self.thread, marker, effort.left());
                return written.map(|()| Outcome::Done(count));
            }
            count += 1;
        }
        // One that has just begun nobody has looked past.
        if !is_new {
            looking::end(self.kernel, self.thread, marker, effort.left());
        }
        // Ends alone may be so many that there is nothing to tell of them.
        let is_cut = count == 0 && capacity != 0;
        Ok(if is_cut { self.again(number::lent_list, looking::BEGUN) } else { Outcome::Done(count) })
    }
}

/// What stands in a list, as a program is told; nothing of ends, and of what is none of its business.
fn describe(kernel: &Kernel, standing: Standing) -> Option<LentInfo> {
    match standing {
        Standing::Beginning(cap) => {
            let rights = kernel.tables.at(cap.table()).rights(cap.slot());
            Some(LentInfo {
                kind: LentKind::Capability as u64,
                badge: derivation::record(&kernel.tables, cap).badge(),
                rights: u64::from(rights.bits()),
                holder_kind: ObjectKind::CapTable as u64,
                holder: u64::from(cap.table()),
                address: 0,
                length_bytes: 0,
            })
        }
        Standing::Use(id) => describe_use(kernel, id),
        Standing::End(_) => None,
    }
}

fn describe_use(kernel: &Kernel, id: UseId) -> Option<LentInfo> {
    let lent = kernel.uses.get(id);
    let owner = || target::owner_of(kernel, lent);
    let (kind, holder_kind) = match lent.kind {
        UseKind::Mapping | UseKind::Attachment => {
            let kind = if lent.kind == UseKind::Mapping { LentKind::Mapping } else { LentKind::Attachment };
            (kind, if lent.is_in_space() { ObjectKind::Space } else { ObjectKind::Subtree })
        }
        UseKind::View => (LentKind::View, ObjectKind::Space),
        UseKind::Inside => (LentKind::Thread, ObjectKind::Thread),
        UseKind::Fallback => (LentKind::Fallback, ObjectKind::Thread),
        UseKind::Gate => (LentKind::Gate, ObjectKind::Gate),
        UseKind::State => (LentKind::Guest, ObjectKind::Guest),
        UseKind::Suspended => (LentKind::Suspended, ObjectKind::Thread),
        UseKind::Called => (LentKind::Call, ObjectKind::Thread),
        UseKind::Handler => (LentKind::Handler, lent.object_kind()?),
        UseKind::Marker | UseKind::Object | UseKind::Free => return None,
    };
    let (address, length_bytes, rights) = match lent.kind {
        UseKind::Mapping => {
            let (first, mapping) = target::map_of(kernel, owner()?).find(lent.page())?;
            (first * PAGE_BYTES, mapping.pages * PAGE_BYTES, u64::from(mapping.rights.bits()))
        }
        UseKind::Attachment => (lent.attach_point().page * PAGE_BYTES, 0, 0),
        _ => (0, 0, 0),
    };
    let (badge, holder, holder_kind) = (lent.badge, u64::from(lent.number), holder_kind as u64);
    Some(LentInfo { kind: kind as u64, badge, rights, holder_kind, holder, address, length_bytes })
}
