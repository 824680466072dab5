//! What operations do, to the machine and to the model.

use host_tests::machine::{CODE, STACK_END};
use proptest::prelude::*;
use tessera_abi::{Call, Error, Handle, ObjectKind, PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::fake::{cpu, timer};
use tessera_arch::{Interrupt, Trap};
use tessera_kernel::object::id::{AttachPoint, MapTarget, ObjectRef, ThreadId};
use tessera_kernel::sched::{running, way_in};

use crate::model::{Node, What};
use crate::operations::{Kind, Operation, Way};
use crate::scene::{Actor, LANDING, Scene, UnderWay};

/// Where places are, in pages behind `START`: so that large pages fit at the first and the last.
const PLACES: [u64; 5] = [0, 4, 8, 300, 512];
const START: u64 = 16 << 20;
/// The most threads there ever are.
const THREADS_MAX: usize = 20;

type Acted = Result<(), TestCaseError>;

impl Scene {
    /// Lets something happen on a CPU, if a thread runs there; or the next step of what that thread has begun.
    pub(crate) fn step(&mut self, operation: &Operation) -> Acted {
        let playing = operation.cpu % self.means.cpus;
        if let Some(actor) = self.play(playing) {
            let runs = self.prepare_to_wander();
            if self.actors[actor].under_way.is_some() {
                self.go_on(actor, &runs)?;
            } else {
                self.act(playing, actor, &operation.kind, &runs)?;
            }
            self.follow_wanderers(&runs);
            self.stop_wandering();
            let ended = self.model.collect();
            self.note_ends(&ended);
            for actor in 0..self.actors.len() {
                if self.has_landed(self.actors[actor].id) {
                    self.actors[actor].under_way = None;
                }
            }
        } else {
            self.let_time_pass(playing);
        }
        self.compare()
    }

    fn act(&mut self, playing: usize, actor: usize, kind: &Kind, runs: &[Option<ThreadId>]) -> Acted {
        match *kind {
            Kind::Derive { node, rights, badge } => {
                let Some((node, handle)) = self.held(actor, node, None) else { return Ok(()) };
                let call = Call::CapabilityDerive { handle, rights, badge };
                self.hand_on(node, self.actors[actor].table, (rights, badge), call);
            }
            Kind::Copy { node, table, rights, badge } => {
                let Some((node, handle)) = self.held(actor, node, None) else { return Ok(()) };
                let door = self.doors[self.actors[actor].table][table];
                let call = Call::CapabilityCopy { handle, table: door, rights, badge };
                self.hand_on(node, table, (rights, badge), call);
            }
            Kind::Delete { node } => {
                let Some((node, handle)) = self.held(actor, node, None) else { return Ok(()) };
                if self.model.nodes[node].is_kept {
                    return Ok(());
                }
                prop_assert_eq!(self.machine.call(Call::CapabilityDelete { handle }), Ok(0));
                self.follow_wanderers(runs);
                self.model.remove(node);
            }
            Kind::Revoke { node, badge } => return self.begin_to_revoke(actor, node, badge, runs),
            Kind::List { node, chunk } => {
                let Some((node, handle)) = self.held(actor, node, None) else { return Ok(()) };
                return self.compare_list(node, handle, chunk);
            }
            Kind::Yield => drop(self.machine.call(Call::YieldNow {})),
            Kind::Settle => self.settle(playing),
            _ => self.act_on_kinds(actor, kind, runs)?,
        }
        Ok(())
    }

    fn act_on_kinds(&mut self, actor: usize, kind: &Kind, runs: &[Option<ThreadId>]) -> Acted {
        match *kind {
            Kind::Map { target, segment, place, pages, rights } => {
                self.map(actor, [target, segment], place, pages, rights);
            }
            Kind::Unmap { target, nth, part } => self.change(actor, target, nth, part, None),
            Kind::Protect { target, nth, part, rights } => self.change(actor, target, nth, part, Some(rights)),
            Kind::Attach { target, subtree, spot, bounds, only_cpu } => {
                self.attach(actor, [target, subtree], spot, bounds, only_cpu);
            }
            Kind::Detach { target, nth } => self.detach(actor, target, nth),
            Kind::View { space, bounds } => self.make_view(actor, space, bounds),
            Kind::Enter { space, way } => self.enter(actor, space, way, runs),
            Kind::Fallback { space } => self.set_fallback(actor, space),
            Kind::Create { space } => self.create_thread(actor, space),
            _ => return self.live(actor, kind, runs),
        }
        Ok(())
    }

    /// The nth capability of a thread's table, of a kind if one is given.
    fn held(&self, actor: usize, nth: usize, kinds: Option<&[ObjectKind]>) -> Option<(usize, Handle)> {
        let table = self.actors[actor].table;
        let fits = |node: &Node| kinds.is_none_or(|kinds| kinds.contains(&node.object.kind()));
        let held = self.model.there().filter(|(_, node)| fits(node)).filter_map(|(number, node)| match node.what {
            What::Capability { table: t, handle, .. } if t == table => Some((number, handle)),
            _ => None,
        });
        let held: Vec<_> = held.collect();
        (!held.is_empty()).then(|| held[nth % held.len()])
    }

    /// Makes a call that gives the handle of a capability that is below another one.
    fn hand_on(&mut self, parent: usize, table: usize, (rights, badge): (Rights, u64), call: Call) {
        if let Ok(bits) = self.machine.call(call) {
            let object = self.model.nodes[parent].object;
            let what = What::Capability { table, handle: Handle::from_bits(bits), rights };
            self.model.add(object, what, badge, Some(parent));
        }
    }

    /// Notes in the kernel where all threads are.
    fn settle(&mut self, playing: usize) {
        for cpu in 0..self.means.cpus {
            cpu::set_cpu_index(cpu);
            if let Some(id) = running::current(&self.machine.kernel, cpu) {
                // Not by a call, which would be counted.
                self.machine.kernel.note_activity();
                way_in::note_here(&mut self.machine.kernel, id);
            }
        }
        cpu::set_cpu_index(playing);
    }

    fn map(&mut self, actor: usize, [target, segment]: [usize; 2], place: usize, pages: u64, rights: Rights) {
        let Some((to, target)) = self.held(actor, target, Some(&[ObjectKind::Space, ObjectKind::Subtree])) else {
            return;
        };
        let Some((through, segment)) = self.held(actor, segment, Some(&[ObjectKind::Segment])) else { return };
        let Some(owner) = owner_of(self.model.nodes[to].object) else { return };
        let address = self.start_of(owner) + PLACES[place] * PAGE_BYTES;
        let offset = if self.model.nodes[through].object == self.objects[1] { PLACES[place] * PAGE_BYTES } else { 0 };
        let call = Call::Map { target, segment, offset, address, length_bytes: pages * PAGE_BYTES, rights };
        if self.machine.call(call).is_ok() {
            self.model.lend(through, What::Mapping { owner, first: address / PAGE_BYTES, pages, rights });
        }
    }

    fn level_of(&self, owner: MapTarget) -> Option<u8> {
        match owner {
            MapTarget::Space(_) => None,
            MapTarget::Subtree(id) => Some(self.machine.kernel.subtrees[id].level()),
        }
    }

    /// Where places begin in a space or subtree.
    fn start_of(&self, owner: MapTarget) -> u64 {
        match self.level_of(owner) {
            None => TOP_SLOT_BYTES + START,
            Some(1) => 0,
            Some(_) => START,
        }
    }

    /// Unmaps a part of the nth mapping, or gives it other rights.
    fn change(&mut self, actor: usize, target: usize, nth: usize, (from, count): (u64, u64), rights: Option<Rights>) {
        let Some((to, target)) = self.held(actor, target, Some(&[ObjectKind::Space, ObjectKind::Subtree])) else {
            return;
        };
        let Some(owner) = owner_of(self.model.nodes[to].object) else { return };
        let mappings = self.model.mappings(owner);
        let Some(mapping) = mappings.get(nth % mappings.len().max(1)).copied() else { return };
        let What::Mapping { first, pages, .. } = self.model.nodes[mapping].what else { return };
        let start = first + (pages * from / 16).min(pages - 1);
        let count = (pages * count / 16).clamp(1, first + pages - start);
        let (address, length_bytes) = (start * PAGE_BYTES, count * PAGE_BYTES);
        let call = match rights {
            None => Call::Unmap { target, address, length_bytes },
            Some(rights) => Call::Protect { target, address, length_bytes, rights },
        };
        if self.machine.call(call).is_err() {
            return;
        }
        let part = self.model.cut(mapping, start, count);
        match (rights, &mut self.model.nodes[part]) {
            (None, node) => node.is_gone = true,
            (Some(given), Node { what: What::Mapping { rights, .. }, .. }) => *rights = given,
            _ => {}
        }
    }

    fn attach(
        &mut self,
        actor: usize,
        [target, subtree]: [usize; 2],
        (slot, unit): (u64, u64),
        bounds: Rights,
        only_cpu: Option<u64>,
    ) {
        let Some((to, target)) = self.held(actor, target, Some(&[ObjectKind::Space, ObjectKind::Subtree])) else {
            return;
        };
        let Some((through, subtree)) = self.held(actor, subtree, Some(&[ObjectKind::Subtree])) else { return };
        let Some(owner) = owner_of(self.model.nodes[to].object) else { return };
        let inner = owner_of(self.model.nodes[through].object).and_then(|inner| self.level_of(inner)).unwrap_or(3);
        let slot = if matches!(owner, MapTarget::Space(_)) { slot * TOP_SLOT_BYTES } else { 0 };
        let address = if inner == 3 { slot } else { slot + unit * (PAGE_BYTES << (9 * inner)) };
        let cpu = only_cpu.filter(|_| inner == 3).map(|cpu| cpu % self.means.cpus as u64);
        let call = match cpu {
            None => Call::SubtreeAttach { target, subtree, address, bounds, flags: 0 },
            Some(cpu) => Call::SubtreeAttachCore { space: target, subtree, address, bounds, cpu },
        };
        if self.machine.call(call).is_ok() {
            let place = AttachPoint { page: address / PAGE_BYTES, cpu: cpu.map(|cpu| cpu as usize) };
            self.model.lend(through, What::Attachment { owner, place });
        }
    }

    fn detach(&mut self, actor: usize, target: usize, nth: usize) {
        let Some((to, target)) = self.held(actor, target, Some(&[ObjectKind::Space, ObjectKind::Subtree])) else {
            return;
        };
        let Some(owner) = owner_of(self.model.nodes[to].object) else { return };
        let attached = self.model.attachments(owner);
        let Some(attachment) = attached.get(nth % attached.len().max(1)).copied() else { return };
        let What::Attachment { place, .. } = self.model.nodes[attachment].what else { return };
        let address = place.page * PAGE_BYTES;
        let call = match place.cpu {
            None => Call::SubtreeDetach { target, address },
            Some(cpu) => Call::SubtreeDetachCore { space: target, address, cpu: cpu as u64 },
        };
        if self.machine.call(call).is_ok() {
            self.model.remove(attachment);
        }
    }

    fn make_view(&mut self, actor: usize, space: usize, bounds: Rights) {
        let Some((through, space)) = self.held(actor, space, Some(&[ObjectKind::Space])) else { return };
        let table = self.actors[actor].table;
        let call = Call::ViewCreate { account: self.accounts[table], space, bounds };
        let Ok(bits) = self.machine.call(call) else { return };
        let handle = Handle::from_bits(bits);
        let kernel = &self.machine.kernel.tables[self.tables[table]];
        let slot = kernel.slot_of(handle).expect("it was given just now");
        let (rights, object) = (kernel.rights(slot), self.machine.kernel.object_of(kernel.record(slot).object));
        let Some(ObjectRef::Space(view)) = object else { panic!("a view is a space") };
        self.model.views.push(view);
        self.model.lend(through, What::View { view });
        self.model.add(ObjectRef::Space(view), What::Capability { table, handle, rights }, 0, None);
    }

    fn enter(&mut self, actor: usize, space: usize, way: Way, runs: &[Option<ThreadId>]) {
        let Some((through, space)) = self.held(actor, space, Some(&[ObjectKind::Space])) else { return };
        let has_entered = match way {
            Way::Fast => self.machine.switch_fast(space).is_ok(),
            Way::Common => self.machine.call(Call::SpaceSwitch { space }).is_ok(),
            Way::Jump => {
                let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
                self.machine.call(Call::SpaceJump { space, instruction_pointer, stack_pointer, argument: 0 }).is_ok()
            }
        };
        self.follow_wanderers(runs);
        if has_entered {
            self.enter_by(self.actors[actor].id, through);
        }
    }

    fn set_fallback(&mut self, actor: usize, space: Option<usize>) {
        let through = space.and_then(|space| self.held(actor, space, Some(&[ObjectKind::Space])));
        if space.is_some() && through.is_none() {
            return;
        }
        let handle = through.map_or(Handle::NONE, |(_, handle)| handle);
        let call = Call::ThreadSetFallback { space: handle, instruction_pointer: LANDING, stack_pointer: STACK_END };
        if self.machine.call(call).is_ok() {
            self.model.set_fallback(self.actors[actor].id, through.map(|(node, _)| node));
        }
    }

    fn create_thread(&mut self, actor: usize, space: usize) {
        let table = self.actors[actor].table;
        let Some((through, space)) = self.held(actor, space, Some(&[ObjectKind::Space])) else { return };
        if self.actors.len() >= THREADS_MAX {
            return;
        }
        let call =
            Call::ThreadCreate { account: self.accounts[table], table: self.doors[table][table], space, priority: 31 };
        let Ok(bits) = self.machine.call(call) else { return };
        let thread = Handle::from_bits(bits);
        self.furniture[table] += 1;
        let kernel = &self.machine.kernel.tables[self.tables[table]];
        let slot = kernel.slot_of(thread).expect("it was given just now");
        let object = self.machine.kernel.object_of(kernel.record(slot).object);
        let Some(ObjectRef::Thread(id)) = object else { panic!("{object:?} is no thread") };
        self.take_in((id, thread), table, table, through);
        let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
        let start = Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 };
        self.machine.call(start).expect("a new thread can be started");
    }

    /// Threads end and wait.
    fn live(&mut self, actor: usize, kind: &Kind, runs: &[Option<ThreadId>]) -> Acted {
        let table = self.actors[actor].table;
        match *kind {
            Kind::Stop { nth } => {
                let known = |other: &&Actor| other.known_as.0 == table && !other.has_ended;
                let stoppable: Vec<_> = self.actors.iter().filter(known).cloned().collect();
                // The first ones are those who keep tables.
                let Some(other) = stoppable.get(nth % stoppable.len().max(1)).filter(|other| self.is_mortal(other.id))
                else {
                    return Ok(());
                };
                let (id, thread) = (other.id, other.known_as.1);
                self.machine.call(Call::ThreadStop { thread }).ok();
                self.follow_wanderers(runs);
                self.model.end_thread(id);
                self.note_ends(&[id]);
            }
            Kind::Exit if self.is_mortal(self.actors[actor].id) => {
                let id = self.actors[actor].id;
                self.machine.call(Call::ThreadExit { code: 0 }).ok();
                self.model.end_thread(id);
                self.note_ends(&[id]);
            }
            Kind::Sleep => {
                self.machine.call(Call::Sleep { nanoseconds: 1000 }).ok();
                timer::advance_ns(600);
            }
            Kind::Join => {
                let keeper = self.actors.iter().find(|other| other.known_as.0 == table && !self.is_mortal(other.id));
                if let Some(thread) = keeper.map(|other| other.known_as.1).filter(|_| actor != 0) {
                    self.machine.call(Call::ThreadJoin { thread }).ok();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a thread may end: those who keep a table do not, nor does the first one by itself.
    fn is_mortal(&self, id: ThreadId) -> bool {
        use tessera_abi::layout::ThreadState::Created;
        id != self.machine.thread_id && self.machine.kernel.threads[id].state != Created
    }

    fn begin_to_revoke(&mut self, actor: usize, node: usize, badge: Option<u64>, runs: &[Option<ThreadId>]) -> Acted {
        let Some((from, handle)) = self.held(actor, node, None) else { return Ok(()) };
        if from == 0 && badge.is_none_or(|badge| badge == 0) {
            return Ok(());
        }
        let call = match badge {
            None => Call::CapabilityRevoke { handle },
            Some(badge) => Call::CapabilityRevokeBadge { handle, badge },
        };
        let victims = self.model.victims(from, badge);
        self.actors[actor].under_way = Some(UnderWay { call, from, badge, victims });
        self.go_on(actor, runs)
    }

    /// Who sleeps on a CPU wakes up.
    fn let_time_pass(&mut self, playing: usize) {
        cpu::set_cpu_index(playing);
        timer::advance_ns(2000);
        self.machine.trap(Trap::Interrupt(Interrupt::Timer));
    }
}

/// A space or subtree as what shows things.
pub(crate) fn owner_of(object: ObjectRef) -> Option<MapTarget> {
    match object {
        ObjectRef::Space(id) => Some(MapTarget::Space(id)),
        ObjectRef::Subtree(id) => Some(MapTarget::Subtree(id)),
        _ => None,
    }
}

/// Why a revocation need not be finished by who began it: the capability went.
pub(crate) const GIVEN_UP: Error = Error::BadHandle;
