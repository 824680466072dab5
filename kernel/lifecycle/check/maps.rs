//! Mappings: what the tables say is what the records say, for the first page of each.

use tessera_abi::{PAGE_BYTES, Rights};
use tessera_arch::VirtAddr;

use crate::base::effort::Effort;
use crate::object::address_map::{AddressMap, Mapping};
use crate::state::kernel::Kernel;
use crate::state::self_check::Walk;

/// Effort of checking a mapping.
const MAPPING_UNITS: u32 = 45;

/// The mappings of a space.
pub(super) fn check_space(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    check_map(kernel, &kernel.spaces.at(walk.number).map, walk, effort)
}

/// The mappings of a subtree.
pub(super) fn check_subtree(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    check_map(kernel, &kernel.subtrees.at(walk.number).map, walk, effort)
}

fn check_map(kernel: &Kernel, map: &AddressMap, walk: &mut Walk, effort: &mut Effort) -> bool {
    let at = walk.place.mappings();
    // What was made anew meanwhile may reach over the place.
    let mut has_changed = !walk.is_still;
    for (first, mapping) in map.from(at.end) {
        if !effort.is_left() {
            return false;
        }
        assert!(first >= at.end || has_changed, "mappings do not overlap");
        check_mapping(kernel, map, first, &mapping);
        (at.end, at.pages) = (first + mapping.pages, at.pages + mapping.pages);
        has_changed = false;
        walk.facts += 4;
        effort.spend(MAPPING_UNITS);
    }
    if walk.is_still {
        // What is being taken apart lets go at once of mappings that clones have too, and counts them until all is gone.
        let is_going = map.is_unseen && map.tree.has_cloned() && at.pages < map.mapped_pages();
        assert!(at.pages == map.mapped_pages() || is_going, "a map counts its pages");
        walk.facts += 1;
    }
    true
}

fn check_mapping(kernel: &Kernel, map: &AddressMap, first: u64, mapping: &Mapping) {
    let translated = map.tree.translate(VirtAddr::new(first * PAGE_BYTES));
    if let Some((frame, rights)) = translated {
        let private = if map.is_copied(mapping) { map.privates.frame(first) } else { None };
        let memory = private.or_else(|| kernel.segments.at(mapping.segment).frame(mapping.offset));
        assert_eq!(Some(frame), memory, "tables tell the truth");
        let is_written = || map.privates.look(&kernel.frames, first).is_some_and(|(_, may_write)| may_write);
        // Until it is written to, tables do not let it be, also if nobody else has it any more.
        // So it is of what is pinned, in tables that clones have in common or had.
        let is_narrowed = AddressMap::is_pinned(mapping) && rights == mapping.rights - Rights::WRITE;
        let is_allowed = rights == mapping.rights || rights == map.leaf_of(mapping).rights || is_narrowed;
        assert!(is_allowed, "tables allow what the mapping allows: {rights:?}, not {:?}", mapping.rights);
        let may_write = !map.is_copied(mapping) || is_written();
        assert!(may_write || !rights.contains(Rights::WRITE), "what clones have in common is not written to");
        assert!(!rights.is_write_execute(), "nothing is writable and executable");
    }
}
