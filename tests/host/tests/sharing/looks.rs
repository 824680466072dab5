//! Entering spaces and views, and touching memory in them.

use host_tests::model::{Frames, Sight};
use host_tests::snapshot::Snapshot;
use proptest::prelude::*;
use tessera_abi::{Call, PAGE_BYTES, TOP_SLOT_BYTES};
use tessera_arch::{Access, VirtAddr};
use tessera_kernel::sched::running;
use tessera_kernel::vm::fault;
use tessera_kernel::vm::showing::AccessError;

use crate::operations::Part;
use crate::scene::{Check, Scene};

impl Scene {
    pub(crate) fn enter(&mut self, by: usize, fast: bool) -> Check {
        let Some((space, _)) = self.names.seer(by, 0) else { return Ok(()) };
        let result = match fast {
            true => self.machine.switch_fast(space),
            false => self.machine.call(Call::SpaceSwitch { space }),
        };
        prop_assert!(result.is_ok(), "{:?}", result);
        prop_assert_eq!(running::space_of(&self.machine.kernel, self.machine.thread_id), self.machine.space_id(space));
        Ok(())
    }

    /// An access to memory: refused or not, and which frame.
    pub(crate) fn touch(&mut self, by: usize, part: Part, access: Access) -> Check {
        let Some((handle, sight)) = self.names.seer(by, 0) else { return Ok(()) };
        let page = self.seen_page(&sight, part);
        let id = self.machine.space_id(handle);
        let before = Snapshot::of(&self.machine.kernel);
        let found = fault::handle_fault(&mut self.machine.kernel, id, VirtAddr::new(page * PAGE_BYTES), access);
        match (found, self.world.access(&sight, page, access)) {
            (Ok(frame), Some((segment, segment_page))) => {
                let (owner, owners_page, _) = self.world.locate(&sight, page);
                self.world.maps[owner].hidden.remove(&owners_page);
                if let Frames::List(list) = &mut self.world.segments[segment].frames {
                    let known = list[segment_page as usize].get_or_insert(frame.number());
                    prop_assert_eq!(*known, frame.number(), "a page keeps its frame");
                }
                Ok(())
            }
            (Err(denial), expected) => {
                let is_short = self.is_scarce && denial == AccessError::AccountExhausted;
                prop_assert!(expected.is_none() || is_short, "{:?} at page {:#x}: {:?}", access, page, denial);
                prop_assert_eq!(before, Snapshot::of(&self.machine.kernel), "a refused access changed something");
                Ok(())
            }
            (Ok(_), None) => Err(TestCaseError::fail(format!("{access:?} is allowed at page {page:#x}"))),
        }
    }

    /// A page of the nth mapping that is seen.
    pub(crate) fn seen_page(&self, sight: &Sight, part: Part) -> u64 {
        let mut seen = Vec::new();
        let public = self.world.public.iter();
        let mut shown: Vec<(usize, u64)> =
            public.map(|(subtree, (slot, _))| (*subtree, slot * TOP_SLOT_BYTES / PAGE_BYTES)).collect();
        shown.push((sight.space, 0));
        while let Some((owner, page)) = shown.pop() {
            seen.extend(self.world.maps[owner].extents.iter().map(|extent| (page + extent.first, extent.pages)));
            shown.extend(self.world.attached_in(owner).map(|(spot, attached)| (attached.subtree, page + spot.page)));
        }
        let (first, pages) = seen[part.which % seen.len()];
        first + part.skip % pages
    }
}
