//! What is attached: that it knows where, fits, and is not nested too deep.

use crate::base::effort::Effort;
use crate::object::id::{AttachPoint, MapTarget};
use crate::object::reverse_map::Sharer;
use crate::object::space::SLOT_PAGES;
use crate::state::kernel::Kernel;
use crate::state::self_check::TablesPlace;
use crate::vm::attach::{self, Attachment};

use tessera_abi::TOP_SLOTS;

/// Effort of checking an attachment, and of looking for a core window in a slot on one CPU.
pub(super) const UNITS: u32 = 25;
const WINDOW_UNITS: u32 = 2;

/// Checks one; gives how many facts held.
pub(super) fn check_attachment(kernel: &Kernel, owner: MapTarget, place: AttachPoint, attachment: &Attachment) -> u64 {
    let subtree = &kernel.subtrees[attachment.subtree];
    assert!(subtree.sharers.contains(&Sharer::new(owner, place)), "a subtree knows where it is attached");
    assert_eq!(subtree.level(), attachment.level, "an attachment has its subtree's level");
    assert!(place.page.is_multiple_of(attachment.pages()), "a subtree is attached at a multiple of its size");
    assert!(subtree.public.is_none(), "a public subtree is attached nowhere else");
    if let MapTarget::Subtree(outer) = owner {
        let outer = &kernel.subtrees[outer];
        assert!(outer.level() > subtree.level(), "levels fall from the outer subtree to the inner");
        assert!(!outer.is_nested() && subtree.map.attachments() == 0, "one subtree deep and no deeper");
    }
    5
}

/// Checks what is attached on one CPU each, as much further as the effort goes for; gives whether that was to the end.
pub(super) fn check_core_windows(
    kernel: &Kernel,
    owner: MapTarget,
    (at, effort): (&mut TablesPlace, &mut Effort),
    facts: &mut u64,
) -> bool {
    let MapTarget::Space(space) = owner else { return true };
    if kernel.spaces[space].map.core_windows() == 0 {
        return true;
    }
    while at.slot < TOP_SLOTS as u64 {
        if !effort.is_left() {
            return false;
        }
        let page = at.slot * SLOT_PAGES;
        for (place, attachment) in attach::core_windows(kernel, owner, page, page + SLOT_PAGES) {
            *facts += check_attachment(kernel, owner, place, &attachment);
            at.attachments += 1;
            effort.spend(UNITS);
        }
        effort.spend(WINDOW_UNITS * kernel.cpus() as u32);
        at.slot += 1;
    }
    true
}

/// Whether a space or subtree is being taken apart.
pub(super) fn is_doomed(kernel: &Kernel, owner: MapTarget) -> bool {
    match owner {
        MapTarget::Space(id) => kernel.spaces.is_doomed(id.index()),
        MapTarget::Subtree(id) => kernel.subtrees.is_doomed(id.index()),
    }
}
