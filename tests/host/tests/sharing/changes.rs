//! What an operation asks of the kernel, and what the model makes of it.

use host_tests::model::{Attached, SPACE_LEVEL, World};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES};

use crate::operations::{AttachPoint, Operation, Part};
use crate::scene::{SPACES, Scene};

impl Scene {
    /// The system call for an operation, if there is what it is about.
    pub(crate) fn call_for(&self, operation: &Operation) -> Option<Call> {
        Some(match *operation {
            Operation::Map { target, segment, place, pages, rights } => {
                let (target, level, _) = self.target(target)?;
                let address = place.address(level, 0);
                let (segment, offset, length_bytes) = self.fitted(segment, address, pages);
                Call::Map { target, segment, offset, address, length_bytes, rights }
            }
            Operation::Unmap { target, part } => {
                let (address, length_bytes) = self.mapped_part(target, part);
                Call::Unmap { target: self.target(target)?.0, address, length_bytes }
            }
            Operation::Protect { target, part, rights } => {
                let (address, length_bytes) = self.mapped_part(target, part);
                Call::Protect { target: self.target(target)?.0, address, length_bytes, rights }
            }
            Operation::Attach { target, subtree, place, bounds, is_window } => {
                let (target, to_level, _) = self.target(target)?;
                let (subtree, level, _) = self.target(SPACES + subtree)?;
                let flags = u64::from(is_window);
                Call::SubtreeAttach { target, subtree, address: place.address(to_level, level), bounds, flags }
            }
            Operation::AttachCore { space, subtree, place, bounds, cpu } => {
                let (space, subtree, address) =
                    (self.target(space)?.0, self.target(SPACES + subtree)?.0, place.slot_address());
                Call::SubtreeAttachCore { space, subtree, address, bounds, cpu: cpu as u64 }
            }
            Operation::Detach { target, which, place } => {
                let address = self.attached_place(target, which, place)?;
                Call::SubtreeDetach { target: self.target(target)?.0, address }
            }
            Operation::DetachCore { space, place, cpu } => {
                Call::SubtreeDetachCore { space: self.target(space)?.0, address: place.slot_address(), cpu: cpu as u64 }
            }
            Operation::Seal { subtree } => Call::SubtreeSeal { subtree: self.target(SPACES + subtree)?.0 },
            Operation::Withdraw { subtree } => Call::SubtreeWithdraw { subtree: self.target(SPACES + subtree)?.0 },
            Operation::Publish { subtree, place, bounds } => Call::SubtreePublish {
                machine: self.machine.machine,
                subtree: self.target(SPACES + subtree)?.0,
                address: place.slot_address(),
                bounds,
            },
            _ => return None,
        })
    }

    /// The errors that apply, and the value otherwise; then the model has changed.
    pub(crate) fn predict(&self, world: &mut World, operation: &Operation, call: &Call) -> (Vec<Error>, u64) {
        let number = |target: usize| self.target(target).and_then(|(.., number)| number);
        let subtree = |subtree: usize| number(SPACES + subtree).expect("a subtree has a number");
        let errors = match (operation, *call) {
            (Operation::Withdraw { subtree: index }, _) => {
                let number = subtree(*index);
                let places = world.places_of(number).count() + usize::from(world.public.contains_key(&number));
                return (world.withdraw(number), places as u64);
            }
            (Operation::Seal { subtree: index }, _) => {
                world.sealed.insert(subtree(*index));
                Vec::new()
            }
            (Operation::Publish { subtree: index, .. }, Call::SubtreePublish { address, bounds, .. }) => {
                world.publish(subtree(*index), address, bounds, &self.names.living_spaces(world))
            }
            (
                Operation::AttachCore { space, subtree: index, .. },
                Call::SubtreeAttachCore { address, bounds, cpu, .. },
            ) => {
                let attached = Attached { subtree: subtree(*index), bounds, is_window: false };
                world.attach(self.names.spaces[*space].number, address, Some(cpu as usize), attached)
            }
            (Operation::DetachCore { space, .. }, Call::SubtreeDetachCore { address, cpu, .. }) => {
                world.detach(self.names.spaces[*space].number, address, Some(cpu as usize))
            }
            _ => self.predict_change(world, operation, call),
        };
        (errors, 0)
    }

    /// The same for what can be asked of a view as well, which refuses it.
    fn predict_change(&self, world: &mut World, operation: &Operation, call: &Call) -> Vec<Error> {
        let (Operation::Map { target, .. }
        | Operation::Unmap { target, .. }
        | Operation::Protect { target, .. }
        | Operation::Attach { target, .. }
        | Operation::Detach { target, .. }) = *operation
        else {
            panic!("{operation:?} has no target")
        };
        let Some((.., Some(number))) = self.target(target) else { return vec![Error::MissingRight] };
        match (operation, *call) {
            (Operation::Map { segment, .. }, Call::Map { offset, address, length_bytes, rights, .. }) => {
                world.map(number, self.segments[*segment], offset, address, length_bytes, rights)
            }
            (_, Call::Unmap { address, length_bytes, .. }) => world.unmap(number, address, length_bytes),
            (_, Call::Protect { address, length_bytes, rights, .. }) => {
                world.protect(number, address, length_bytes, rights)
            }
            (Operation::Attach { subtree, .. }, Call::SubtreeAttach { address, bounds, flags, .. }) => {
                let (.., subtree) = self.target(SPACES + subtree).expect("there is a call");
                let subtree = subtree.expect("a subtree has a number");
                world.attach(number, address, None, Attached { subtree, bounds, is_window: flags != 0 })
            }
            (_, Call::SubtreeDetach { address, .. }) => world.detach(number, address, None),
            _ => panic!("{call:?} is not for {operation:?}"),
        }
    }

    /// Segment, offset and length for a mapping at an address: large pages where the memory allows them.
    fn fitted(&self, segment: usize, address: u64, pages: u64) -> (Handle, u64, u64) {
        let cap = self.world.caps[self.segments[segment]];
        let room = self.world.segments[cap.segment].pages;
        let first = address / PAGE_BYTES % (room / 2);
        (cap.handle, first * PAGE_BYTES, pages.min(room - first) * PAGE_BYTES)
    }

    /// Address and length of a part of what is mapped.
    fn mapped_part(&self, target: usize, part: Part) -> (u64, u64) {
        let extents = match self.target(target) {
            Some((.., Some(number))) => self.world.maps[number].extents.as_slice(),
            _ => &[],
        };
        let Some(extent) = extents.get(part.which % extents.len().max(1)) else { return (PAGE_BYTES, PAGE_BYTES) };
        let skip = part.skip % extent.pages;
        let pages = part.take.clamp(1, extent.pages - skip);
        ((extent.first + skip) * PAGE_BYTES, pages * PAGE_BYTES)
    }

    /// Where something is attached for all CPUs, or a place where there may be nothing. The program, at the start of
    /// every space, stays.
    fn attached_place(&self, target: usize, which: usize, place: Option<AttachPoint>) -> Option<u64> {
        let (_, level, number) = self.target(target)?;
        let is_program = |page: u64| page == 0 && level == SPACE_LEVEL;
        let attached = number.into_iter().flat_map(|number| self.world.attached_in(number)).map(|(spot, _)| spot);
        let all: Vec<u64> = attached.filter(|spot| spot.cpu.is_none()).map(|spot| spot.page * PAGE_BYTES).collect();
        let all: Vec<u64> = all.into_iter().filter(|address| !is_program(*address)).collect();
        let anywhere = place.map(|place| place.address(level, 1)).filter(|address| !is_program(*address));
        anywhere.or_else(|| all.get(which % all.len().max(1)).copied())
    }
}
