//! Spaces and subtrees that nothing refers to any more.

use crate::mem::FrameList;
use crate::object::id::{MapTarget, SpaceId, SubtreeId};
use crate::object::space::Space;
use crate::object::subtree::Subtree;
use crate::paging::range::EVERYTHING;
use crate::sched::ending;
use crate::state::kernel::Kernel;
use crate::tlb::flush::{self, Flush};
use crate::vm::attach;
use crate::vm::public;
use crate::vm::target;
use crate::vm::view;

/// Takes a space apart that no capability names any more.
pub(crate) fn destroy_space(kernel: &mut Kernel, id: SpaceId) {
    ending::evict_threads(kernel, id);
    assert!(kernel.spaces[id].threads.is_empty(), "nobody is in a space that goes");
    if kernel.spaces[id].seen.is_some() {
        view::forget_view(kernel, id);
    } else {
        clear_map(kernel, MapTarget::Space(id));
    }
    let space = kernel.spaces.remove(id);
    space.free_roots(&mut kernel.frames);
    kernel.credit_object::<Space>(space.account, space.charged_bytes());
}

/// Takes a subtree apart that no capability names and no space has attached.
pub(crate) fn destroy_subtree(kernel: &mut Kernel, id: SubtreeId) {
    // Nobody can withdraw it any more.
    public::unpublish(kernel, id);
    clear_map(kernel, MapTarget::Subtree(id));
    let subtree = kernel.subtrees.remove(id);
    kernel.frames.free_table(subtree.map.tree.root);
    kernel.credit_object::<Subtree>(subtree.account, subtree.charged_bytes());
}

/// Unmaps everything; nobody is in the space any more, or has the subtree attached.
fn clear_map(kernel: &mut Kernel, owner: MapTarget) {
    let mut freed_tables = FrameList::new();
    attach::take_all_entries(kernel, owner, &mut freed_tables);
    target::change_map(kernel, owner, |map, frames, segments| map.clear(frames, segments, &mut freed_tables));
    flush::execute(kernel, Flush { owner, range: EVERYTHING, freed_tables });
}
