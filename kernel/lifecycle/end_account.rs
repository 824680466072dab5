//! Ending an account: all that it pays for goes, whoever uses it. The last resort of whoever split it off.
//!
//! What an account pays for stands in a chain. Of the first in it everything is taken back, as by a revocation of all its
//! capabilities; then it goes, and the next is the first. An account that was split off gives its own chain up to this one
//! when nobody can charge it any more. So it is linear in what there is, and goes on where it was if it is begun anew.
//!
//! What no object is stays: pages of others' segments that the account paid for at first touch. Its budget is paid back when
//! the last of these goes.

use tessera_abi::Rights;
use tessera_abi::layout::ThreadState;

use crate::base::effort::Effort;
use crate::cpu::cap_word::CapWord;
use crate::lifecycle::revoke::{self, CAPABILITY_UNITS, Progress, Revoker};
use crate::object::derivation;
use crate::object::id::{AccountId, CapId, ObjectRef, ThreadId};
use crate::object::neighbour::Standing;
use crate::sched::looking::BEGUN;
use crate::sched::{deletion, ending, running};
use crate::state::kernel::Kernel;

/// Units of effort of letting an object go.
const OBJECT_UNITS: u32 = 10;
/// What ending a thread costs.
const THREAD_UNITS: u32 = 100;
/// Accounts that are looked at, at most, to find out whether one comes from another.
const DEPTH_MAX: usize = 1000;

/// Whether an account, or one that was split off from it, pays for a thread, its table, or the space that it is in. Where that
/// would take long to find out, it is said to.
pub fn pays_for(kernel: &Kernel, account: AccountId, thread: ThreadId) -> bool {
    let space = running::space_of(kernel, thread);
    let base = kernel.spaces[space].seen.map_or(space, |seen| seen.base);
    let caller = &kernel.threads[thread];
    let own = caller.table.map(ObjectRef::CapTable);
    let objects = [ObjectRef::Thread(thread), ObjectRef::Space(space), ObjectRef::Space(base)];
    objects.into_iter().chain(own).any(|object| pays_for_object(kernel, account, object))
        || caller.activations.is_some() && pays_for_gate_table(kernel, account, caller.cpu())
}

fn pays_for_object(kernel: &Kernel, account: AccountId, object: ObjectRef) -> bool {
    let mut payer = kernel.payer_of(object);
    for _ in 0..DEPTH_MAX {
        match payer {
            Some(id) if id == account => return true,
            Some(id) => payer = kernel.accounts[id].parent,
            None => return false,
        }
    }
    true
}

/// The same of the table that a CPU's thread uses: in a call, it is not its own.
#[cold]
#[inline(never)]
fn pays_for_gate_table(kernel: &Kernel, account: AccountId, cpu: usize) -> bool {
    let table = kernel.tables.id_at(kernel.shared.cpus[cpu].table_number());
    table.is_some_and(|table| pays_for_object(kernel, account, ObjectRef::CapTable(table)))
}

/// Ends an account, as far as an entry's effort goes; the caller's capability to it goes last.
pub fn end_account(kernel: &mut Kernel, (cpu, thread): (usize, ThreadId), account: AccountId, held: CapId) -> Progress {
    let (mut effort, by) = (Effort::of_entry(), Revoker { cpu, thread, from: None, badge: None, object: 0 });
    while let Some(object) = first_charged(kernel, account) {
        if !effort.is_left() {
            return Progress::Again(BEGUN);
        }
        if let ObjectRef::Space(space) = object {
            kernel.spaces[space].is_revoked = true;
        }
        match derivation::first_in_list(&kernel.uses, kernel.list_of(object)) {
            Some(Standing::Beginning(cap)) => {
                if !deletion::delete_within(kernel, cap, CAPABILITY_UNITS, &mut effort) {
                    return Progress::Again(BEGUN);
                }
            }
            Some(Standing::Use(id)) => {
                let by = Revoker { object: object.index(), ..by };
                if let Some(progress) = revoke::revoke_use(kernel, by, id, &mut effort) {
                    return progress;
                }
            }
            _ => let_go(kernel, account, object, &mut effort),
        }
    }
    take_capabilities(kernel, account, held, &mut effort)
}

/// The first of what an account pays for.
fn first_charged(kernel: &Kernel, account: AccountId) -> Option<ObjectRef> {
    let mut chains = kernel.accounts[account].charges();
    chains.find_map(|(kind, ends)| kernel.object_of(CapWord::new(kind, Rights::empty(), ends.first()?)))
}

/// Nothing is lent any more of what stands first in the chain: it goes when nothing else keeps it.
fn let_go(kernel: &mut Kernel, account: AccountId, object: ObjectRef, effort: &mut Effort) {
    effort.spend(OBJECT_UNITS);
    match object {
        ObjectRef::CapTable(table) => {
            let user = kernel.tables[table].threads.first(&kernel.threads);
            if let Some(user) = user {
                effort.spend(THREAD_UNITS);
                return ending::end_thread_within(kernel, user, ThreadState::Stopped, effort);
            }
        }
        ObjectRef::Account(other) => kernel.splice_charges(other.index(), account.index()),
        _ => {}
    }
    kernel.leave_charges(CapWord::new(object.kind(), Rights::empty(), object.index()));
}

/// Takes all capabilities to the account itself away, the caller's last.
fn take_capabilities(kernel: &mut Kernel, account: AccountId, held: CapId, effort: &mut Effort) -> Progress {
    loop {
        if !effort.is_left() {
            return Progress::Again(BEGUN);
        }
        let (tables, uses) = (&kernel.tables, &kernel.uses);
        let other = match derivation::first_in_list(uses, kernel.accounts.capabilities(account.index())) {
            Some(Standing::Beginning(cap)) if cap == held => derivation::beside(tables, uses, cap),
            Some(Standing::Beginning(cap)) => Some(cap),
            _ => None,
        };
        let is_gone = deletion::delete_within(kernel, other.unwrap_or(held), CAPABILITY_UNITS, effort);
        debug_assert!(is_gone, "nobody is inside an account");
        if other.is_none() {
            return Progress::Done;
        }
    }
}
