//! Whether the machine is what the model says.

use host_tests::model::Sight;
use host_tests::walker::{Run, entry_pages, merge, survey, tables_needed};
use proptest::prelude::*;
use tessera_abi::layout::{SpaceInfo, SubtreeInfo};
use tessera_abi::{Call, PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::fake::oracle;
use tessera_arch::{Frame, TOP_LEVEL};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::address_map::AddressMap;
use tessera_kernel::object::id::ObjectRef;

use crate::names::NamedView;
use crate::scene::{CPUS, Check, Scene};

impl Scene {
    /// Everything the hardware sees is what the model says, what does not exist is gone, and nothing stale is held.
    pub(crate) fn compare(&self) -> Check {
        let kernel = &self.machine.kernel;
        for (number, object) in &self.names.living {
            match *object {
                ObjectRef::Space(id) => {
                    prop_assert!(kernel.spaces.find(id).is_some(), "space {} exists", number);
                    self.compare_own(*number, &kernel.spaces[id].map)?;
                    self.compare_roots(*number, &kernel.spaces[id].roots().collect::<Vec<_>>())?;
                }
                ObjectRef::Subtree(id) => {
                    prop_assert!(kernel.subtrees.find(id).is_some(), "subtree {} exists", number);
                    self.compare_own(*number, &kernel.subtrees[id].map)?;
                }
                _ => panic!("{object:?} is neither space nor subtree"),
            }
        }
        self.names.views.iter().flatten().try_for_each(|view| self.compare_view(view))?;
        let spaces = self.names.living_spaces(&self.world).len();
        let views = self.names.views.iter().flatten().count();
        prop_assert_eq!(kernel.spaces.len(), spaces + views);
        prop_assert_eq!(kernel.subtrees.len(), self.names.living.len() - spaces);
        oracle::check();
        prop_assert_eq!(oracle::take_breach(), None);
        check::check(kernel);
        Ok(())
    }

    /// The tables and records of a space or subtree itself.
    fn compare_own(&self, number: usize, map: &AddressMap) -> Check {
        let attached = self.world.attached_in(number).filter(|(spot, _)| spot.cpu.is_none_or(|cpu| cpu == 0));
        let entries = attached.map(|(spot, attached)| (spot.page, self.world.levels[attached.subtree]));
        let public = self.world.public.values().filter(|_| self.world.is_space(number));
        let public = public.map(|(slot, _)| (slot * entry_pages(TOP_LEVEL), TOP_LEVEL));
        let entries: Vec<(u64, u8)> = entries.chain(public).collect();
        let own = survey(map.tree.root, map.tree.level, &|page, level| entries.contains(&(page, level)));
        prop_assert_eq!(merge(&own.leaves), self.world.runs(number), "the tables of {}", number);
        let run =
            |(page, level): &(u64, u8)| Run { page: *page, pages: entry_pages(*level), frame: 0, rights: Rights::READ };
        let needed = [own.leaves.clone(), entries.iter().map(run).collect()].concat();
        let tables = tables_needed(&needed, map.tree.level);
        prop_assert_eq!((own.empty, own.tables, map.tree.tables), (0, tables, tables));
        let is_public = self.world.public.contains_key(&number);
        prop_assert_eq!(
            &own.globals,
            if is_public { &own.leaves } else { &Vec::new() },
            "what is global in {}",
            number
        );
        let records = map.from(0).map(|(first, mapping)| (first, mapping.pages, mapping.offset, mapping.rights));
        let extents = self.world.maps[number].extents.iter();
        let extents = extents.map(|extent| (extent.first, extent.pages, extent.offset, extent.rights));
        prop_assert_eq!(records.collect::<Vec<_>>(), extents.collect::<Vec<_>>());
        Ok(())
    }

    /// What is seen in a space, on every CPU.
    fn compare_roots(&self, number: usize, roots: &[Frame]) -> Check {
        let has_windows = self.world.attached_in(number).any(|(spot, _)| spot.cpu.is_some());
        prop_assert!(roots.len() == CPUS || roots.len() == 1 && !has_windows);
        for (cpu, root) in roots.iter().enumerate() {
            self.compare_seen(*root, &Sight::of_space(number, cpu))?;
        }
        Ok(())
    }

    fn compare_view(&self, view: &NamedView) -> Check {
        let space = &self.machine.kernel.spaces[self.machine.space_id(view.handle)];
        prop_assert!(space.map.is_empty() && space.map.tree.tables == 1 && space.roots().count() == 1);
        self.compare_seen(space.map.tree.root, &Sight::of_view(view.base, view.bounds))
    }

    fn compare_seen(&self, root: Frame, sight: &Sight) -> Check {
        let found = survey(root, TOP_LEVEL, &|_, _| false);
        prop_assert_eq!(merge(&found.leaves), self.world.seen(sight), "what is seen by {:?}", sight);
        prop_assert_eq!(merge(&found.globals), self.world.seen_public(), "what is global for {:?}", sight);
        Ok(())
    }

    /// What the kernel tells programs.
    pub(crate) fn check_infos(&mut self) -> Check {
        for named in self.names.subtrees.clone().into_iter().flatten() {
            let (subtree, number) = (named.handle, named.number);
            let info: SubtreeInfo = self.machine.info(|buffer| Call::SubtreeInfo { subtree, buffer })?;
            let map = &self.world.maps[number];
            let level = self.world.levels[number];
            prop_assert_eq!((info.level, info.size_bytes), (u64::from(level), entry_pages(level) * PAGE_BYTES));
            prop_assert_eq!(info.alignment_bytes, info.size_bytes);
            prop_assert_eq!(info.mappings, map.extents.len() as u64);
            prop_assert_eq!(info.mapped_bytes, map.extents.iter().map(|extent| extent.pages * PAGE_BYTES).sum::<u64>());
            prop_assert_eq!(info.sharers, self.world.places_of(number).count() as u64);
            prop_assert_eq!(info.attachments, self.world.attached_in(number).count() as u64);
            prop_assert_eq!(info.sealed, u64::from(self.world.sealed.contains(&number)));
            let slot = self.world.public.get(&number).map_or(0, |(slot, _)| *slot);
            prop_assert_eq!(info.public_address, slot * TOP_SLOT_BYTES);
        }
        for space in 0..self.names.spaces.len() + self.names.views.len() {
            self.check_space_info(space)?;
        }
        Ok(())
    }

    fn check_space_info(&mut self, seer: usize) -> Check {
        let Some((space, sight)) = self.names.seer(seer, 0) else { return Ok(()) };
        let info: SpaceInfo = self.machine.info(|buffer| Call::SpaceInfo { space, buffer })?;
        let is_view = seer >= self.names.spaces.len();
        let base = match self.names.living[&sight.space] {
            ObjectRef::Space(id) => u64::from(id.index()),
            other => panic!("{other:?} is no space"),
        };
        prop_assert_eq!(info.view_of, if is_view { base + 1 } else { 0 });
        prop_assert_eq!(info.bounds, u64::from(sight.bounds.bits()));
        let views = self.names.views.iter().flatten().filter(|view| view.base == sight.space).count() as u64;
        prop_assert_eq!(info.views, if is_view { 0 } else { views });
        let windows = self.world.attached_in(sight.space).filter(|(spot, _)| spot.cpu.is_some()).count() as u64;
        prop_assert_eq!(info.core_windows, if is_view { 0 } else { windows });
        let object = &self.machine.kernel.spaces[self.machine.space_id(space)];
        let all = survey(object.map.tree.root, TOP_LEVEL, &|_, _| false).tables * PAGE_BYTES;
        let other_roots = (object.roots().count() as u64 - 1) * PAGE_BYTES;
        if windows == 0 {
            prop_assert_eq!(info.table_bytes + info.shared_table_bytes, all + other_roots);
        }
        if is_view {
            prop_assert_eq!(info.table_bytes, PAGE_BYTES);
        }
        Ok(())
    }

    /// Gives everything up; frames and account are as they were.
    pub(crate) fn finish(mut self) -> Check {
        self.go_home();
        let names = std::mem::take(&mut self.names);
        for subtree in names.subtrees.into_iter().flatten() {
            self.delete(subtree.handle);
        }
        names.views.into_iter().flatten().for_each(|view| self.delete(view.handle));
        names.spaces.into_iter().skip(1).for_each(|space| self.delete(space.handle));
        let home = self.machine.space;
        for (spot, _) in self.world.attached_in(0).filter(|(spot, _)| spot.page != 0) {
            let address = spot.page * PAGE_BYTES;
            prop_assert_eq!(self.machine.call(Call::SubtreeDetach { target: home, address }), Ok(0));
        }
        for extent in &self.world.maps[0].extents {
            let (address, length_bytes) = (extent.first * PAGE_BYTES, extent.pages * PAGE_BYTES);
            prop_assert_eq!(self.machine.call(Call::Unmap { target: home, address, length_bytes }), Ok(0));
        }
        for cap in &self.segments {
            self.machine.call(Call::CapabilityDelete { handle: self.world.caps[*cap].handle })?;
        }
        check::check(&self.machine.kernel);
        oracle::check();
        prop_assert_eq!(oracle::take_breach(), None);
        prop_assert_eq!(self.machine.kernel.subtrees.len(), 1);
        prop_assert_eq!(self.machine.kernel.frames.free_frames(), self.free_frames);
        prop_assert_eq!(self.used_bytes(), 0);
        Ok(())
    }
}
