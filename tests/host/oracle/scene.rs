//! A machine on which operations happen.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tessera_abi::{Call, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::fake::{cpu, oracle, smp};
use tessera_arch::{Access, Fault, FaultKind, Interrupt, Trap, VirtAddr};
use tessera_kernel::address_space::MapOwner;
use tessera_kernel::object::ObjectRef;
use tessera_kernel::shared::Shared;
use tessera_kernel::{fast, flush};

use super::operation::{Kind, Operation, Part, Run, SEGMENTS, SPACES, SUBTREES, THREADS};
use super::truth;
use crate::machine::{CODE, STACK_END};
use crate::{Machine, Options};

/// Where places are, in pages behind `START`: so that large pages fit at the first and the last.
const PLACES: [u64; 5] = [0, 4, 8, 300, 512];
/// The first address of a space's own places, behind the program's slot. A subtree's are there too, counted from its
/// own start.
const START: u64 = 16 << 20;
/// Pages of the segments that have memory of their own.
const SEGMENT_PAGES: u64 = 48;

/// A program with a thread or two for each CPU.
pub(super) struct Scene {
    pub(super) machine: Machine,
    cpus: usize,
    /// Spaces, then subtrees.
    maps: Vec<Handle>,
    /// What CPUs that are interrupted know of them.
    known: Rc<RefCell<Vec<Handle>>>,
    segments: Vec<Handle>,
    threads: Vec<Handle>,
}

impl Scene {
    pub(super) fn new(run: &Run) -> Scene {
        let options = Options { cpus: run.cpus, ..Options::new(run.flavour).tag_bits(run.tag_bits) };
        let mut machine = Machine::boot(&options);
        smp::set_broadcasts(run.broadcasts);
        oracle::watch();
        let known = Rc::new(RefCell::new(Vec::new()));
        answer_interrupts(machine.kernel.shared, known.clone(), run.seed);
        let segments = vec![machine.borrow_frames(1 << 28, 1 << 12)];
        let (maps, threads) = (vec![machine.space], vec![machine.thread]);
        let mut scene = Scene { machine, cpus: run.cpus, maps, known, segments, threads };
        (1..SEGMENTS).for_each(|index| scene.replace_segment(index));
        (1..SPACES).for_each(|index| scene.replace_space(index, None));
        (0..SUBTREES).for_each(|index| scene.replace_subtree(index));
        scene.start_threads();
        scene
    }

    fn start_threads(&mut self) {
        let (account, table, space) = (self.machine.account, self.machine.table, self.machine.space);
        let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
        for _ in 1..THREADS {
            let thread = self.machine.make(Call::ThreadCreate { account, table, space, priority: 31 });
            let start = Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 };
            self.machine.call(start).expect("a new thread can be started");
            self.threads.push(thread);
        }
    }

    /// Lets something happen on a CPU, if a thread runs there.
    pub(super) fn step(&mut self, operation: &Operation) {
        let playing = operation.cpu % self.cpus;
        cpu::set_cpu_index(playing);
        if self.machine.kernel.current(playing).is_none() && !self.machine.kernel.choose(playing) {
            return;
        }
        // Refusals are other tests' business; what counts is what CPUs may still hold.
        let space = self.machine.space;
        let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
        self.machine.call(Call::ThreadSetFallback { space, instruction_pointer, stack_pointer }).ok();
        match operation.kind {
            Kind::Enter { space, fast: true } => drop(self.machine.switch_fast(self.maps[space])),
            Kind::ReplaceSpace { space, only_cpu } => self.replace_space(space, only_cpu),
            Kind::ReplaceSubtree { subtree } => self.replace_subtree(subtree),
            Kind::ReplaceSegment { segment } => self.replace_segment(segment),
            Kind::Touch { place } => self.touch(place),
            Kind::Unmap { target, nth, part } => drop(self.unmap(target, nth, part)),
            Kind::Protect { target, nth, part, rights } => drop(self.protect(target, nth, part, rights)),
            _ => drop(self.machine.call(self.call_for(&operation.kind))),
        }
    }

    /// The first breach of a rule since the last call, in words.
    pub(super) fn find_breach(&self) -> Option<String> {
        oracle::check();
        oracle::take_breach().or_else(|| (0..self.cpus).find_map(|cpu| truth::find_lie(&self.machine.kernel, cpu)))
    }

    pub(super) fn check(&self) {
        self.machine.kernel.check();
    }

    fn call_for(&self, kind: &Kind) -> Call {
        match *kind {
            Kind::Enter { space, .. } => Call::SpaceSwitch { space: self.maps[space] },
            Kind::Jump { space } => {
                let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
                Call::SpaceJump { space: self.maps[space], instruction_pointer, stack_pointer, argument: 0 }
            }
            Kind::Map { target, segment, place, pages, rights } => {
                let borrowed = segment == 0;
                let offset = if borrowed { PLACES[place] } else { place as u64 } * PAGE_BYTES;
                let length_bytes = if borrowed { pages } else { pages.min(SEGMENT_PAGES - 8) } * PAGE_BYTES;
                let address = address(target, place);
                Call::Map {
                    target: self.maps[target],
                    segment: self.segments[segment],
                    offset,
                    address,
                    length_bytes,
                    rights,
                }
            }
            Kind::Attach { space, subtree, slot, bounds, only_cpu } => {
                let (space, subtree, address) = (self.maps[space], self.maps[SPACES + subtree], slot * TOP_SLOT_BYTES);
                match only_cpu {
                    Some(cpu) => Call::SubtreeAttachCore { space, subtree, address, bounds, cpu },
                    None => Call::SubtreeAttach { space, subtree, address, bounds },
                }
            }
            Kind::Detach { space, slot, only_cpu } => {
                let (space, address) = (self.maps[space], slot * TOP_SLOT_BYTES);
                match only_cpu {
                    Some(cpu) => Call::SubtreeDetachCore { space, address, cpu },
                    None => Call::SubtreeDetach { space, address },
                }
            }
            Kind::Move { thread, cpus } => Call::ThreadSetAffinity { thread: self.threads[thread], cpus },
            _ => Call::YieldNow {},
        }
    }

    fn unmap(&mut self, target: usize, nth: usize, part: Part) -> Option<u64> {
        let (address, length_bytes) = self.part(target, nth, part)?;
        self.machine.call(Call::Unmap { target: self.maps[target], address, length_bytes }).ok()
    }

    fn protect(&mut self, target: usize, nth: usize, part: Part, rights: Rights) -> Option<u64> {
        let (address, length_bytes) = self.part(target, nth, part)?;
        self.machine.call(Call::Protect { target: self.maps[target], address, length_bytes, rights }).ok()
    }

    /// Address and length of a part of the nth mapping (as many as there are) of a space or subtree.
    fn part(&self, target: usize, nth: usize, part: Part) -> Option<(u64, u64)> {
        let handle = self.maps[target];
        let owner = match handle {
            Handle::NONE => return None,
            _ => match self.machine.object(handle) {
                ObjectRef::Subtree(id) => MapOwner::Subtree(id),
                _ => MapOwner::Space(self.machine.space_id(handle)),
            },
        };
        let mut mappings = self.machine.kernel.map_of(owner).from(0);
        let (first, mapping) = mappings.nth(nth % self.machine.kernel.map_of(owner).len().max(1))?;
        let pages = mapping.pages;
        let (skip, count) = match part {
            Part::Whole => (0, pages),
            Part::Half => (0, pages.div_ceil(2)),
            Part::Middle => (pages / 2, 1),
            Part::Last => (pages - 1, 1),
        };
        Some(((first + skip) * PAGE_BYTES, count * PAGE_BYTES))
    }

    fn replace_space(&mut self, index: usize, only_cpu: Option<u64>) {
        let account = self.machine.account;
        let call = match only_cpu {
            Some(cpu) => Call::SpaceCreateLocal { account, cpu: cpu % self.cpus as u64 },
            None => Call::SpaceCreate { account },
        };
        if self.replace_map(index, call) {
            let (space, subtree, bounds) = (self.maps[index], self.machine.program, Rights::ACCESS);
            // Not if the caller has gone with the space it was in, or there is no memory.
            self.machine
                .kernel
                .current(cpu::cpu_index())
                .is_some()
                .then(|| self.machine.call(Call::SubtreeAttach { space, subtree, address: 0, bounds }).ok());
        }
    }

    fn replace_subtree(&mut self, index: usize) {
        let account = self.machine.account;
        self.replace_map(SPACES + index, Call::SubtreeCreate { account, level: 3 });
    }

    /// Gives up what is there, if anything is; gives whether something new is there.
    fn replace_map(&mut self, index: usize, call: Call) -> bool {
        if self.maps.len() <= index {
            self.maps.push(Handle::NONE);
        }
        self.maps[index] = self.replace(self.maps[index], call);
        self.known.borrow_mut().clone_from(&self.maps);
        self.maps[index] != Handle::NONE
    }

    fn replace_segment(&mut self, index: usize) {
        if self.segments.len() <= index {
            self.segments.push(Handle::NONE);
        }
        // One has all its memory from the start, the other gets it page by page.
        let flags = u64::from(index != 1);
        let (account, length_bytes) = (self.machine.account, SEGMENT_PAGES * PAGE_BYTES);
        self.segments[index] = self.replace(self.segments[index], Call::SegmentCreate { account, length_bytes, flags });
    }

    fn replace(&mut self, handle: Handle, call: Call) -> Handle {
        if handle != Handle::NONE {
            self.machine.call(Call::CapabilityDelete { handle }).ok();
        }
        // The thread that ran here may have lost its space; another one makes the new thing.
        let playing = cpu::cpu_index();
        if self.machine.kernel.current(playing).is_none() {
            return Handle::NONE;
        }
        self.machine.call(call).map_or(Handle::NONE, Handle::from_bits)
    }

    fn touch(&mut self, place: usize) {
        let playing = cpu::cpu_index();
        let address = VirtAddr::new(address(0, place));
        let current = self.machine.kernel.current(playing).expect("some thread runs");
        let space = self.machine.kernel.space_of(current);
        if self.machine.kernel.resolve(space, address, Access::Read).is_ok() {
            self.machine.trap(Trap::Fault(Fault { kind: FaultKind::Page, address, access: Access::Read }));
        }
    }
}

fn address(target: usize, place: usize) -> u64 {
    let start = if target < SPACES { TOP_SLOT_BYTES } else { 0 };
    start + START + PLACES[place] * PAGE_BYTES
}

/// Makes CPUs see to shootdowns; some switch spaces by the fast path before they do, or after.
fn answer_interrupts(shared: &'static Shared, known: Rc<RefCell<Vec<Handle>>>, seed: u64) {
    let state = Cell::new(seed | 1);
    let random = move |limit: usize| {
        state.set(state.get().wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f));
        (state.get() >> 33) as usize % limit
    };
    smp::on_interrupt(move |cpu, interrupt| {
        let line = &shared.cpus[cpu];
        let wander = || {
            let space = known.borrow().get(random(SPACES)).copied().unwrap_or(Handle::NONE);
            fast::space_switch(shared, line, cpu, space, CODE, STACK_END);
        };
        if random(3) == 0 {
            wander();
        }
        if interrupt == Interrupt::Shootdown {
            flush::serve(shared, line, || {});
        }
        if random(3) == 0 {
            wander();
        }
    });
}
