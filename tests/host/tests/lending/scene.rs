//! A machine with several programs on several CPUs, and the model of what they lend each other.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use host_tests::machine::{CODE, STACK_END};
use host_tests::{Machine, Options};
use tessera_abi::{Call, Handle, Rights};
use tessera_arch::Interrupt;
use tessera_arch::fake::{Flavour, cpu, oracle, smp};
use tessera_kernel::cpu::per_cpu::Shared;
use tessera_kernel::cpu::switch;
use tessera_kernel::object::id::{ObjectRef, TableId, ThreadId};
use tessera_kernel::sched::running;
use tessera_kernel::tlb::flush;

use crate::model::{Model, What};

/// Programs, each with a table of its own.
pub(crate) const TABLES: usize = 3;
/// Threads that each has to begin with.
const THREADS: usize = 2;
/// Slots in each table.
const SLOTS: u64 = 64;
/// Where threads land.
pub(crate) const LANDING: u64 = CODE + 0x40;
/// Levels of the subtrees.
pub(crate) const LEVELS: [u64; 3] = [3, 2, 1];

/// How a machine is.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    pub(crate) flavour: Flavour,
    pub(crate) broadcasts: bool,
    pub(crate) tag_bits: u32,
    pub(crate) cpus: usize,
    /// Units of effort at each entry.
    pub(crate) units: u32,
    pub(crate) seed: u64,
}

/// A call that a thread has begun and not finished.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay {
    pub(crate) call: Call,
    pub(crate) from: usize,
    pub(crate) badge: Option<u64>,
    /// What it was to take back when it began.
    pub(crate) victims: Vec<usize>,
}

/// A thread.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) id: ThreadId,
    pub(crate) table: usize,
    /// In which table there is a handle of it, and which.
    pub(crate) known_as: (usize, Handle),
    pub(crate) has_ended: bool,
    pub(crate) under_way: Option<UnderWay>,
}

/// A CPU that was interrupted has changed spaces, by this handle.
type Wandered = (usize, Handle);

/// The machine and the model.
pub(crate) struct Scene {
    pub(crate) machine: Machine,
    /// How many steps of a check come between operations; 0 for a check in one go.
    pub(crate) check_steps: u32,
    pub(crate) means: Means,
    pub(crate) model: Model,
    pub(crate) tables: Vec<TableId>,
    /// By table, the handles there of all tables.
    pub(crate) doors: Vec<Vec<Handle>>,
    /// By table, its handle of the account.
    pub(crate) accounts: Vec<Handle>,
    /// How many capabilities each table has that no operation is about.
    pub(crate) furniture: Vec<u32>,
    pub(crate) actors: Vec<Actor>,
    /// Objects that stay, and what they are called in the kernel.
    pub(crate) objects: Vec<ObjectRef>,
    pub(crate) wandered: Rc<RefCell<Vec<Wandered>>>,
    /// By CPU, what who runs there may try to enter.
    pub(crate) doors_seen: Rc<RefCell<Vec<Vec<Handle>>>>,
}

impl Scene {
    pub(crate) fn new(means: Means) -> Scene {
        let options = Options { cpus: means.cpus, ..Options::new(means.flavour).tag_bits(means.tag_bits).frames(2048) };
        let mut machine = Machine::boot(&options.slots(SLOTS as u32));
        smp::set_broadcasts(means.broadcasts);
        oracle::watch();
        let (wandered, doors_seen) = (Rc::default(), Rc::new(RefCell::new(vec![Vec::new(); means.cpus])));
        answer_interrupts(machine.kernel.shared, &wandered, &doors_seen, means.seed);
        let tables: Vec<Handle> = [machine.table]
            .into_iter()
            .chain((1..TABLES).map(|_| machine.make(Call::TableCreate { account: machine.account, slots: SLOTS })))
            .collect();
        let ids = tables.iter().map(|table| match machine.object(*table) {
            ObjectRef::CapTable(id) => id,
            other => panic!("{other:?} is no table"),
        });
        let ids: Vec<TableId> = ids.collect();
        let mut scene = Scene {
            machine,
            check_steps: 0,
            means,
            model: Model::default(),
            tables: ids,
            doors: vec![tables],
            accounts: Vec::new(),
            furniture: Vec::new(),
            actors: Vec::new(),
            objects: Vec::new(),
            wandered,
            doors_seen,
        };
        scene.furnish();
        scene.make_objects();
        scene.make_threads();
        scene
    }

    /// Gives each table what its threads need.
    fn furnish(&mut self) {
        self.accounts.push(self.machine.account);
        let own = self.doors[0].clone();
        for table in 1..TABLES {
            let account = self.machine.account;
            let mut copy = |handle, rights| {
                self.machine.make(Call::CapabilityCopy { handle, table: own[table], rights, badge: 0 })
            };
            self.accounts.push(copy(account, Rights::CHARGE));
            self.doors.push(own.iter().map(|door| copy(*door, Rights::INSERT | Rights::CONTROL)).collect());
        }
    }

    fn make_objects(&mut self) {
        let account = self.machine.account;
        let home = self.machine.space;
        let calls = [
            Call::SegmentCreate { account, length_bytes: 0xc000, flags: 0 },
            Call::SegmentCreate { account, length_bytes: 0x4000, flags: 1 },
            Call::SpaceCreate { account },
            Call::SpaceCreate { account },
            Call::SpaceCreateLocal { account, cpu: 1 },
        ];
        let mut handles: Vec<Handle> = vec![home, self.machine.borrow_frames(1 << 28, 1 << 12)];
        handles.extend(calls.map(|call| self.machine.make(call)));
        handles[4..].iter().for_each(|space| self.machine.attach_program(*space));
        handles.extend(LEVELS.map(|level| self.machine.make(Call::SubtreeCreate { account, level })));
        for handle in handles {
            let object = self.machine.object(handle);
            self.objects.push(object);
            let what = What::Capability { table: 0, handle, rights: Rights::all() };
            let root = self.model.add(object, what, 0, None);
            self.model.nodes[root].is_kept = true;
        }
        for table in 1..TABLES {
            let door = self.doors[0][table];
            let handle =
                self.machine.make(Call::CapabilityCopy { handle: home, table: door, rights: Rights::all(), badge: 0 });
            let what = What::Capability { table, handle, rights: Rights::all() };
            let node = self.model.add(self.objects[0], what, 0, Some(0));
            self.model.nodes[node].is_kept = true;
        }
    }

    /// Besides threads that act, each table has one that is never started, so that it is never emptied.
    fn make_threads(&mut self) {
        let main = (self.machine.thread_id, self.machine.thread);
        self.take_in(main, 0, 0, 0);
        for table in 0..TABLES {
            for number in 0..=THREADS {
                if (table, number) == (0, 1) {
                    continue;
                }
                let (account, space) = (self.machine.account, self.machine.space);
                let call = Call::ThreadCreate { account, table: self.doors[0][table], space, priority: 31 };
                let (thread, id) = self.machine.new_thread(call);
                self.take_in((id, thread), table, 0, 0);
                if number != 0 {
                    let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
                    let start = Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 };
                    self.machine.call(start).expect("a new thread can be started");
                }
            }
        }
        for (table, id) in self.tables.iter().enumerate() {
            let modelled = self
                .model
                .there()
                .filter(|(_, node)| matches!(node.what, What::Capability { table: t, .. } if t == table));
            self.furniture.push(self.machine.kernel.tables[*id].used() - modelled.count() as u32);
        }
    }

    /// Takes a new thread into the model.
    pub(crate) fn take_in(&mut self, (id, handle): (ThreadId, Handle), table: usize, creator: usize, through: usize) {
        self.model.lend(through, What::Inside { thread: id });
        self.actors.push(Actor { id, table, known_as: (creator, handle), has_ended: false, under_way: None });
    }

    /// Plays a CPU; gives the thread that runs there, if one does.
    pub(crate) fn play(&mut self, playing: usize) -> Option<usize> {
        cpu::set_cpu_index(playing);
        if running::current(&self.machine.kernel, playing).is_none()
            && !tessera_kernel::entry::trap::schedule(&mut self.machine.kernel, playing)
        {
            return None;
        }
        let id = running::current(&self.machine.kernel, playing)?;
        self.actors.iter().position(|actor| actor.id == id)
    }

    /// Whether a thread runs on some CPU.
    pub(crate) fn runs(&self, id: ThreadId) -> bool {
        (0..self.means.cpus).any(|cpu| running::current(&self.machine.kernel, cpu) == Some(id))
    }

    /// Says what interrupted CPUs may try from here on, and who they are.
    pub(crate) fn prepare_to_wander(&mut self) -> Vec<Option<ThreadId>> {
        let runs: Vec<_> = (0..self.means.cpus).map(|cpu| running::current(&self.machine.kernel, cpu)).collect();
        let mut seen = self.doors_seen.borrow_mut();
        for (cpu, thread) in runs.iter().enumerate() {
            let table = self.actors.iter().find(|actor| Some(actor.id) == *thread).map(|actor| actor.table);
            let handles = self.model.there().filter_map(|(_, node)| match (node.what, node.object) {
                (What::Capability { table: t, handle, .. }, ObjectRef::Space(_)) if Some(t) == table => Some(handle),
                _ => None,
            });
            seen[cpu] = handles.collect();
        }
        runs
    }

    /// Nobody is to change spaces but while a thread acts.
    pub(crate) fn stop_wandering(&self) {
        self.doors_seen.borrow_mut().iter_mut().for_each(Vec::clear);
    }

    /// Notes in the model where interrupted CPUs went.
    pub(crate) fn follow_wanderers(&mut self, runs: &[Option<ThreadId>]) {
        for (cpu, handle) in self.wandered.take() {
            let thread = runs[cpu].expect("a CPU that switches runs a thread");
            let table = self.actors.iter().find(|actor| actor.id == thread).expect("threads are known").table;
            let through = self.model.named(table, handle).expect("a switch takes a capability");
            self.enter_by(thread, through);
        }
    }

    /// A thread is in a space by a capability. If that is to be taken back, so is this.
    pub(crate) fn enter_by(&mut self, thread: ThreadId, through: usize) {
        let inside = self.model.enter(thread, through);
        for under_way in self.actors.iter_mut().filter_map(|actor| actor.under_way.as_mut()) {
            if under_way.victims.contains(&through) {
                under_way.victims.push(inside);
            }
        }
    }

    /// Threads have ended.
    pub(crate) fn note_ends(&mut self, ended: &[ThreadId]) {
        for actor in self.actors.iter_mut().filter(|actor| ended.contains(&actor.id)) {
            (actor.has_ended, actor.under_way) = (true, None);
        }
    }
}

/// Makes CPUs see to shootdowns; some switch spaces by the fast path before they do, or after.
fn answer_interrupts(
    shared: &'static Shared,
    wandered: &Rc<RefCell<Vec<Wandered>>>,
    seen: &Rc<RefCell<Vec<Vec<Handle>>>>,
    seed: u64,
) {
    let (wandered, seen, state) = (wandered.clone(), seen.clone(), Cell::new(seed | 1));
    let random = move |limit: usize| {
        state.set(state.get().wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f));
        (state.get() >> 33) as usize % limit
    };
    smp::on_interrupt(move |cpu, interrupt| {
        let line = &shared.cpus[cpu];
        let wander = || {
            let handle = match seen.borrow()[cpu].as_slice() {
                [] => return,
                doors => doors[random(doors.len())],
            };
            if switch::space_switch(line, handle, CODE, STACK_END).status == 0 {
                wandered.borrow_mut().push((cpu, handle));
            }
        };
        if random(3) == 0 {
            wander();
        }
        if interrupt == Interrupt::Shootdown {
            flush::handle_ipi(shared, line, None);
        }
        if random(3) == 0 {
            wander();
        }
    });
}

impl Scene {
    /// Whoever has begun something finishes it; then all say where they are.
    pub(crate) fn finish(&mut self) -> Result<(), proptest::prelude::TestCaseError> {
        use crate::operations::{Kind, Operation};
        for round in 0..2000 {
            if self.actors.iter().all(|actor| actor.under_way.is_none()) {
                break;
            }
            let kind = Kind::Yield;
            self.step(&Operation { cpu: round, kind })?;
        }
        let left: Vec<_> = self.actors.iter().filter(|actor| actor.under_way.is_some()).collect();
        assert!(left.is_empty(), "{left:?} never come to an end");
        for cpu in 0..self.means.cpus {
            self.step(&Operation { cpu, kind: Kind::Settle })?;
        }
        Ok(())
    }
}
