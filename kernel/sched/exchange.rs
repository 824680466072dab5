//! Exchanging the registers of a thread with those of a guest that it runs, and the guest's state in memory.

use core::sync::atomic::Ordering::Relaxed;

use tessera_arch::{GuestPage, table};

use crate::object::id::{GuestId, ThreadId};
use crate::state::kernel::Kernel;

/// A guest's page of state, if it has one still.
pub(super) fn page_of(kernel: &Kernel, guest: u32) -> Option<&GuestPage> {
    kernel.guests.at(guest).state.map(|state| &table(state.frame)[..])
}

/// The thread, which is current on no CPU or on the calling one, has the guest's registers from here on.
pub(super) fn take_registers(kernel: &mut Kernel, id: ThreadId, guest: GuestId) {
    let guest = kernel.guests.at_mut(guest.index());
    guest.runner = Some(id);
    core::mem::swap(&mut kernel.threads.at_mut(id.index()).context, &mut guest.context);
}

/// The thread, whose registers are in memory, has its own ones again; the guest's are in its state, with why it came out.
pub(super) fn put_back(kernel: &mut Kernel, id: ThreadId, guest: u32) {
    let object = kernel.guests.at_mut(guest);
    let until = core::mem::replace(&mut object.deadline_ns, u64::MAX);
    kernel.guests_until -= u32::from(until != u64::MAX);
    object.runner = None;
    let came = object.came.take();
    core::mem::swap(&mut kernel.threads.at_mut(id.index()).context, &mut object.context);
    let Some(page) = page_of(kernel, guest) else { return };
    kernel.guests.at(guest).context.store_guest(page);
    let [end, words @ ..] = came.map_or([0; 4], |came| {
        let [number, address, access] = came.words;
        [came.end as u64, number, address, access]
    });
    page[1..].iter().zip(words).for_each(|(to, word)| to.store(word, Relaxed));
    page[0].store(end, Relaxed);
}
