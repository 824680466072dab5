//! Threads and the lists that they are in, and the slots of the tables that they use.

use crate::base::effort::Effort;
use crate::object::links::Chain;
use crate::state::kernel::Kernel;
use crate::state::self_check::Walk;

/// Effort of looking at a thread.
const THREAD_UNITS: u32 = 2;

/// Counts a thread.
pub(super) fn check_thread(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    let thread = kernel.threads.at(walk.number);
    walk.sums.alive += u64::from(!thread.has_ended());
    // One that was stopped in a call is of no program any more.
    walk.sums.stopping += u64::from(thread.is_stopping);
    walk.sums.waiting += u64::from(thread.waits.is_some());
    effort.spend(THREAD_UNITS);
    true
}

/// As many threads wait as queues say.
pub(super) fn compare_waiting(kernel: &Kernel, walk: &Walk) -> u64 {
    assert_eq!(walk.sums.waiting, kernel.scheduler.ready_count(), "who waits for a CPU is in a queue");
    0
}

/// A space lists the threads in it.
pub(super) fn check_space_threads(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    let Some((id, space)) = kernel.spaces.look(walk.number) else { return true };
    let at = (walk.place.threads(), effort);
    let count = space.threads.check_further(&kernel.threads, Chain::Space, at, |_, thread| {
        assert_eq!(thread.space, id, "a thread knows whose list it is in");
        assert!(!thread.has_ended(), "who has ended is in no space");
    });
    let Some(count) = count else { return false };
    assert_eq!(count, space.thread_count, "a space counts its threads");
    walk.sums.in_spaces += count;
    walk.facts += count;
    true
}

/// A table lists the threads that use it.
pub(super) fn check_table_threads(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    let Some((id, table)) = kernel.tables.look(walk.number) else { return true };
    let at = (walk.place.threads(), effort);
    let count = table.threads.check_further(&kernel.threads, Chain::Table, at, |_, thread| {
        assert_eq!(thread.table, Some(id), "a thread knows its table");
    });
    let Some(count) = count else { return false };
    walk.sums.in_tables += count;
    walk.facts += count;
    true
}

/// Every thread that has not ended is in its table's list and in its space's.
pub(super) fn compare_alive(_kernel: &Kernel, walk: &Walk) -> u64 {
    let sums = &walk.sums;
    assert_eq!(
        (sums.in_spaces, sums.in_tables),
        (sums.alive, sums.alive - sums.stopping),
        "threads are in one space and are of one program"
    );
    2
}

/// A table's slots are as they should be.
pub(super) fn check_slots(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    kernel.tables.at(walk.number).check_further(walk.place.slots(), effort, &mut walk.facts)
}
