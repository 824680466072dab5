//! What goes when nothing refers to it any more.

use tessera_abi::ObjectKind;

use crate::lifecycle::destroy::End;
use crate::object::account::Account;
use crate::object::cap_table::CapTable;
use crate::object::id::with_kinds;
use crate::object::segment::Segment;
use crate::object::space::Space;
use crate::object::subtree::Subtree;
use crate::object::thread::Thread;
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

/// Takes the next doomed object of a kind apart.
macro_rules! end_next {
    ([$kernel:ident $kind:ident] $($type:ident $store:ident;)*) => {
        match $kind {
            $(ObjectKind::$type => {
                let id = $kernel.$store.take_doomed().expect(NOTED);
                $type::end($kernel, id);
            })*
            ObjectKind::Machine => unreachable!("the machine is in no store"),
        }
    };
}

const NOTED: &str = "a kind that is noted has a doomed object";

#[inline(never)]
fn reap_doomed(kernel: &mut Kernel, around_cpu: Option<usize>) {
    while let Some(kind) = kernel.doomed_kinds.first() {
        if around_cpu.is_some_and(|cpu| needs_registers(kernel, kind, cpu)) {
            return;
        }
        with_kinds!(end_next kernel kind);
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
