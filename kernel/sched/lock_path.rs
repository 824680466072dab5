//! `space_switch` into a space that takes locks, and out of it, in the usual case: they are free, and nobody waits for them. Behind the
//! kernel's lock, with the thread's registers where they are.
//!
//! What stands in the way sends the call to the common path (`sched::locking`), which does the same, waits, or refuses.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::Handle;
use tessera_arch::{CallResult, Frame, UserPlace};

use crate::base::mutants::{Mutant, is_seeded};
use crate::cpu::per_cpu::{PerCpu, Shared};
use crate::cpu::switch;
use crate::object::id::ThreadId;
use crate::object::lock::{Held, Taken};
use crate::object::segment::Segment;
use crate::object::store::Store;
use crate::sched::locks::LOCKABLE;
use crate::state::kernel::Kernel;

/// The space to which a switch of a CPU's thread by this handle leads, if it is into or out of one that takes locks: only then is it
/// worth a look.
#[inline(always)]
pub fn goal(shared: &Shared, line: &PerCpu, handle: Handle) -> Option<u32> {
    let slot = line.table.get().slots.get(handle.slot())?;
    let number = slot.space_number(handle.generation())?;
    let is_behind_locks = line.root.load(Relaxed) == shared.no_ground.load(Relaxed);
    let is_concerned = is_behind_locks || line.numbered_pass(number).read().is_locked();
    is_concerned.then_some(number.wrapping_sub(1))
}

/// Switches the calling CPU's space to the one with this number, which a handle names, with its locks.
#[inline(always)]
pub fn switch(kernel: &mut Kernel, line: &PerCpu, (space, handle): (u32, Handle), place: UserPlace) -> CallResult {
    match try_switch(kernel, line, (space, handle), place) {
        Some(value) => CallResult { status: 0, value },
        None => CallResult::COMMON,
    }
}

#[inline(always)]
fn try_switch(kernel: &mut Kernel, line: &PerCpu, (space, handle): (u32, Handle), place: UserPlace) -> Option<u64> {
    let pass = line.pass_to(space).read();
    let is_locked = pass.is_locked();
    if !is_locked && !pass.is_good() {
        return None;
    }
    let own_root = line.pass_to(line.presence.space()).read().root();
    let [from, to] = [own_root, pass.root()].map(Frame::from_word);
    let stack = line.activations.get();
    let is_shared = switch::is_ground_shared(from, to, place.instruction_pointer, place.stack_pointer);
    if !is_shared || !stack.has_room() || stack.is_any_fresh() {
        return None;
    }
    let Kernel { spaces, segments, threads, .. } = &mut *kernel;
    let (thread, level) = (threads.open(stack.thread())?, stack.depth());
    let held = &mut thread.object.activations.as_mut()?.held[level];
    if is_locked {
        let id = spaces.id_at(space)?;
        // From one space with locks to another goes the common path, and so does a view.
        let locks = spaces.at_mut(space).locks.as_mut().filter(|_| held.is_none())?;
        take(segments, thread.id, locks.taken())?;
        locks.inside.writing += 1;
        *held = Some(Held { space: id, writes: true });
    } else {
        let before = (*held)?;
        let locks = spaces.at_mut(before.space.index()).locks.as_mut()?;
        give_up(segments, locks.taken(), before)?;
        *locks.inside.count(before.writes) -= 1;
        *held = None;
    }
    let ground = if is_locked { kernel.shared.no_ground.load(Relaxed) } else { pass.root() };
    line.presence.stay(space);
    line.root.store(ground, Relaxed);
    let value = line.entered_by.load(Relaxed);
    line.entered_by.store(handle.bits(), Relaxed);
    line.counters.count_switch(tessera_arch::load_root(pass.word_behind_locks()));
    Some(value)
}

/// Takes locks that are free and that nobody waits for: all or none.
#[inline(always)]
fn take(segments: &mut Store<Segment>, id: ThreadId, taken: &[Taken]) -> Option<()> {
    for lock in taken {
        let own = segments.at(lock.segment).lock.as_ref().expect(LOCKABLE);
        if !own.waiting.is_empty() || !own.is_free(lock.is_writable) {
            return None;
        }
    }
    for lock in taken {
        segments.at_mut(lock.segment).lock.as_mut().expect(LOCKABLE).acquire(id, lock.is_writable);
    }
    Some(())
}

/// Gives locks up that nobody waits for: all or none. Of a space that has none any more, the common path sees to the rest.
#[inline(always)]
fn give_up(segments: &mut Store<Segment>, taken: &[Taken], held: Held) -> Option<()> {
    let is_awaited = |lock: &Taken| !segments.at(lock.segment).lock.as_ref().expect(LOCKABLE).waiting.is_empty();
    if taken.is_empty() || taken.iter().any(is_awaited) {
        return None;
    }
    for lock in taken {
        let exclusively = lock.is_writable && held.writes;
        if !(exclusively && is_seeded(Mutant::LockKept)) {
            segments.at_mut(lock.segment).lock.as_mut().expect(LOCKABLE).release(exclusively);
        }
    }
    Some(())
}
