//! What the end of an object takes that nothing refers to any more, for each kind.

use crate::mem::FrameList;
use crate::object::account::{Account, close_charge};
use crate::object::cap_table::CapTable;
use crate::object::id::{MapTarget, Object, ThreadId};
use crate::object::segment::Segment;
use crate::object::space::Space;
use crate::object::subtree::Subtree;
use crate::object::thread::Thread;
use crate::paging::range::EVERYTHING;
use crate::sched::{ending, running};
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::attach;
use crate::vm::public;
use crate::vm::target;
use crate::vm::view;

/// Objects that can be taken apart.
pub(crate) trait End: Object {
    /// Takes the next doomed one apart; what it held goes back, and what it referred to may be doomed by that.
    fn end_doomed(kernel: &mut Kernel);

    /// Whether that takes the registers of a CPU's current thread: it is this thread, or the space that it is in, from which
    /// it is sent elsewhere.
    #[inline(always)]
    fn needs_registers(_kernel: &Kernel, _cpu: usize) -> bool {
        false
    }
}

const NOTED: &str = "a kind that is noted has a doomed object";

impl End for Account {
    #[inline(never)]
    fn end_doomed(kernel: &mut Kernel) {
        let account = kernel.accounts.remove_doomed().expect(NOTED);
        kernel.credit(&*account);
    }
}

impl End for Space {
    #[inline(never)]
    fn end_doomed(kernel: &mut Kernel) {
        let id = kernel.spaces.take_doomed().expect(NOTED);
        ending::evict_threads(kernel, id);
        assert!(kernel.spaces[id].threads.is_empty(), "nobody is in a space that goes");
        if kernel.spaces[id].seen.is_some() {
            view::forget_view(kernel, id);
        } else {
            clear_map(kernel, MapTarget::Space(id));
        }
        let space = kernel.spaces.remove(id);
        space.free_roots(&mut kernel.frames);
        kernel.credit(&*space);
    }

    #[inline(always)]
    fn needs_registers(kernel: &Kernel, cpu: usize) -> bool {
        let here = kernel.shared.cpus[cpu].presence.space();
        kernel.spaces.doomed() == Some(here)
    }
}

impl End for Subtree {
    #[inline(never)]
    fn end_doomed(kernel: &mut Kernel) {
        let id = kernel.subtrees.take_doomed().expect(NOTED);
        // Nobody can withdraw it any more.
        public::unpublish(kernel, id);
        clear_map(kernel, MapTarget::Subtree(id));
        let subtree = kernel.subtrees.remove(id);
        kernel.frames.free_table(subtree.map.tree.root);
        kernel.credit(&*subtree);
    }
}

impl End for Segment {
    #[inline(never)]
    fn end_doomed(kernel: &mut Kernel) {
        let mut segment = kernel.segments.remove_doomed().expect(NOTED);
        segment.release_frames(&mut kernel.frames);
        kernel.credit(&*segment);
        for (account, bytes) in segment.charged_to_others() {
            close_charge(&mut kernel.accounts, account, bytes);
        }
    }
}

impl End for Thread {
    #[inline(never)]
    fn end_doomed(kernel: &mut Kernel) {
        let id = kernel.threads.take_doomed().expect(NOTED);
        ending::destroy_thread(kernel, id);
    }

    #[inline(always)]
    fn needs_registers(kernel: &Kernel, cpu: usize) -> bool {
        kernel.threads.doomed() == running::current(kernel, cpu).map(ThreadId::index)
    }
}

impl End for CapTable {
    #[inline(never)]
    fn end_doomed(kernel: &mut Kernel) {
        let id = kernel.tables.take_doomed().expect(NOTED);
        kernel.empty_table(id);
        let table = kernel.tables.remove(id);
        kernel.credit(&*table);
    }
}

/// Unmaps everything, if there is anything still; nobody is in the space any more, or has the subtree attached. What there
/// once was in it was invalidated when it went.
#[inline(always)]
fn clear_map(kernel: &mut Kernel, owner: MapTarget) {
    if !target::map_of(kernel, owner).is_blank() {
        unmap_everything(kernel, owner);
    }
}

#[inline(never)]
fn unmap_everything(kernel: &mut Kernel, owner: MapTarget) {
    let mut freed_tables = FrameList::new();
    attach::take_all_entries(kernel, owner, &mut freed_tables);
    target::change_map(kernel, owner, |map, frames, segments| map.clear(frames, segments, &mut freed_tables));
    flush::execute(kernel, Flush { owner, range: EVERYTHING, freed_tables });
}
