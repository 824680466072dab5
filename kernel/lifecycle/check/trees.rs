//! Trees of tables, what is attached in them, and where subtrees are attached.

use crate::base::effort::Effort;
use crate::lifecycle::check::attachments;
use crate::object::id::{AttachPoint, MapTarget};
use crate::state::kernel::Kernel;
use crate::state::self_check::Walk;
use crate::vm::attach;
use crate::vm::target;

/// Effort of finding an attachment, besides what the check of the places takes.
const ATTACHMENT_UNITS: u32 = 20;

/// An entry leads to a subtree by the frame of its root.
pub(super) fn check_owner(kernel: &Kernel, walk: &mut Walk, _effort: &mut Effort) -> bool {
    let owner = kernel.frames.table_owner(kernel.subtrees.at(walk.number).map.tree.root);
    assert_eq!(owner, walk.number, "the frame of a subtree's root knows the subtree");
    walk.facts += 1;
    true
}

/// The tables of a space, and what is attached there.
pub(super) fn check_space(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    kernel.spaces.id_at(walk.number).is_none_or(|id| check_tree(kernel, MapTarget::Space(id), walk, effort))
}

/// The same of a subtree.
pub(super) fn check_subtree(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    kernel.subtrees.id_at(walk.number).is_none_or(|id| check_tree(kernel, MapTarget::Subtree(id), walk, effort))
}

fn check_tree(kernel: &Kernel, owner: MapTarget, walk: &mut Walk, effort: &mut Effort) -> bool {
    let (map, at) = (target::map_of(kernel, owner), walk.place.tables());
    if !at.is_seen {
        let (counted, mut found) = (&mut at.attachments, 0);
        let mut each = |(page, level, entry), effort: &mut Effort| {
            if let Some(attachment) = attach::attached_on_all(kernel, entry, level) {
                found += attachments::check_attachment(kernel, owner, AttachPoint { page, cpu: None }, &attachment);
                *counted += 1;
                effort.spend(attachments::UNITS);
            }
        };
        at.is_seen = map.tree.check_further(&kernel.frames, (&mut at.tree, effort), &mut walk.facts, &mut each);
        walk.facts += found;
    }
    if !at.is_seen || !attachments::check_core_windows(kernel, owner, (at, effort), &mut walk.facts) {
        return false;
    }
    let (counted, noted) = (at.attachments, map.attachments());
    let is_doomed = || attachments::is_doomed(kernel, owner);
    assert!(counted == noted || counted < noted && is_doomed(), "a map counts its attachments");
    true
}

/// The places of a subtree.
pub(super) fn check_sharers(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    let Some((id, subtree)) = kernel.subtrees.look(walk.number) else { return true };
    let is_done = subtree.sharers.check_further(walk.place.sharers(), effort, |sharer, effort| {
        // One that is being taken apart may have it in a table to which nothing leads any more.
        let attachment = attach::attachment_at(kernel, sharer.owner(), sharer.place());
        let has_it = attachment.is_some_and(|there| there.subtree == id);
        assert!(has_it || attachments::is_doomed(kernel, sharer.owner()), "a sharer has the attachment");
        effort.spend(ATTACHMENT_UNITS);
    });
    walk.facts += if is_done { 4 } else { 0 };
    is_done
}
