//! What locks threads hold: counted when they take them, given up wherever they leave (`locking` takes them).

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::Error;
use tessera_abi::layout::ThreadState;

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::cpu::per_cpu::PerCpu;
use crate::object::activation_stack::Awaited;
use crate::object::address_map::AddressMap;
use crate::object::id::{Object, SpaceId, ThreadId};
use crate::object::links::Chain;
use crate::object::lock::{Held, LOCKS_MAX, PLACES_MAX, Taken};
use crate::sched::ready;
use crate::state::kernel::Kernel;

/// Effort of a look at a place where a segment is mapped.
const PLACE_UNITS: u32 = 12;

pub(super) const LOCKABLE: &str = "a segment whose lock is taken with a space has one";

/// Whether locks are to be seen to when a CPU's thread goes to a space: it takes some there, or gives some up.
#[inline(always)]
pub fn concern(kernel: &Kernel, line: &PerCpu, space: SpaceId) -> bool {
    let is_behind_locks = line.root.load(Relaxed) == kernel.shared.no_ground.load(Relaxed);
    is_behind_locks || kernel.shared.space_words(space.index()).takes_locks()
}

/// Whether a thread may hold locks, where it is or where it goes back to.
#[inline(always)]
pub fn may_hold(kernel: &Kernel, id: ThreadId) -> bool {
    let stack = kernel.threads.at(id.index()).activations.as_ref();
    stack.is_some_and(|stack| stack.held[..=stack.fast.depth()].iter().any(Option::is_some))
}

/// Checks that a space can be entered by other ways than a switch or a jump: these take no locks.
///
/// # Errors
/// `BadState`.
#[inline(always)]
pub fn ensure_none(kernel: &Kernel, space: SpaceId) -> Result<(), Error> {
    // One whose views have kept it from being like others again may take none.
    let takes_any = || kernel.spaces.at(kernel.seen_in(space).base.index()).locks.is_some();
    let takes_locks = kernel.shared.space_words(space.index()).takes_locks() && takes_any();
    if takes_locks { Err(Error::BadState) } else { Ok(()) }
}

/// The locks that are held with a space: the number of each segment, and whether its lock is held exclusively.
pub(super) fn locks_of(kernel: &Kernel, held: Held) -> [Option<(u32, bool)>; LOCKS_MAX] {
    let mut found = [None; LOCKS_MAX];
    if kernel.spaces.id_at(held.space.index()) != Some(held.space) {
        return found;
    }
    let Some(locks) = &kernel.spaces.at(held.space.index()).locks else { return found };
    for (taken, found) in locks.taken().iter().zip(&mut found) {
        *found = Some((taken.segment, taken.is_writable && held.writes));
    }
    found
}

/// A change of what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    On,
    Off,
}

/// Counts what a thread holds, or counts it no more.
pub(super) fn count(kernel: &mut Kernel, id: ThreadId, held: Option<Held>, change: Count) {
    let Some(held) = held else { return };
    for (segment, exclusively) in locks_of(kernel, held).into_iter().flatten() {
        let lock = kernel.segments.at_mut(segment).lock.as_mut().expect(LOCKABLE);
        match change {
            Count::On => lock.acquire(id, exclusively),
            Count::Off if exclusively && is_seeded(Mutant::LockKept) => {}
            Count::Off => lock.release(exclusively),
        }
    }
    if kernel.spaces.id_at(held.space.index()) != Some(held.space) {
        return;
    }
    if let Some(locks) = &mut kernel.spaces.at_mut(held.space.index()).locks {
        let count = locks.inside.count(held.writes);
        *count = if change == Count::On { *count + 1 } else { *count - 1 };
    }
}

/// What was held with a space is counted no more: whoever waits for it is seen to before the kernel is left.
pub(super) fn note_freed(kernel: &mut Kernel, held: Option<Held>) {
    let Some(held) = held else { return };
    for (segment, _) in locks_of(kernel, held).into_iter().flatten() {
        let is_awaited = kernel.segments.at(segment).lock.as_ref().is_some_and(|lock| !lock.waiting.is_empty());
        if is_awaited && !is_seeded(Mutant::LockWakesNobody) {
            kernel.segments.list_due(segment);
        }
    }
    forget_if_over(kernel, held.space);
}

/// A space with which no locks are taken any more, and nobody is inside by any, is one like others again.
pub fn forget_if_over(kernel: &mut Kernel, space: SpaceId) {
    if kernel.spaces.id_at(space.index()) != Some(space) {
        return;
    }
    let object = kernel.spaces.at_mut(space.index());
    if object.locks.as_ref().is_none_or(|locks| !locks.is_over()) {
        return;
    }
    let (before, account, has_views) = (object.extra_bytes(), object.account, !object.views.is_empty());
    object.locks = None;
    let after = object.extra_bytes();
    kernel.adjust_charge(account, before, after);
    if !has_views {
        kernel.shared.space_words(space.index()).set_takes_locks(false);
    }
}

/// A thread leaves where it is, or where it would have gone back to: it holds nothing there any more.
#[inline(always)]
pub fn leave(kernel: &mut Kernel, id: ThreadId, level: usize) {
    let stack = kernel.threads.at_mut(id.index()).activations.as_mut();
    if let Some(held) = stack.and_then(|stack| stack.held[level].take()) {
        leave_held(kernel, id, held);
    }
}

#[cold]
#[inline(never)]
fn leave_held(kernel: &mut Kernel, id: ThreadId, held: Held) {
    count(kernel, id, Some(held), Count::Off);
    note_freed(kernel, Some(held));
}

/// Takes a thread out of those that wait for a lock. If others can have it then, they get it before the kernel is left.
pub fn stop_waiting(kernel: &mut Kernel, id: ThreadId) {
    let Some(awaited) = leave_queue(kernel, id) else { return };
    kernel.segments.list_due(awaited.segment);
    if awaited.is_timed {
        kernel.scheduler.remove_sleeper(&mut kernel.threads, id);
    }
    kernel.threads.at_mut(id.index()).state = ThreadState::Ready;
}

pub(super) fn leave_queue(kernel: &mut Kernel, id: ThreadId) -> Option<Awaited> {
    let Kernel { segments, threads, .. } = kernel;
    let awaited = threads.at_mut(id.index()).activations.as_mut()?.awaited.take()?;
    let lock = segments.at_mut(awaited.segment).lock.as_mut().expect(LOCKABLE);
    lock.waiting.remove(threads, Chain::Queue, id);
    lock.waiting_count -= 1;
    Some(awaited)
}

/// The time is over until which a thread wanted to wait, which sleeps no more.
pub fn give_up(kernel: &mut Kernel, id: ThreadId) {
    if let Some(awaited) = leave_queue(kernel, id) {
        kernel.segments.list_due(awaited.segment);
        ready::finish_call(kernel, id, Err(Error::TimedOut));
    }
}

/// Forgets the spaces in which a segment is not mapped any more, with what was held there.
pub(super) fn forget_places(kernel: &mut Kernel, segment: u32, effort: &mut Effort) {
    let lock = kernel.segments.at_mut(segment).lock.as_mut();
    if !lock.is_some_and(|lock| core::mem::take(&mut lock.must_look)) {
        return;
    }
    let Some(lock) = &kernel.segments.at(segment).lock else { return };
    let mut gone = [None; PLACES_MAX];
    for (place, gone) in lock.places().zip(&mut gone) {
        let is_there = kernel.spaces.id_at(place.space.index()) == Some(place.space);
        let is_mapped = is_there && {
            let map = &kernel.spaces.at(place.space.index()).map;
            // What is mapped in steps is unmapped so, from the front.
            is_mapped(map, segment, place.page, kernel.segments.at(segment).pages())
        };
        *gone = (!is_mapped).then_some(place.space);
        effort.spend(PLACE_UNITS);
    }
    gone.into_iter().flatten().for_each(|space| forget_place(kernel, segment, space));
}

/// Whether the first mapping that ends after a page begins within so many pages, and is one of a segment.
pub fn is_mapped(map: &AddressMap, segment: u32, page: u64, pages: u64) -> bool {
    map.first_from(page).is_some_and(|(first, mapping)| first < page + pages && mapping.segment == segment)
}

/// A segment is not mapped in a space any more, or the space goes.
fn forget_place(kernel: &mut Kernel, segment: u32, space: SpaceId) {
    let is_there = kernel.spaces.id_at(space.index()) == Some(space);
    let locks = if is_there { kernel.spaces.at_mut(space.index()).locks.as_mut() } else { None };
    let inside = locks.map(|locks| {
        locks.remove(segment);
        locks.inside
    });
    if let Some(lock) = &mut kernel.segments.at_mut(segment).lock {
        lock.remove_place(space, inside.unwrap_or_default());
    }
    forget_if_over(kernel, space);
}

/// A space goes, in which nobody is any more: what those hold of its locks who would have come back to it, they hold no more.
pub fn forget_space(kernel: &mut Kernel, space: SpaceId) {
    let Some(locks) = kernel.spaces.at_mut(space.index()).locks.as_ref() else { return };
    let mut taken = [Taken::default(); LOCKS_MAX];
    let count = locks.taken().len();
    taken[..count].copy_from_slice(locks.taken());
    for Taken { segment, .. } in taken.into_iter().take(count) {
        forget_place(kernel, segment, space);
        kernel.segments.list_due(segment);
    }
    let object = kernel.spaces.at_mut(space.index());
    let (before, account) = (object.extra_bytes(), object.account);
    object.locks = None;
    let after = object.extra_bytes();
    kernel.adjust_charge(account, before, after);
}
