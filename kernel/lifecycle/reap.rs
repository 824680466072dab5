//! What goes when nothing refers to it any more.

use core::sync::atomic::Ordering;

use crate::lifecycle::destroy;
use crate::object::account::{Account, close_charge};
use crate::object::cap_table::CapTable;
use crate::object::id::{AccountId, SegmentId};
use crate::object::segment::Segment;
use crate::sched::ending;
use crate::state::kernel::Kernel;

/// Takes everything apart that nothing refers to. Taking one apart may doom others; they queue up in their
/// stores, so the kernel stack stays flat however long the chain.
#[inline(always)]
pub fn reap(kernel: &mut Kernel) {
    if is_any_doomed(kernel) {
        reap_doomed(kernel);
    }
}

/// Whether there may be anything to be taken apart. After most traps there is nothing, and each pays for this look.
#[inline(always)]
pub fn is_any_doomed(kernel: &Kernel) -> bool {
    kernel.is_any_doomed.load(Ordering::Relaxed)
}

#[inline(never)]
fn reap_doomed(kernel: &mut Kernel) {
    loop {
        if let Some(id) = kernel.threads.take_doomed() {
            ending::destroy_thread(kernel, id);
        } else if let Some(id) = kernel.tables.take_doomed() {
            kernel.empty_table(id);
            let table = kernel.tables.remove(id);
            let bytes = CapTable::slot_bytes(u64::from(table.slots()));
            kernel.credit_object::<CapTable>(table.account, bytes);
        } else if let Some(id) = kernel.spaces.take_doomed() {
            destroy::destroy_space(kernel, id);
        } else if let Some(id) = kernel.subtrees.take_doomed() {
            destroy::destroy_subtree(kernel, id);
        } else if let Some(id) = kernel.segments.take_doomed() {
            destroy_segment(kernel, id);
        } else if let Some(id) = kernel.accounts.take_doomed() {
            destroy_account(kernel, id);
        } else {
            kernel.is_any_doomed.store(false, Ordering::Relaxed);
            return;
        }
    }
}

fn destroy_segment(kernel: &mut Kernel, id: SegmentId) {
    let mut segment = kernel.segments.remove(id);
    segment.release_frames(&mut kernel.frames);
    kernel.credit_object::<Segment>(segment.account, segment.charged_bytes());
    for (account, bytes) in segment.charged_to_others() {
        close_charge(&mut kernel.accounts, account, bytes);
    }
}

fn destroy_account(kernel: &mut Kernel, id: AccountId) {
    let account = kernel.accounts.remove(id);
    if let Some(parent) = account.parent {
        kernel.credit_object::<Account>(parent, account.limit_bytes());
    }
}
