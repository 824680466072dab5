//! Taking back what was lent through a capability: what was derived from it goes, and what was done with that is undone.
//!
//! It all stands between the capability's beginning and its end (`derivation`), so revoking takes out what stands first until
//! nothing does. Each thing taken out leaves every rule true: a revocation is cut anywhere, and one that is begun anew goes on
//! where it was. Whoever derives at the same time puts in one at a time, and loses.

use tessera_abi::layout::{FallbackReason, Name};
use tessera_arch::CPUS_MAX;

use crate::base::console::Wait;
use crate::base::effort::Effort;
use crate::base::log::{Word, log};
use crate::base::mutants::{Mutant, is_seeded};
use crate::object::derivation;
use crate::object::id::{CapId, ThreadId, UseId};
use crate::object::neighbour::Standing;
use crate::object::use_pool::{Use, UseKind};
use crate::sched::{
    activations, closing, deletion, ending, guests, handlers, inside, landing, looking, remote, running,
    way_in::{self, Closing},
};
use crate::state::kernel::Kernel;
use crate::vm::attach;
use crate::vm::taking_back;
use crate::vm::target;

/// Units of effort of deleting a capability: nothing of what that dooms is taken apart in the same entry.
pub(super) const CAPABILITY_UNITS: u32 = 12;
/// Of going past one thing that stays.
const STEP_UNITS: u32 = 10;
/// What undoing a use costs besides what it shows: a flush, or a thread's way to its fallback.
const USE_UNITS: u32 = 100;
/// About how long a line about a thread that has nowhere to land is, and what writing it takes.
const LINE_BYTES: u64 = 160;
const LINE_UNITS: u32 = 500;

/// How far a revocation came at this entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what is left is to be gone on with"]
pub enum Progress {
    /// Nothing is left.
    Done,
    /// Something is left; the call is to be made again, and to remember this.
    Again(u64),
    /// Likewise, but the caller waits for its turn on the console first.
    Waits(Wait),
    /// Nothing is left, and the caller went with it: it lands elsewhere, or has ended.
    Gone,
}

/// Who revokes.
#[derive(Clone, Copy, Debug)]
pub struct Revoker {
    /// The CPU.
    pub cpu: usize,
    /// The thread that is current there.
    pub thread: ThreadId,
    /// The capability below which things are taken back; none if it is not for the caller to go last.
    pub from: Option<CapId>,
    /// The badge that tells which, if not all.
    pub badge: Option<u64>,
    /// The number of the object that it is all about.
    pub object: u32,
}

/// Takes back what stands below a capability, all or what has a badge, as far as an entry's effort goes; told what the step before
/// remembers.
pub fn go_on(
    kernel: &mut Kernel,
    (cpu, thread): (usize, ThreadId),
    from: CapId,
    badge: Option<u64>,
    word: u64,
) -> Progress {
    let object = derivation::record(&kernel.tables, from).object.index();
    let (mut effort, by) = (Effort::of_entry(), Revoker { cpu, thread, from: Some(from), badge, object });
    match badge {
        None => revoke(kernel, by, from, &mut effort),
        Some(badge) => sweep(kernel, by, (from, badge), word, &mut effort),
    }
}

/// Takes back what stands below a capability while that is capabilities by which nobody is anywhere, and mappings, as far as
/// a quarter of an entry's effort goes; gives whether nothing is left.
#[inline(always)]
pub fn revoke_unmoved(kernel: &mut Kernel, from: CapId) -> bool {
    derivation::first_below(&kernel.tables, from).is_none() || revoke_some_unmoved(kernel, from)
}

#[inline(never)]
fn revoke_some_unmoved(kernel: &mut Kernel, from: CapId) -> bool {
    let mut effort = Effort::of_entry();
    // The common path has as much as any entry behind it.
    effort.spend(effort.left() / 4 * 3);
    while let Some(standing) = derivation::first_below(&kernel.tables, from) {
        match standing {
            _ if !effort.is_left() => return false,
            Standing::Beginning(child) if !way_in::is_way_in(kernel, child) => {
                effort.spend(CAPABILITY_UNITS);
                deletion::delete_closed(kernel, child);
            }
            Standing::Use(id) if kernel.uses.get(id).kind == UseKind::Mapping => {
                effort.spend(USE_UNITS);
                let lent = *kernel.uses.get(id);
                unmap_some(kernel, &lent, &mut effort);
            }
            _ => return false,
        }
    }
    true
}

/// Takes back what stands directly below a capability and has a badge, with all that is below that. A marker says how far
/// it came: in front of it is what has other badges.
fn sweep(kernel: &mut Kernel, by: Revoker, (from, badge): (CapId, u64), word: u64, effort: &mut Effort) -> Progress {
    let (marker, left) = match looking::begin(kernel, by.thread, from, word, effort.left()) {
        Ok(begun) => begun,
        Err(word) => return Progress::Again(word),
    };
    *effort = Effort::of(left);
    while effort.is_left() {
        let standing = derivation::behind(&kernel.tables, &kernel.uses, marker);
        let is_meant = match standing {
            Standing::End(_) => {
                inside::forget_marker(kernel, by.thread);
                return Progress::Done;
            }
            Standing::Beginning(child) => {
                derivation::record(&kernel.tables, child).badge() == badge || is_seeded(Mutant::BadgeIgnored)
            }
            Standing::Use(other) if kernel.uses.get(other).kind == UseKind::Marker => {
                match looking::past(kernel, by.thread, marker, other, effort.left()) {
                    Ok(left) => *effort = Effort::of(left),
                    Err(word) => return Progress::Again(word),
                }
                continue;
            }
            Standing::Use(id) => kernel.uses.get(id).badge == badge,
        };
        let progress = match standing {
            _ if !is_meant => {
                effort.spend(STEP_UNITS);
                derivation::move_behind(&mut kernel.tables, &mut kernel.uses, marker, standing);
                continue;
            }
            Standing::Use(id) => revoke_use(kernel, by, id, effort),
            Standing::Beginning(child) => revoke_some(kernel, by, child, effort),
            Standing::End(_) => None,
        };
        if let Some(progress) = progress {
            looking::end(kernel, by.thread, marker, effort.left());
            return progress;
        }
    }
    looking::end(kernel, by.thread, marker, effort.left());
    Progress::Again(looking::BEGUN)
}

/// Takes back all that stands below a capability, as far as the effort goes.
fn revoke(kernel: &mut Kernel, by: Revoker, cap: CapId, effort: &mut Effort) -> Progress {
    while let Some(standing) = derivation::first_below(&kernel.tables, cap) {
        if !effort.is_left() {
            return Progress::Again(looking::BEGUN);
        }
        if let Standing::Beginning(child) = standing {
            if way_in::is_way_in(kernel, child) {
                match revoke_way_in(kernel, by, (cap, child), effort) {
                    WayIn::Deleted => {}
                    WayIn::CallerGone => return Progress::Gone,
                    WayIn::Begun => return Progress::Again(looking::BEGUN),
                }
            } else {
                effort.spend(CAPABILITY_UNITS);
                deletion::delete_closed(kernel, child);
            }
        } else if let Standing::Use(id) = standing
            && let Some(progress) = revoke_use(kernel, by, id, effort)
        {
            return progress;
        }
    }
    Progress::Done
}

/// What became of a way in that was to be taken back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WayIn {
    Deleted,
    /// The caller went with it, and nothing is left.
    CallerGone,
    /// Some CPUs are to be asked still.
    Begun,
}

/// Takes a capability to a space or a gate back that stands first below another one. If it is the caller that is inside by it, and
/// nobody and nothing else is there, the caller lands at once: where it was need not be noted for that.
#[inline(never)]
fn revoke_way_in(kernel: &mut Kernel, by: Revoker, (from, child): (CapId, CapId), effort: &mut Effort) -> WayIn {
    effort.spend(CAPABILITY_UNITS);
    deletion::spend_on_way_in(kernel, effort);
    let Closing::Closed(inside) = way_in::close_to_others(kernel, child, effort) else {
        return WayIn::Begun;
    };
    let is_caller = inside.inspect(|id| debug_assert!(*id == by.thread)).is_some();
    // One that has ever made a gate call may be in one: then it comes out the long way.
    let may_be_in_call = || kernel.shared.cpus[by.cpu % CPUS_MAX].activations.get().has_room();
    let is_gone =
        is_caller && !may_be_in_call() && derivation::is_only_below(&kernel.tables, from, child) && land(kernel, by);
    if is_caller && !is_gone {
        way_in::note_here(kernel, by.thread);
    }
    deletion::delete_closed(kernel, child);
    if is_gone { WayIn::CallerGone } else { WayIn::Deleted }
}

/// Has the caller land, if it has a place for that.
fn land(kernel: &mut Kernel, by: Revoker) -> bool {
    let space = kernel.shared.cpus[by.cpu].presence.space();
    landing::landing_from(kernel, by.thread, space)
        .is_some_and(|fallback| landing::land_here(kernel, (by.cpu, by.thread), fallback, FallbackReason::SpaceRevoked))
}

/// Takes back what stands first below a capability that is to go itself, or else the capability. That is to be looked up anew
/// each time: a thread that is stopped may be its table's last one, and take it along.
fn revoke_some(kernel: &mut Kernel, by: Revoker, cap: CapId, effort: &mut Effort) -> Option<Progress> {
    match derivation::first_below(&kernel.tables, cap) {
        Some(Standing::Use(id)) => revoke_use(kernel, by, id, effort),
        Some(Standing::Beginning(below)) => delete(kernel, below, effort),
        _ => delete(kernel, cap, effort),
    }
}

fn delete(kernel: &mut Kernel, cap: CapId, effort: &mut Effort) -> Option<Progress> {
    let is_gone = deletion::delete_within(kernel, cap, CAPABILITY_UNITS, effort);
    (!is_gone).then_some(Progress::Again(looking::BEGUN))
}

/// Undoes a use that stands below a capability, or a part of it. Gives how the call goes on, if it does not go on here.
///
/// Effort is spent when something has been taken back, never for a look: a thread that was taken off its CPU to find out where
/// it is must be sent out in the same step, or it would run again before the next.
pub(super) fn revoke_use(kernel: &mut Kernel, by: Revoker, id: UseId, effort: &mut Effort) -> Option<Progress> {
    let lent = *kernel.uses.get(id);
    match lent.kind {
        UseKind::View => return revoke_view(kernel, by, id, effort),
        UseKind::Inside => return evict(kernel, by, (id, id), effort),
        UseKind::Called => return end_call(kernel, by, id, effort),
        UseKind::Suspended => activations::lose_space(kernel, thread_of(kernel, &lent), lent.level()),
        UseKind::Gate => return close_gate(kernel, lent.number, effort, by),
        UseKind::State => guests::close(kernel, lent.number, effort),
        UseKind::Mapping => unmap_some(kernel, &lent, effort),
        UseKind::Attachment => detach(kernel, &lent, by.object),
        UseKind::Fallback if is_seeded(Mutant::FallbackSurvives) => {
            derivation::take_back(&mut kernel.tables, &mut kernel.uses, id);
        }
        UseKind::Fallback => inside::set_fallback(kernel, thread_of(kernel, &lent), None),
        UseKind::Marker => inside::forget_marker(kernel, thread_of(kernel, &lent)),
        UseKind::Handler => handlers::end(kernel, &lent),
        UseKind::Object | UseKind::Free => unreachable!("what stands below a capability is lent"),
    }
    effort.spend(USE_UNITS);
    None
}

fn thread_of(kernel: &Kernel, lent: &Use) -> ThreadId {
    kernel.threads.id_at(lent.number).expect("a thread that ends gives up its uses")
}

/// Takes an attachment out. If its entry is in a table to which nothing leads any more, as what shows it is being taken apart,
/// only the subtree has it still.
fn detach(kernel: &mut Kernel, lent: &Use, subtree: u32) {
    let (owner, place) = (target::owner_of(kernel, lent).expect(SHOWN), lent.attach_point());
    if !attach::detach(kernel, owner, place) {
        let subtree = kernel.subtrees.id_at(subtree).expect(SHOWN);
        attach::forget_place(kernel, subtree, owner, place);
    }
}

/// Unmaps the first pages of a mapping; what is left stands where it stood.
fn unmap_some(kernel: &mut Kernel, lent: &Use, effort: &mut Effort) {
    let owner = target::owner_of(kernel, lent).expect(SHOWN);
    taking_back::unmap_some(kernel, owner, lent.page(), effort);
}

/// Takes back the first thing that stands in the list of a view, which is a use itself; if nothing does, the view is
/// nobody's any more, and goes. If the caller is in it, it goes when all else is done: it would take the caller along.
fn revoke_view(kernel: &mut Kernel, by: Revoker, lent: UseId, effort: &mut Effort) -> Option<Progress> {
    let view = kernel.uses.get(lent).number;
    if is_seeded(Mutant::ViewListForgotten) {
        kernel.spaces.at_mut(view).lent = None;
        derivation::take_back(&mut kernel.tables, &mut kernel.uses, lent);
        return None;
    }
    way_in::note_here(kernel, by.thread);
    let caller = &kernel.threads[by.thread];
    let own = caller.inside.filter(|_| caller.space.index() == view);
    let mut first = first_of_view(kernel, view, own);
    if first.is_none() {
        // Whoever runs in it may not be noted yet.
        if !close_view(kernel, view, effort) {
            return Some(Progress::Again(looking::BEGUN));
        }
        first = first_of_view(kernel, view, own);
    }
    match first {
        Some(Standing::Beginning(held)) => return delete(kernel, held, effort),
        Some(Standing::Use(id)) => {
            let of_view = *kernel.uses.get(id);
            match of_view.kind {
                UseKind::Inside => return evict(kernel, by, (lent, id), effort),
                UseKind::Suspended => {
                    activations::lose_space(kernel, thread_of(kernel, &of_view), of_view.level());
                }
                UseKind::Gate => return close_gate(kernel, of_view.number, effort, by),
                UseKind::Fallback => inside::set_fallback(kernel, thread_of(kernel, &of_view), None),
                UseKind::Marker => inside::forget_marker(kernel, thread_of(kernel, &of_view)),
                // A view of the view is lent by whoever lent that, and is taken back like it.
                _ => derivation::lend_like(&mut kernel.tables, &mut kernel.uses, id, lent),
            }
        }
        _ => {
            let progress = own.map(|own| evict(kernel, by, (lent, own), effort));
            if let Some(progress) = progress.filter(|progress| *progress != Some(Progress::Gone)) {
                return progress;
            }
            end_view(kernel, view, lent);
            effort.spend(USE_UNITS);
            return progress.flatten();
        }
    }
    effort.spend(USE_UNITS);
    None
}

/// What of a view is to be taken back next: last of all the capability that keeps the view, without which it would not be
/// revoked but destroyed, and before that the caller's own way in, if there is one.
fn first_of_view(kernel: &Kernel, view: u32, own: Option<UseId>) -> Option<Standing> {
    let (list, (id, _)) = (kernel.spaces.capabilities(view), kernel.spaces.look(view)?);
    let is_kept = kernel.spaces.references(id) == 1;
    let mut listed = derivation::listed(&kernel.tables, &kernel.uses, list);
    listed.find(|standing| match standing {
        Standing::Use(id) => Some(*id) != own,
        Standing::Beginning(_) => !is_kept,
        Standing::End(_) => false,
    })
}

/// Lets nobody into a view any more by the capability that keeps it, the only one left, and notes who came in by it, as far as the
/// effort goes; gives whether that was all. Who came in by others was noted when these went.
fn close_view(kernel: &mut Kernel, view: u32, effort: &mut Effort) -> bool {
    let list = kernel.spaces.capabilities(view);
    let last = derivation::listed(&kernel.tables, &kernel.uses, list)
        .find_map(|standing| if let Standing::Beginning(cap) = standing { Some(cap) } else { None });
    deletion::spend_on_way_in(kernel, effort);
    last.is_none_or(|last| way_in::close_way_in(kernel, last, effort))
}

/// Nobody has a view any more.
fn end_view(kernel: &mut Kernel, view: u32, lent: UseId) {
    // Somebody may just be on the way into it.
    kernel.spaces.at_mut(view).is_revoked = true;
    while let Some(Standing::Beginning(last)) =
        derivation::first_in_list(&kernel.uses, kernel.spaces.capabilities(view))
    {
        deletion::delete_capability(kernel, last);
    }
    kernel.spaces.at_mut(view).lent = None;
    derivation::take_back(&mut kernel.tables, &mut kernel.uses, lent);
}

/// Sends a thread elsewhere that is in a space by what is revoked. It is known by a use, which stands below the capability
/// itself or in the list of a view that does.
///
/// The caller goes last: there would be nobody to go on.
fn evict(
    kernel: &mut Kernel,
    by: Revoker,
    (standing, inside): (UseId, UseId),
    effort: &mut Effort,
) -> Option<Progress> {
    let id = thread_of(kernel, kernel.uses.get(inside));
    let (is_caller, cpu) = (id == by.thread, kernel.threads[id].cpu());
    if is_caller {
        if way_in::note_here(kernel, id) {
            return None;
        }
        let is_last = |from: &CapId| {
            derivation::is_last_below(&kernel.tables, *from, standing) || is_seeded(Mutant::CallerGoesFirst)
        };
        if let Some(from) = by.from.filter(|from| !is_last(from)) {
            // No effort is spent on that: two that revoke each other would step behind one another for ever.
            derivation::stand_last(&mut kernel.tables, &mut kernel.uses, from, standing, by.badge);
            return None;
        }
    } else if running::current(kernel, cpu) == Some(id) {
        // Where it is, its CPU must say. Then it is looked at again.
        remote::preempt_remote(kernel, cpu);
        return None;
    }
    let in_call = kernel.threads[id].depth() != 0;
    let landing = landing::landing(kernel, id);
    if landing.is_none() && !activations::comes_out(kernel, id) {
        let turn = kernel.threads[by.thread].console_turn();
        if let Err(wait) = kernel.shared.console.ensure_turn(turn, LINE_BYTES) {
            return Some(Progress::Waits(wait));
        }
        tell(kernel, id);
        effort.spend(LINE_UNITS);
    }
    effort.spend(USE_UNITS + running::place_units(kernel));
    let reason = FallbackReason::SpaceRevoked;
    let has_landed =
        is_caller && !in_call && landing.is_some_and(|there| landing::land_here(kernel, (by.cpu, id), there, reason));
    if !has_landed {
        ending::evict(kernel, id, landing, reason, effort);
    }
    is_caller.then_some(Progress::Gone)
}

/// Takes a thread out of a call that was made by what is revoked; one that has gone on from there comes out when it returns.
fn end_call(kernel: &mut Kernel, by: Revoker, called: UseId, effort: &mut Effort) -> Option<Progress> {
    let lent = *kernel.uses.get(called);
    let id = thread_of(kernel, &lent);
    let stack = kernel.threads[id].activations.as_ref().expect("who is in a call has activations");
    if lent.level() + 1 == stack.fast.depth() && !stack.fast.is_any_fresh() {
        return evict(kernel, by, (called, called), effort);
    }
    if id != by.thread && running::current(kernel, kernel.threads[id].cpu()) == Some(id) {
        remote::preempt_remote(kernel, kernel.threads[id].cpu());
        return None;
    }
    way_in::note_here(kernel, by.thread);
    if lent.level() + 1 != kernel.threads[id].depth() {
        activations::lose_call(kernel, id, lent.level());
        effort.spend(USE_UNITS);
    }
    None
}

/// Closes a gate that was made by what is revoked. The caller may go with it.
fn close_gate(kernel: &mut Kernel, gate: u32, effort: &mut Effort, by: Revoker) -> Option<Progress> {
    let is_closed = closing::close(kernel, gate, effort);
    effort.spend(USE_UNITS);
    if running::current(kernel, by.cpu) != Some(by.thread) {
        return Some(Progress::Gone);
    }
    (!is_closed).then_some(Progress::Again(looking::BEGUN))
}

/// Says of a thread that it ends, because it has nowhere to go.
fn tell(kernel: &Kernel, id: ThreadId) {
    let thread = &kernel.threads[id];
    let program = thread.table.map_or(Name::EMPTY, |table| kernel.tables[table].name);
    log!(
        kernel.shared.console,
        "revoked: program={} thread={} space={} : it falls back to no space, and is stopped",
        Word(program),
        Word(thread.name),
        Word(kernel.spaces[thread.space].name),
    );
}

const SHOWN: &str = "what is lent is shown where its use says";
