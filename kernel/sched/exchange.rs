//! Exchanging the registers of a thread with those of a guest that it runs, and the guest's state in memory.
//!
//! As long as a run is fresh the guest's registers are the CPU's, and no more: thread and guest have exchanged them when it is noted.

use core::sync::atomic::Ordering::Relaxed;

use tessera_arch::{CPUS_MAX, GuestPage, table};

use crate::base::mutants::{Mutant, is_seeded};
use crate::object::guest::Standing;
use crate::object::id::ThreadId;
use crate::state::kernel::Kernel;

/// A guest's page of state, if it has one still.
pub(super) fn page_of(kernel: &Kernel, guest: u32) -> Option<&GuestPage> {
    kernel.guests.at(guest).state.map(|state| &table(state.frame)[..])
}

/// Who runs a guest.
pub fn runner(kernel: &Kernel, guest: u32) -> Option<ThreadId> {
    let object = kernel.guests.at(guest);
    if is_seeded(Mutant::FreshRunnerUnknown) {
        return object.runner;
    }
    object.fresh_cpu().map_or(object.runner, |cpu| kernel.scheduler.cpus[cpu % CPUS_MAX].current)
}

/// It is noted who runs a guest: the two have exchanged their registers.
pub(super) fn note(kernel: &mut Kernel, id: ThreadId, guest: u32) {
    if !is_seeded(Mutant::GuestNotExchanged) {
        exchange(kernel, id, guest);
    }
    let object = kernel.guests.at_mut(guest);
    (object.runner, object.standing) = (Some(id), Standing::OTHER);
}

/// The thread has the guest's registers, and the guest the thread's: or each its own again.
pub(super) fn exchange(kernel: &mut Kernel, id: ThreadId, guest: u32) {
    let guest = kernel.guests.at_mut(guest);
    core::mem::swap(&mut kernel.threads.at_mut(id.index()).context, &mut guest.context);
}

/// A guest has come out, with its registers in memory: they are in its state from here on, with why it came out. The thread has its
/// own, of which those say nothing that its call may lose.
pub(super) fn put_back(kernel: &mut Kernel, id: ThreadId, guest: u32) {
    kernel.threads.at_mut(id.index()).context.come_back();
    let object = kernel.guests.at_mut(guest);
    let until = core::mem::replace(&mut object.deadline_ns, u64::MAX);
    kernel.guests_until -= u32::from(until != u64::MAX);
    object.runner = None;
    object.settle();
    let came = object.came.take();
    let Some(state) = object.state else { return };
    let page = &table(state.frame)[..];
    object.context.store_guest(page);
    let [end, words @ ..] = came.map_or([0; 4], |came| {
        let [number, address, access] = came.words;
        [came.end as u64, number, address, access]
    });
    page[1..].iter().zip(words).for_each(|(to, word)| to.store(word, Relaxed));
    page[0].store(end, Relaxed);
}
