//! A machine on which threads come and go in spaces with locks, and what is to be seen of them.

use host_tests::machine::{CODE, STACK_END, UNFINISHED};
use host_tests::{Machine, Options};
use tessera_abi::layout::{GateLayout, ThreadState, Words};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, PRIORITY_MAX, Rights};
use tessera_arch::fake::{self, Flavour};
use tessera_arch::{Interrupt, Trap};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::{ObjectRef, SegmentId, ThreadId};

use crate::model::{self, Actor, Hold};

pub(crate) const THREADS: usize = 4;
pub(crate) const SPACES: usize = 5;
pub(crate) const SEGMENTS: usize = 3;

const ADDRESS: u64 = 7 << 39;
const ENTRY: u64 = CODE + 0x100;
const STACKS: u64 = 0x70_0000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Fast,
    Waiting,
    Trying,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Enter {
        thread: usize,
        space: usize,
        how: How,
    },
    GoHome {
        thread: usize,
        how: How,
    },
    /// As long as a deadline is far.
    Wait {
        thread: usize,
        space: usize,
    },
    LetTimePass,
    Call {
        thread: usize,
    },
    Return {
        thread: usize,
    },
    Stop {
        thread: usize,
    },
    Destroy {
        space: usize,
    },
    Revoke {
        space: usize,
    },
    Map {
        space: usize,
        segment: usize,
        writes: bool,
    },
    Unmap {
        space: usize,
        segment: usize,
    },
    View {
        space: usize,
    },
    Join {
        thread: usize,
        other: usize,
    },
}

/// A space, or a view of one.
struct Place {
    handle: Handle,
    /// What threads enter by.
    door: Handle,
    /// Which segments are mapped, and whether they may be written.
    mapped: [Option<bool>; SEGMENTS],
    view: Option<Handle>,
}

struct Walker {
    handle: Handle,
    id: ThreadId,
    actor: Actor,
    /// Where it goes back to and is: a place by its number, with or without its locks.
    levels: Vec<Option<usize>>,
    /// Where it waits to go.
    goal: Option<Option<usize>>,
}

pub(crate) struct Scene {
    machine: Machine,
    segments: Vec<(Handle, SegmentId)>,
    places: Vec<Place>,
    threads: Vec<Walker>,
    gate: Handle,
    time_ns: u64,
}

impl Scene {
    pub(crate) fn new(flavour: Flavour) -> Scene {
        let mut machine = Machine::boot(&Options::new(flavour).frames(8192).slots(128));
        let segments = (0..SEGMENTS)
            .map(|_| {
                let handle = machine.segment(2 * PAGE_BYTES, 2);
                let ObjectRef::Segment(id) = machine.object(handle) else { panic!("a segment") };
                (handle, id)
            })
            .collect();
        let gate = gate(&mut machine);
        let mut scene = Scene { machine, segments, places: Vec::new(), threads: Vec::new(), gate, time_ns: 0 };
        for _ in 0..SPACES {
            let place = scene.new_place();
            scene.places.push(place);
        }
        for _ in 0..THREADS {
            let thread = scene.new_walker();
            scene.threads.push(thread);
        }
        scene
    }

    fn new_place(&mut self) -> Place {
        let handle = self.machine.new_space();
        self.machine.attach_program(handle);
        let door = self.machine.make(Call::CapabilityDerive { handle, rights: Rights::all(), badge: 0 });
        Place { handle, door, mapped: [None; SEGMENTS], view: None }
    }

    fn new_walker(&mut self) -> Walker {
        let (account, table, space) = (self.machine.account, self.machine.table, self.machine.space);
        let create = Call::ThreadCreate { account, table, space, priority: PRIORITY_MAX.into() };
        let (handle, id) = self.machine.new_thread(create);
        let start =
            Call::ThreadStart { thread: handle, instruction_pointer: CODE, stack_pointer: STACK_END, argument: 0 };
        self.machine.call(start).expect("a new thread can be started");
        let actor = Actor { levels: vec![Vec::new()], ..Actor::default() };
        Walker { handle, id, actor, levels: vec![None], goal: None }
    }

    pub(crate) fn play(&mut self, operation: &Operation) {
        let main = self.machine.thread_id;
        match *operation {
            Operation::Enter { thread, space, how } => self.enter(thread, Some(space), how),
            Operation::GoHome { thread, how } => self.enter(thread, None, how),
            Operation::Wait { thread, space } => self.wait(thread, space),
            Operation::LetTimePass => self.let_time_pass(),
            Operation::Call { thread } => self.call_gate(thread),
            Operation::Return { thread } => self.go_back(thread),
            Operation::Stop { thread } => self.stop(thread),
            Operation::Destroy { space } => self.destroy(space),
            Operation::Revoke { space } => self.revoke(space),
            Operation::Map { space, segment, writes } => self.map(space, segment, writes),
            Operation::Unmap { space, segment } => self.unmap(space, segment),
            Operation::View { space } => self.view(space),
            Operation::Join { thread, other } => self.join(thread, other),
        }
        self.let_run(main);
        self.look();
    }

    /// Whether a thread is there to do something.
    fn is_ready(&self, thread: usize) -> bool {
        let walker = &self.threads[thread];
        walker.goal.is_none() && walker.actor.joins.is_none()
    }

    /// What a thread would hold in a place now.
    fn holds_in(&self, place: Option<usize>) -> Vec<Hold> {
        let Some(place) = place else { return Vec::new() };
        let place = &self.places[place];
        let reads = place.view.is_some();
        let mapped = place.mapped.iter().enumerate();
        mapped.filter_map(|(lock, mapped)| Some(Hold { lock, exclusively: (*mapped)? && !reads })).collect()
    }

    fn actors(&self) -> Vec<Actor> {
        self.threads.iter().map(|walker| walker.actor.clone()).collect()
    }

    fn door(&self, place: Option<usize>) -> Handle {
        place.map_or(self.machine.space, |place| self.places[place].view.unwrap_or(self.places[place].door))
    }

    fn enter(&mut self, thread: usize, place: Option<usize>, how: How) {
        if !self.is_ready(thread) {
            return;
        }
        let (door, id) = (self.door(place), self.threads[thread].id);
        let (before, wants) = (self.actors(), self.holds_in(place));
        self.let_run(id);
        let result = match how {
            How::Fast => self.machine.switch_fast(door),
            How::Waiting => self.machine.call(Call::SpaceSwitch { space: door }),
            How::Trying => self.machine.call(Call::SpaceSwitchUntil { space: door, until_ns: 0 }),
        };
        self.note_entry(thread, place, result);
        let can = model::is_free(&before, thread, &wants);
        match result {
            Err(Error::Deadlock) => assert!(model::is_ring(&before, thread, &wants), "nobody would wait for itself"),
            Err(Error::Busy) => assert!(how == How::Trying, "who does not try waits"),
            Ok(value) => assert!(how != How::Trying || value != UNFINISHED, "who tries does not wait"),
            Err(error) => panic!("entering is refused: {error}"),
        }
        let is_awaited =
            before.iter().any(|actor| actor.awaits.is_some_and(|lock| wants.iter().any(|want| want.lock == lock)));
        assert!(!can || is_awaited || matches!(result, Ok(value) if value != UNFINISHED), "what is free can be had");
    }

    fn note_entry(&mut self, thread: usize, place: Option<usize>, result: Result<u64, Error>) {
        let held = self.holds_in(place);
        let walker = &mut self.threads[thread];
        match result {
            Ok(UNFINISHED) => walker.goal = Some(place),
            Ok(_) => {
                *walker.levels.last_mut().expect("a thread is somewhere") = place;
                *walker.actor.levels.last_mut().expect("a thread is somewhere") = held;
            }
            Err(_) => {}
        }
    }

    fn wait(&mut self, thread: usize, space: usize) {
        if !self.is_ready(thread) {
            return;
        }
        let (door, id) = (self.door(Some(space)), self.threads[thread].id);
        self.let_run(id);
        self.time_ns = tessera_arch::now_ns() + 1_000_000_000;
        let result = self.machine.call(Call::SpaceSwitchUntil { space: door, until_ns: self.time_ns });
        if let Err(error) = result {
            assert!(matches!(error, Error::Deadlock | Error::TimedOut), "waiting is refused: {error}");
        }
        self.note_entry(thread, Some(space), result);
    }

    /// All deadlines pass.
    fn let_time_pass(&mut self) {
        fake::timer::advance_ns(3_000_000_000);
        self.machine.trap(Trap::Interrupt(Interrupt::Timer));
        for walker in &self.threads {
            let stack = self.machine.kernel.threads[walker.id].activations.as_ref();
            let is_timed = stack.is_some_and(|stack| stack.awaited.is_some_and(|awaited| awaited.is_timed));
            assert!(!is_timed, "a deadline is over, and a thread still waits");
        }
    }

    fn call_gate(&mut self, thread: usize) {
        if !self.is_ready(thread) || self.threads[thread].levels.len() > 3 {
            return;
        }
        let (gate, id) = (self.gate, self.threads[thread].id);
        self.let_run(id);
        let call = Call::GateCall { gate, flags: 0, capability: Handle::NONE, rights: Rights::empty() };
        self.machine.call_commonly(call);
        let walker = &mut self.threads[thread];
        if self.machine.kernel.threads[id].depth() == walker.levels.len() {
            walker.levels.push(None);
            walker.actor.levels.push(Vec::new());
            // On ground that all share.
            let registers = self.machine.kernel.threads[id].context.registers_mut();
            registers.set_entry(CODE, STACK_END, [0, 0]);
        }
    }

    fn go_back(&mut self, thread: usize) {
        if !self.is_ready(thread) || self.threads[thread].levels.len() == 1 {
            return;
        }
        let id = self.threads[thread].id;
        self.let_run(id);
        let back = Call::GateReturn { capability: Handle::NONE, rights: Rights::empty(), flags: 0 };
        self.machine.call_commonly(back);
        self.look_where(thread);
    }

    fn stop(&mut self, thread: usize) {
        let main = self.machine.thread_id;
        self.let_run(main);
        let handle = self.threads[thread].handle;
        self.machine.call(Call::ThreadStop { thread: handle }).expect("a thread can be stopped");
        self.machine.call(Call::CapabilityDelete { handle }).expect("a capability can be deleted");
        // In a call it ends when it comes out.
        while self.machine.kernel.threads.find(self.threads[thread].id).is_some() {
            let id = self.threads[thread].id;
            if self.machine.kernel.threads[id].state == ThreadState::Entering {
                return self.forget_waiting(thread);
            }
            self.let_run(id);
            let back = Call::GateReturn { capability: Handle::NONE, rights: Rights::empty(), flags: 0 };
            self.machine.call_commonly(back);
        }
        self.threads[thread] = self.renewed(thread);
    }

    /// A thread that was stopped waits in a call, and ends when it comes out: until then another one is in its place.
    fn forget_waiting(&mut self, thread: usize) {
        let gone = std::mem::replace(&mut self.threads[thread].id, self.machine.thread_id);
        let kernel = &mut self.machine.kernel;
        let mut effort = tessera_kernel::base::effort::Effort::unlimited();
        tessera_kernel::sched::ending::end_thread_within(kernel, gone, ThreadState::Stopped, &mut effort);
        self.machine.call(Call::Null {}).expect("nothing stands against doing nothing");
        self.threads[thread] = self.renewed(thread);
    }

    fn renewed(&mut self, thread: usize) -> Walker {
        for other in &mut self.threads {
            if other.actor.joins == Some(thread) {
                other.actor.joins = None;
            }
        }
        let main = self.machine.thread_id;
        self.let_run(main);
        self.new_walker()
    }

    fn destroy(&mut self, space: usize) {
        let main = self.machine.thread_id;
        self.let_run(main);
        self.forget_view(space);
        for handle in [self.places[space].door, self.places[space].handle] {
            self.machine.call(Call::CapabilityDelete { handle }).expect("a capability can be deleted");
        }
        self.look_who_left(space);
        self.places[space] = self.new_place();
    }

    /// Those who were in a place by a capability that went have gone from there, and ended if they were in no call.
    fn look_who_left(&mut self, space: usize) {
        for thread in 0..THREADS {
            let walker = &mut self.threads[thread];
            for (place, held) in walker.levels.iter_mut().zip(&mut walker.actor.levels) {
                if *place == Some(space) {
                    held.clear();
                }
            }
            self.look_where(thread);
        }
    }

    fn revoke(&mut self, space: usize) {
        let main = self.machine.thread_id;
        self.let_run(main);
        self.forget_view(space);
        let handle = self.places[space].handle;
        self.machine.call(Call::CapabilityRevoke { handle }).expect("what was lent can be taken back");
        self.look_who_left(space);
        self.places[space].door = self.machine.make(Call::CapabilityDerive { handle, rights: Rights::all(), badge: 0 });
    }

    fn forget_view(&mut self, space: usize) {
        if let Some(handle) = self.places[space].view.take() {
            self.machine.call(Call::CapabilityDelete { handle }).expect("a capability can be deleted");
            self.look_who_left(space);
        }
    }

    fn map(&mut self, space: usize, segment: usize, writes: bool) {
        let main = self.machine.thread_id;
        self.let_run(main);
        let (target, handle) = (self.places[space].handle, self.segments[segment].0);
        let rights = if writes { Rights::READ_WRITE } else { Rights::READ };
        let address = ADDRESS + segment as u64 * (1 << 30);
        let result = self.machine.map(target, handle, 0, address, 2 * PAGE_BYTES, rights);
        let (is_mapped, has_view) = (self.places[space].mapped[segment].is_some(), self.places[space].view.is_some());
        let is_inside = self.threads.iter().any(|walker| {
            let levels = walker.levels.iter().zip(&walker.actor.levels).enumerate();
            let mut there = levels.filter(|(_, (place, _))| **place == Some(space));
            there.any(|(level, (_, held))| level + 1 == walker.levels.len() || !held.is_empty())
        });
        match result {
            Ok(_) => {
                assert!(!is_mapped && !has_view && !is_inside, "what is locked is mapped under threads");
                self.places[space].mapped[segment] = Some(writes);
            }
            Err(Error::BadState) => assert!(is_mapped || has_view, "there is room"),
            Err(Error::Busy) => {}
            Err(error) => panic!("mapping is refused: {error}"),
        }
    }

    fn unmap(&mut self, space: usize, segment: usize) {
        let main = self.machine.thread_id;
        self.let_run(main);
        let (target, address) = (self.places[space].handle, ADDRESS + segment as u64 * (1 << 30));
        let result = self.machine.call(Call::Unmap { target, address, length_bytes: 2 * PAGE_BYTES });
        assert_eq!(result.is_ok(), self.places[space].mapped[segment].take().is_some());
        for walker in &mut self.threads {
            for (place, held) in walker.levels.iter().zip(&mut walker.actor.levels) {
                if *place == Some(space) {
                    held.retain(|hold| hold.lock != segment);
                }
            }
        }
    }

    fn view(&mut self, space: usize) {
        let main = self.machine.thread_id;
        self.let_run(main);
        if self.places[space].view.is_some() {
            return self.forget_view(space);
        }
        let is_known =
            self.threads.iter().any(|walker| walker.levels.contains(&Some(space)) || walker.goal == Some(Some(space)));
        if !is_known {
            let (account, space_handle) = (self.machine.account, self.places[space].handle);
            let view = Call::ViewCreate { account, space: space_handle, bounds: Rights::READ };
            self.places[space].view = Some(self.machine.make(view));
        }
    }

    fn join(&mut self, thread: usize, other: usize) {
        if !self.is_ready(thread) || thread == other {
            return;
        }
        let (id, target) = (self.threads[thread].id, self.threads[other].handle);
        let before = self.actors();
        self.let_run(id);
        let result = self.machine.call(Call::ThreadJoin { thread: target });
        let mut after = before;
        after[thread].joins = Some(other);
        match result {
            Ok(UNFINISHED) => {
                self.threads[thread].actor.joins = Some(other);
                // It would never run again: nobody ends by itself here.
                self.look();
                self.stop(other);
            }
            Err(Error::Deadlock) => assert!(is_ring_by_joining(&after, thread), "nobody would wait for itself"),
            other => panic!("joining gives {other:?}"),
        }
    }

    /// What has become of a thread since it was looked at last.
    fn look_where(&mut self, thread: usize) {
        let kernel = &self.machine.kernel;
        let id = self.threads[thread].id;
        let has_ended = kernel.threads.find(id).is_none_or(|thread| thread.has_ended());
        if has_ended {
            if let Some(handle) = Some(self.threads[thread].handle) {
                self.machine.call(Call::CapabilityDelete { handle }).expect("a capability can be deleted");
            }
            self.threads[thread] = self.renewed(thread);
            return;
        }
        let depth = kernel.threads[id].depth();
        let walker = &mut self.threads[thread];
        if depth + 1 < walker.levels.len() {
            // It came out of calls: wherever it wanted to go is forgotten.
            walker.levels.truncate(depth + 1);
            walker.actor.levels.truncate(depth + 1);
            walker.goal = None;
        }
    }

    /// Sees who has come in, before anybody makes another call.
    fn see_arrivals(&mut self) {
        for thread in 0..THREADS {
            let id = self.threads[thread].id;
            let Some(goal) = self.threads[thread].goal else { continue };
            let Some(record) = self.machine.kernel.threads.find(id) else { continue };
            if record.state == ThreadState::Entering {
                continue;
            }
            let (status, value) = self.machine.kernel.threads[id].context.registers().result();
            let result = Error::from_status(status).map(|()| value);
            self.threads[thread].goal = None;
            match result {
                Ok(_) => self.note_entry(thread, goal, result),
                Err(error) => assert!(
                    matches!(error, Error::TimedOut | Error::Deadlock | Error::BadHandle),
                    "who waited is refused: {error}"
                ),
            }
        }
    }

    /// Lets others run until this thread does.
    fn let_run(&mut self, id: ThreadId) {
        self.see_arrivals();
        self.machine.let_run(id);
    }

    /// Checks all that there is to be checked.
    fn look(&mut self) {
        self.see_arrivals();
        for thread in 0..THREADS {
            let (id, goal) = (self.threads[thread].id, self.threads[thread].goal);
            let stack = self.machine.kernel.threads[id].activations.as_ref();
            let awaited = stack.and_then(|stack| stack.awaited).map(|awaited| awaited.segment);
            let lock = self.segments.iter().position(|(_, segment)| Some(segment.index()) == awaited);
            assert_eq!(goal.is_some(), lock.is_some(), "who waits is in a queue");
            let wants = goal.map(|goal| self.holds_in(goal));
            let actor = &mut self.threads[thread].actor;
            (actor.awaits, actor.wants) = (lock, wants);
        }
        self.check();
    }

    fn check(&self) {
        let actors = self.actors();
        for (lock, (_, id)) in self.segments.iter().enumerate() {
            let own = self.machine.kernel.segments[*id].lock.as_ref().expect("it is lockable");
            let (writers, readers) = model::counts(&actors, lock);
            assert!(writers <= 1 && (writers == 0 || readers == 0), "a writer is alone");
            assert_eq!(
                (usize::from(own.writer.is_some()), own.readers as usize),
                (writers, readers),
                "holders are counted"
            );
            let waiting = actors.iter().filter(|actor| actor.awaits == Some(lock)).count();
            assert_eq!(own.waiting_count as usize, waiting, "those who wait are counted");
            if let Some(first) = own.waiting.first(&self.machine.kernel.threads) {
                let first = self.threads.iter().position(|walker| walker.id == first).expect("a thread of ours");
                let wants = actors[first].wants.clone().expect("who waits wants something");
                let is_first = |want: &Hold| {
                    let queue = self.machine.kernel.segments[self.segments[want.lock].1].lock.as_ref();
                    let other = queue.and_then(|lock| lock.waiting.first(&self.machine.kernel.threads));
                    other.is_none_or(|other| other == self.threads[first].id)
                };
                let can = model::is_free(&actors, first, &wants) && wants.iter().all(is_first);
                assert!(!can, "who can come in has come in");
            }
        }
        assert!(!model::is_anybody_stuck(&actors), "a thread waits for itself");
        check::check(&self.machine.kernel);
    }

    /// Everybody goes, and nothing is held any more.
    pub(crate) fn end(mut self) {
        for thread in 0..THREADS {
            self.stop(thread);
            self.look();
        }
        for (_, id) in &self.segments {
            let lock = self.machine.kernel.segments[*id].lock.as_ref().expect("it is lockable");
            assert_eq!((lock.writer, lock.readers, lock.waiting_count), (None, 0, 0), "all have gone");
        }
        for space in 0..SPACES {
            self.destroy(space);
        }
        check::check(&self.machine.kernel);
    }
}

fn is_ring_by_joining(actors: &[Actor], thread: usize) -> bool {
    model::is_ring(actors, thread, &[])
}

fn gate(machine: &mut Machine) -> Handle {
    let (account, table) = (machine.account, machine.table);
    let space = machine.new_space();
    machine.attach_program(space);
    let layout = GateLayout { entry: ENTRY, stacks: STACKS, stack_bytes: PAGE_BYTES, count: 16 };
    let mut words = [0; GateLayout::COUNT];
    layout.write(&mut words);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    machine.write(host_tests::machine::BUFFER, &bytes);
    let call = Call::GateCreate { account, space, table, layout: host_tests::machine::BUFFER };
    machine.make(call)
}
