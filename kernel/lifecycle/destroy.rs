//! What the end of an object takes that nothing refers to any more, for each kind.

use tessera_arch::CPUS_MAX;

use crate::base::effort::Effort;
use crate::object::account::{Account, close_charge};
use crate::object::cap_table::CapTable;
use crate::object::derivation;
use crate::object::gate::Gate;
use crate::object::guest::Guest;
use crate::object::id::{MapTarget, Object, ObjectRef, TableId, ThreadId};
use crate::object::neighbour::Standing;
use crate::object::segment::Segment;
use crate::object::space::Space;
use crate::object::subtree::Subtree;
use crate::object::thread::Thread;
use crate::object::use_pool::{Use, UseKind};
use crate::sched::{closing, deletion, ending, entering, eviction, guests, handlers, inside, locking, locks, running};
use crate::state::kernel::Kernel;
use crate::vm::dismantle::dismantle;
use crate::vm::public;
use crate::vm::view;

/// Objects that can be taken apart.
pub(crate) trait End: Object {
    /// Takes the one with this number apart, which is doomed, as far as the effort goes; what it held goes back, and what it
    /// referred to may be doomed by that. Gives whether that was all.
    fn take_apart(kernel: &mut Kernel, index: u32, effort: &mut Effort) -> bool;

    /// Does more of what was left to be done at one that exists still; gives whether that was all. At most kinds nothing is.
    fn go_on(_kernel: &mut Kernel, _index: u32, _effort: &mut Effort) -> bool {
        true
    }

    /// Whether that takes the registers of a CPU's current thread: it is this thread, or the space that it is in, from which
    /// it is sent elsewhere.
    #[inline(always)]
    fn needs_registers(_kernel: &Kernel, _cpu: usize, _index: u32) -> bool {
        false
    }
}

const LISTED: &str = "what is on a list of debts is there";

impl End for Account {
    #[inline(never)]
    fn take_apart(kernel: &mut Kernel, index: u32, _effort: &mut Effort) -> bool {
        let account = kernel.accounts.remove_at(index);
        kernel.credit(&*account);
        true
    }
}

impl End for Space {
    #[inline(never)]
    fn take_apart(kernel: &mut Kernel, index: u32, effort: &mut Effort) -> bool {
        let id = kernel.spaces.id_at(index).expect(LISTED);
        if !eviction::evict_threads(kernel, id, effort) {
            return false;
        }
        assert!(kernel.spaces[id].threads.is_empty(), "nobody is in a space that goes");
        if kernel.spaces[id].seen.is_some() {
            view::forget_view(kernel, id);
        } else if !dismantle(kernel, MapTarget::Space(id), effort) {
            return false;
        }
        if kernel.spaces[id].handler.is_some() {
            handlers::forget(kernel, ObjectRef::Space(id));
        }
        if kernel.spaces[id].locks.is_some() {
            locks::forget_space(kernel, id);
        }
        let space = kernel.spaces.remove(id);
        space.free_root(&mut kernel.frames);
        kernel.credit(&*space);
        true
    }

    #[inline(always)]
    fn needs_registers(kernel: &Kernel, cpu: usize, index: u32) -> bool {
        kernel.shared.cpus[cpu].presence.space() == index
    }
}

impl End for Subtree {
    #[inline(never)]
    fn take_apart(kernel: &mut Kernel, index: u32, effort: &mut Effort) -> bool {
        let id = kernel.subtrees.id_at(index).expect(LISTED);
        // Nobody can withdraw it any more.
        if !public::unpublish_step(kernel, id, effort) || !dismantle(kernel, MapTarget::Subtree(id), effort) {
            return false;
        }
        if kernel.subtrees[id].handler.is_some() {
            handlers::forget(kernel, ObjectRef::Subtree(id));
        }
        let subtree = kernel.subtrees.remove(id);
        kernel.frames.free_table(subtree.map.tree.root);
        kernel.credit(&*subtree);
        true
    }
}

impl End for Segment {
    #[inline(never)]
    fn take_apart(kernel: &mut Kernel, index: u32, effort: &mut Effort) -> bool {
        if kernel.segments.at(index).lock.is_some() && !locking::go_on(kernel, index, effort) {
            return false;
        }
        let segment = kernel.segments.at_mut(index);
        if !segment.release_frames(&mut kernel.frames, effort) {
            return false;
        }
        while let Some((account, bytes)) = segment.take_other() {
            close_charge(&mut kernel.accounts, account, bytes);
            if !effort.spend(OTHER_UNITS) {
                return false;
            }
        }
        let segment = kernel.segments.remove_at(index);
        kernel.credit(&*segment);
        true
    }

    fn go_on(kernel: &mut Kernel, index: u32, effort: &mut Effort) -> bool {
        locking::go_on(kernel, index, effort)
    }
}

/// Effort of crediting one of those who paid for first touches.
const OTHER_UNITS: u32 = 20;

impl End for Thread {
    #[inline(never)]
    fn take_apart(kernel: &mut Kernel, index: u32, effort: &mut Effort) -> bool {
        let id = kernel.threads.id_at(index).expect(LISTED);
        ending::destroy_thread(kernel, id, effort)
    }

    fn go_on(kernel: &mut Kernel, index: u32, effort: &mut Effort) -> bool {
        let id = kernel.threads.id_at(index).expect(LISTED);
        ending::wake_joiners(kernel, id, effort)
    }

    #[inline(always)]
    fn needs_registers(kernel: &Kernel, cpu: usize, index: u32) -> bool {
        running::current(kernel, cpu).map(ThreadId::index) == Some(index)
    }
}

impl End for CapTable {
    #[inline(never)]
    fn take_apart(kernel: &mut Kernel, index: u32, effort: &mut Effort) -> bool {
        let id = kernel.tables.id_at(index).expect(LISTED);
        if kernel.tables.at(index).is_of_gate && !close_gates(kernel, id, effort) {
            return false;
        }
        // Before it was doomed, something may have been put into a slot that had been looked at.
        if !deletion::empty_table(kernel, id, effort) || kernel.tables.at(index).used() != 0 {
            return false;
        }
        let table = kernel.tables.remove_at(index);
        kernel.credit(&*table);
        true
    }

    fn go_on(kernel: &mut Kernel, index: u32, effort: &mut Effort) -> bool {
        let id = kernel.tables.id_at(index).expect(LISTED);
        // It may have been emptied meanwhile, and used anew. If it has held itself, it is on the list once more.
        kernel.tables[id].emptied == 0 || deletion::empty_table(kernel, id, effort)
    }

    #[inline(always)]
    fn needs_registers(kernel: &Kernel, cpu: usize, index: u32) -> bool {
        may_be_in_call(kernel, cpu) && kernel.tables.at(index).is_of_gate
    }
}

/// Closes the gates that lead with a table that goes; gives whether that was all.
fn close_gates(kernel: &mut Kernel, table: TableId, effort: &mut Effort) -> bool {
    let list = kernel.tables.capabilities(table.index());
    while let Some(Standing::Use(lent)) = derivation::first_in_list(&kernel.uses, list) {
        let Use { kind, number, .. } = *kernel.uses.get(lent);
        if kind == UseKind::Marker {
            inside::forget_marker(kernel, kernel.threads.id_at(number).expect(LISTED));
        } else if !closing::close(kernel, number, effort) {
            return false;
        }
    }
    true
}

/// Whether a CPU's thread may be in a call, from which it may have to come out.
#[inline(always)]
fn may_be_in_call(kernel: &Kernel, cpu: usize) -> bool {
    kernel.shared.cpus[cpu % CPUS_MAX].activations.get().has_room()
}

impl End for Guest {
    #[inline(never)]
    fn take_apart(kernel: &mut Kernel, index: u32, effort: &mut Effort) -> bool {
        guests::close(kernel, index, effort);
        let guest = kernel.guests.remove_at(index);
        kernel.credit(&*guest);
        true
    }

    #[inline(always)]
    fn needs_registers(kernel: &Kernel, cpu: usize, _index: u32) -> bool {
        may_be_in_call(kernel, cpu)
    }
}

/// Nobody has a gate that goes as its handler any more. As far as the effort goes; gives whether that was all.
fn forget_handlers(kernel: &mut Kernel, gate: u32, effort: &mut Effort) -> bool {
    let list = kernel.gates.capabilities(gate);
    while let Some(Standing::Use(lent)) = derivation::first_in_list(&kernel.uses, list) {
        let lent = *kernel.uses.get(lent);
        if lent.kind == UseKind::Marker {
            inside::forget_marker(kernel, kernel.threads.id_at(lent.number).expect(LISTED));
        } else {
            handlers::end(kernel, &lent);
        }
        if !effort.spend(HANDLER_UNITS) {
            return derivation::first_in_list(&kernel.uses, list).is_none();
        }
    }
    true
}

/// Effort of forgetting a handler.
const HANDLER_UNITS: u32 = 20;

impl End for Gate {
    #[inline(never)]
    fn take_apart(kernel: &mut Kernel, index: u32, effort: &mut Effort) -> bool {
        if !closing::close(kernel, index, effort) || !forget_handlers(kernel, index, effort) {
            return false;
        }
        let gate = kernel.gates.remove_at(index);
        kernel.credit(&*gate);
        true
    }

    fn go_on(kernel: &mut Kernel, index: u32, effort: &mut Effort) -> bool {
        entering::serve_more(kernel, index, effort)
    }

    #[inline(always)]
    fn needs_registers(kernel: &Kernel, cpu: usize, _index: u32) -> bool {
        may_be_in_call(kernel, cpu)
    }
}
