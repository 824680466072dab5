//! What goes when nothing refers to it any more.

use tessera_abi::ObjectKind;

use crate::lifecycle::destroy;
use crate::object::account::{Account, close_charge};
use crate::object::cap_table::CapTable;
use crate::object::id::{AccountId, SegmentId, TableId};
use crate::object::segment::Segment;
use crate::sched::ending;
use crate::sched::running;
use crate::state::kernel::Kernel;

/// Takes everything apart that nothing refers to. Taking one apart may doom others; they queue up in their
/// stores, so the kernel stack stays flat however long the chain.
#[inline(always)]
pub fn reap(kernel: &mut Kernel) {
    if is_any_doomed(kernel) {
        reap_doomed(kernel, None);
    }
}

/// The same in a call of the thread that is current on a CPU, whose registers are not saved: the first object that cannot
/// go without them is left, with all behind it.
#[inline(always)]
pub fn reap_without_registers(kernel: &mut Kernel, cpu: usize) {
    if is_any_doomed(kernel) {
        reap_doomed(kernel, Some(cpu));
    }
}

/// Whether there may be anything to be taken apart. After most traps there is nothing, and each pays for this look.
#[inline(always)]
pub fn is_any_doomed(kernel: &Kernel) -> bool {
    kernel.doomed_kinds.is_any()
}

const NOTED: &str = "a kind that is noted has a doomed object";

#[inline(never)]
fn reap_doomed(kernel: &mut Kernel, around_cpu: Option<usize>) {
    while let Some(kind) = kernel.doomed_kinds.first() {
        if around_cpu.is_some_and(|cpu| needs_registers(kernel, kind, cpu)) {
            return;
        }
        match kind {
            ObjectKind::Thread => {
                let id = kernel.threads.take_doomed().expect(NOTED);
                ending::destroy_thread(kernel, id);
            }
            ObjectKind::CapTable => {
                let id = kernel.tables.take_doomed().expect(NOTED);
                destroy_table(kernel, id);
            }
            ObjectKind::Space => {
                let id = kernel.spaces.take_doomed().expect(NOTED);
                destroy::destroy_space(kernel, id);
            }
            ObjectKind::Subtree => {
                let id = kernel.subtrees.take_doomed().expect(NOTED);
                destroy::destroy_subtree(kernel, id);
            }
            ObjectKind::Segment => {
                let id = kernel.segments.take_doomed().expect(NOTED);
                destroy_segment(kernel, id);
            }
            ObjectKind::Account => {
                let id = kernel.accounts.take_doomed().expect(NOTED);
                destroy_account(kernel, id);
            }
            ObjectKind::Machine => unreachable!("the machine is in no store"),
        }
    }
}

/// Whether the next object of a kind takes the registers of the CPU's current thread to go: it is this thread, or the
/// space that it is in, from which it is sent elsewhere.
#[inline(always)]
fn needs_registers(kernel: &Kernel, kind: ObjectKind, cpu: usize) -> bool {
    match kind {
        ObjectKind::Thread => kernel.threads.doomed() == running::current(kernel, cpu),
        ObjectKind::Space => {
            let here = kernel.shared.cpus[cpu].presence.space();
            kernel.spaces.doomed().is_some_and(|space| space.index() == here)
        }
        _ => false,
    }
}

fn destroy_table(kernel: &mut Kernel, id: TableId) {
    kernel.empty_table(id);
    let table = kernel.tables.remove(id);
    kernel.credit_object::<CapTable>(table.account, CapTable::slot_bytes(u64::from(table.slots())));
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
