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
    reap_doomed(kernel, Some(cpu));
}

/// Whether there may be anything to be taken apart. After most traps there is nothing, and each pays for this look.
#[inline(always)]
pub fn is_any_doomed(kernel: &Kernel) -> bool {
    kernel.doomed_kinds.is_any()
}

/// Takes the next doomed object of a kind apart, unless that takes registers that are not saved; says whether it did.
macro_rules! end_next {
    ([$kernel:ident $kind:ident $around_cpu:ident] $($type:ident $store:ident;)*) => {
        match $kind {
            $(ObjectKind::$type => {
                let needs_registers = $around_cpu.is_some_and(|cpu| $type::needs_registers($kernel, cpu));
                if !needs_registers {
                    $type::end_doomed($kernel);
                }
                !needs_registers
            })*
            ObjectKind::Machine => unreachable!("the machine is in no store"),
        }
    };
}

#[inline(always)]
fn reap_doomed(kernel: &mut Kernel, around_cpu: Option<usize>) {
    while let Some(kind) = kernel.doomed_kinds.first() {
        if !with_kinds!(end_next kernel kind around_cpu) {
            return;
        }
    }
}
