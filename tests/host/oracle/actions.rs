//! What operations do.

use tessera_abi::{Call, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::fake::cpu;
use tessera_arch::{Access, Fault, FaultKind, Trap, VirtAddr};
use tessera_kernel::object::id::{AttachPoint, MapTarget, ObjectRef};
use tessera_kernel::sched::running;
use tessera_kernel::vm::attach;
use tessera_kernel::vm::fault;
use tessera_kernel::vm::target;

use super::operation::{Kind, LEVELS, Part, SPACES, Spot, Way};
use super::scene::{SEGMENT_PAGES, Scene};
use crate::machine::{CODE, STACK_END};

/// Where places are, in pages behind `START`: so that large pages fit at the first and the last.
const PLACES: [u64; 5] = [0, 4, 8, 300, 512];
/// The first address of a space's own places, behind the program's slot. A subtree's are there too, counted from its
/// own start.
const START: u64 = 16 << 20;

impl Scene {
    pub(super) fn call_for(&self, kind: &Kind) -> Call {
        match *kind {
            Kind::Enter { space, .. } => Call::SpaceSwitch { space: self.enterable(space) },
            Kind::Jump { space } => {
                let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
                Call::SpaceJump { space: self.enterable(space), instruction_pointer, stack_pointer, argument: 0 }
            }
            Kind::Map { target, segment, place, pages, rights } => {
                let borrowed = segment == 0;
                let offset = if borrowed { PLACES[place] } else { place as u64 } * PAGE_BYTES;
                let length_bytes = if borrowed { pages } else { pages.min(SEGMENT_PAGES - 8) } * PAGE_BYTES;
                let address = address_in(target, place);
                Call::Map {
                    target: self.maps[target],
                    segment: self.segments[segment],
                    offset,
                    address,
                    length_bytes,
                    rights,
                }
            }
            Kind::Withdraw { subtree } => Call::SubtreeWithdraw { subtree: self.maps[SPACES + subtree] },
            Kind::Seal { subtree } => Call::SubtreeSeal { subtree: self.maps[SPACES + subtree] },
            Kind::Move { thread, cpus } => Call::ThreadSetAffinity { thread: self.threads[thread], cpus },
            _ => Call::YieldNow {},
        }
    }

    pub(super) fn unmap(&mut self, target: usize, nth: usize, part: Part) -> Option<u64> {
        let (address, length_bytes) = self.part(target, nth, part)?;
        self.machine.call(Call::Unmap { target: self.maps[target], address, length_bytes }).ok()
    }

    pub(super) fn protect(&mut self, target: usize, nth: usize, part: Part, rights: Rights) -> Option<u64> {
        let (address, length_bytes) = self.part(target, nth, part)?;
        self.machine.call(Call::Protect { target: self.maps[target], address, length_bytes, rights }).ok()
    }

    pub(super) fn attach(&mut self, target: usize, subtree: usize, spot: Spot, bounds: Rights, way: Way) {
        let address = spot_in(target, subtree, spot);
        let (target, subtree) = (self.maps[target], self.maps[SPACES + subtree]);
        let call = match way {
            Way::Plain => Call::SubtreeAttach { target, subtree, address, bounds, flags: 0 },
            Way::Window => Call::SubtreeAttach { target, subtree, address, bounds, flags: 1 },
            Way::OnlyCpu(cpu) => {
                self.machine.call(Call::SubtreeWithdraw { subtree }).ok();
                Call::SubtreeAttachCore { space: target, subtree, address, bounds, cpu }
            }
        };
        self.machine.call(call).ok();
    }

    /// The first attachment of a space, its program, stays.
    pub(super) fn detach(&mut self, target: usize, nth: usize) -> Option<u64> {
        let kernel = &self.machine.kernel;
        let attached = attach::attachments(kernel, self.owner(target)?).map(|(place, _)| place);
        let attached: Vec<AttachPoint> = attached.filter(|place| place.page != 0).collect();
        let place = attached.get(nth % attached.len().max(1))?;
        let (space, address) = (self.maps[target], place.page * PAGE_BYTES);
        let call = match place.cpu {
            Some(cpu) => Call::SubtreeDetachCore { space, address, cpu: cpu as u64 },
            None => Call::SubtreeDetach { target: space, address },
        };
        self.machine.call(call).ok()
    }

    pub(super) fn publish(&mut self, subtree: usize, slot: u64, bounds: Rights) -> Option<u64> {
        let (machine, subtree, address) = (self.machine.machine, self.maps[SPACES + subtree], slot * TOP_SLOT_BYTES);
        self.machine.call(Call::SubtreeWithdraw { subtree }).ok()?;
        self.machine.call(Call::SubtreePublish { machine, subtree, address, bounds }).ok()
    }

    pub(super) fn owner(&self, target: usize) -> Option<MapTarget> {
        match self.maps[target] {
            Handle::NONE => None,
            handle => Some(match self.machine.object(handle) {
                ObjectRef::Subtree(id) => MapTarget::Subtree(id),
                _ => MapTarget::Space(self.machine.space_id(handle)),
            }),
        }
    }

    pub(super) fn enterable(&self, space: usize) -> Handle {
        if space < SPACES { self.maps[space] } else { self.views[space - SPACES] }
    }

    /// Address and length of a part of the nth mapping (as many as there are) of a space or subtree.
    pub(super) fn part(&self, target: usize, nth: usize, part: Part) -> Option<(u64, u64)> {
        let owner = self.owner(target)?;
        let mut mappings = target::map_of(&self.machine.kernel, owner).from(0);
        let (first, mapping) = mappings.nth(nth % target::map_of(&self.machine.kernel, owner).len().max(1))?;
        let pages = mapping.pages;
        let (skip, count) = match part {
            Part::Whole => (0, pages),
            Part::Half => (0, pages.div_ceil(2)),
            Part::Middle => (pages / 2, 1),
            Part::Last => (pages - 1, 1),
        };
        Some(((first + skip) * PAGE_BYTES, count * PAGE_BYTES))
    }

    /// An access to a page that may have no memory yet, or not be mapped.
    pub(super) fn touch(&mut self, slot: u64, place: usize) {
        let playing = cpu::cpu_index();
        let address = VirtAddr::new(slot * TOP_SLOT_BYTES + START + PLACES[place] * PAGE_BYTES);
        let current = running::current(&self.machine.kernel, playing).expect("some thread runs");
        let space = running::space_of(&self.machine.kernel, current);
        if fault::handle_fault(&mut self.machine.kernel, space, address, Access::Read).is_ok() {
            self.machine.trap(Trap::Fault(Fault { kind: FaultKind::Page, address, access: Access::Read }));
        }
    }
}

/// The address of a place in a space or subtree; those of 2 MiB have room for the first ones only.
fn address_in(target: usize, place: usize) -> u64 {
    let start = match target.checked_sub(SPACES) {
        None => TOP_SLOT_BYTES + START,
        Some(subtree) if LEVELS[subtree] == 1 => 0,
        Some(_) => START,
    };
    start + PLACES[place] * PAGE_BYTES
}

/// The address of a spot for a subtree in a space or subtree.
fn spot_in(target: usize, subtree: usize, spot: Spot) -> u64 {
    let slot = if target < SPACES { spot.slot * TOP_SLOT_BYTES } else { 0 };
    if LEVELS[subtree] == 3 { slot } else { slot + spot.unit * (PAGE_BYTES << (9 * LEVELS[subtree])) }
}
