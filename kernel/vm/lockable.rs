//! Mapping lockable segments: whole, once in a space, while nobody is inside, so that whoever is there later has taken the lock.

use alloc::boxed::Box;
use core::sync::atomic::{Ordering, fence};

use tessera_abi::{Error, Rights};

use crate::object::address_map::Mapping;
use crate::object::id::{MapTarget, Object, SpaceId};
use crate::object::lock::{Inside, Place, Taken};
use crate::object::space::SPACE_LOCKS_BYTES;
use crate::paging::range::PageRange;
use crate::sched::{locks, running};
use crate::state::kernel::Kernel;
use crate::vm::target;

/// Checks that a mapping of a lockable segment can be made, and sees that nobody enters the space without locks any more.
///
/// # Errors
/// `BadState` in a subtree, in a space that has views, or where it is mapped already; `BadArgument` if it is not mapped whole;
/// `Busy` if a thread is in the space; `LimitReached`, `AccountExhausted`, `OutOfMemory`.
pub fn begin(kernel: &mut Kernel, owner: MapTarget, mapping: &Mapping) -> Result<SpaceId, Error> {
    let MapTarget::Space(space) = owner else { return Err(Error::BadState) };
    let (object, segment) = (kernel.spaces.at(space.index()), kernel.segments.at(mapping.segment));
    let is_mapped = segment.lock.as_ref().is_some_and(|lock| lock.place_in(space).is_some());
    if is_mapped || !object.views.is_empty() {
        return Err(Error::BadState);
    }
    if mapping.offset != 0 || mapping.pages != segment.pages() {
        return Err(Error::BadArgument);
    }
    let has_room = object.locks.as_ref().is_none_or(|locks| locks.has_room());
    if !has_room || segment.lock.as_ref().is_some_and(|lock| !lock.has_room()) {
        return Err(Error::LimitReached);
    }
    take_locks(kernel, space)?;
    if is_anybody_inside(kernel, space) {
        locks::forget_if_over(kernel, space);
        return Err(Error::Busy);
    }
    Ok(space)
}

/// From here on nobody enters a space without its locks, of which there may be none so far.
fn take_locks(kernel: &mut Kernel, space: SpaceId) -> Result<(), Error> {
    let object = kernel.spaces.at(space.index());
    if object.locks.is_none() {
        kernel.accounts[object.account].ensure(SPACE_LOCKS_BYTES)?;
        kernel.reserve_heap(2)?;
        let object = kernel.spaces.at_mut(space.index());
        let (before, account) = (object.extra_bytes(), object.account);
        object.locks = Some(Box::default());
        let after = object.extra_bytes();
        kernel.adjust_charge(account, before, after);
    }
    kernel.shared.space_words(space.index()).set_takes_locks(true);
    Ok(())
}

/// Whether a thread is in a space, or on its way there without the kernel's lock: who is, sees that its pass is locked, or is seen.
fn is_anybody_inside(kernel: &Kernel, space: SpaceId) -> bool {
    fence(Ordering::SeqCst);
    let by_locks =
        kernel.spaces.at(space.index()).locks.as_ref().is_some_and(|locks| locks.inside != Inside::default());
    let is_there = kernel.shared.lines().iter().any(|line| line.presence.is_in(space.index()));
    by_locks || is_there || running::threads_in(kernel, space) != 0
}

/// Notes where a lockable segment was mapped just now.
pub fn note(kernel: &mut Kernel, space: SpaceId, first: u64, mapping: &Mapping) {
    let is_writable = mapping.rights.contains(Rights::WRITE);
    if let Some(lock) = &mut kernel.segments.at_mut(mapping.segment).lock {
        lock.add_place(Place { space, page: first, is_writable });
    }
    if let Some(locks) = &mut kernel.spaces.at_mut(space.index()).locks {
        locks.add(Taken { segment: mapping.segment, is_writable });
    }
}

/// Checks that no mapping of a lockable segment straddles an end of a range, at which it would have to be split.
///
/// # Errors
/// `BadState`.
pub fn ensure_unsplit(kernel: &Kernel, owner: MapTarget, range: PageRange) -> Result<(), Error> {
    let map = target::map_of(kernel, owner);
    let is_locked = |page: u64| {
        let straddling = map.find(page).filter(|(first, _)| *first < page);
        straddling.is_some_and(|(_, mapping)| kernel.segments.at(mapping.segment).lock.is_some())
    };
    if is_locked(range.first) || is_locked(range.end()) { Err(Error::BadState) } else { Ok(()) }
}
