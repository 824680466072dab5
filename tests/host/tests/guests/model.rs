//! Random runs of three guests by three threads on two CPUs, by both paths, with kicks, revocations and ends, against a naive model:
//! a thread is at home or in a guest.

use core::sync::atomic::Ordering::Relaxed;

use host_tests::machine::{CODE, STACK_END};
use host_tests::smp::Cpus;
use host_tests::{FLAVOURS, config};
use proptest::collection::vec;
use proptest::test_runner::{TestCaseError, TestRunner};
use tessera_abi::guest::{GuestEnd, STEP};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights};
use tessera_arch::fake::{Flavour, oracle};
use tessera_arch::{Access, Fault, FaultKind, GuestPage, Interrupt, Registers, Trap, VirtAddr, table};
use tessera_kernel::base::mutants::{GUEST_MUTANTS, seed};
use tessera_kernel::entry::trap;
use tessera_kernel::object::id::{ObjectRef, ThreadId};
use tessera_kernel::sched::{guests, running};

use super::scene::{GUEST_IP, INSTRUCTION_POINTER, Path, Scene, THREAD_POINTER, result};

const GUESTS: usize = 3;
const THREADS: usize = 3;

/// A guest, what it needs, and what all who run it have been lent.
#[derive(Debug)]
struct Guest {
    own: [Handle; 3],
    lent: [Handle; 2],
    page: &'static GuestPage,
    is_over: bool,
    is_kicked: bool,
    /// What its registers hold.
    mark: u64,
    /// What its state says of why it came out.
    end: u64,
}

const OBJECT: usize = 0;
const SPACE: usize = 1;
const STATE: usize = 2;

/// A thread, the guest that it runs, and what its last run must have given, if that is known.
#[derive(Clone, Debug)]
struct Thread {
    handle: Handle,
    id: ThreadId,
    cpu: usize,
    runs: Option<usize>,
    last: Option<Result<u64, Error>>,
}

struct World {
    scene: Scene,
    cpus: Cpus,
    guests: Vec<Guest>,
    threads: Vec<Thread>,
    /// Marks that were given so far.
    marks: u64,
    fast: u64,
}

/// What a thread's own registers hold.
fn home_mark(thread: usize) -> u64 {
    0x1000 + thread as u64
}

impl World {
    fn new(flavour: Flavour) -> World {
        let scene = Scene::new(flavour, 2);
        oracle::watch();
        let cpus = Cpus::new(scene.machine.kernel.shared);
        let mut world = World { scene, cpus, guests: Vec::new(), threads: Vec::new(), marks: 0x2000, fast: 0 };
        for number in 0..GUESTS {
            let guest = world.new_guest();
            world.guests.push(guest);
            world.lend(number);
        }
        for (number, cpu) in [0, 1, 1].into_iter().enumerate() {
            let thread = world.new_thread(number, cpu);
            world.threads.push(thread);
        }
        world
    }

    fn new_guest(&mut self) -> Guest {
        let machine = &mut self.scene.machine;
        let (account, state, space) = (machine.account, machine.segment(PAGE_BYTES, 0), machine.new_space());
        let segment = machine.make(Call::CapabilityDerive { handle: state, rights: Rights::READ_WRITE, badge: 7 });
        let object = machine.make(Call::GuestCreate { account, segment, offset: 0 });
        let ObjectRef::Segment(id) = machine.object(state) else { panic!("a segment") };
        let page = &table(machine.kernel.segments[id].frame(0).expect("it has its memory"))[..];
        machine.call(Call::CapabilityDelete { handle: segment }).expect("its guest stays");
        self.marks += 1;
        page[INSTRUCTION_POINTER].store(GUEST_IP, Relaxed);
        page[THREAD_POINTER].store(self.marks, Relaxed);
        let lent = [Handle::NONE; 2];
        Guest { own: [object, space, state], lent, page, is_over: false, is_kicked: false, mark: self.marks, end: 0 }
    }

    /// Lends a guest and its space to those who run it.
    fn lend(&mut self, guest: usize) {
        for what in [OBJECT, SPACE] {
            let handle = self.guests[guest].own[what];
            let derive = Call::CapabilityDerive { handle, rights: Rights::RUN, badge: 1 };
            self.guests[guest].lent[what] = self.scene.machine.make(derive);
        }
    }

    fn new_thread(&mut self, number: usize, cpu: usize) -> Thread {
        let machine = &mut self.scene.machine;
        let (account, table, space) = (machine.account, machine.table, machine.space);
        let (handle, id) = machine.new_thread(Call::ThreadCreate { account, table, space, priority: 31 });
        machine.call(Call::ThreadSetAffinity { thread: handle, cpus: 1 << cpu }).expect("it may run there");
        machine.kernel.threads[id].context.registers_mut().set_thread_pointer(home_mark(number));
        let start =
            Call::ThreadStart { thread: handle, instruction_pointer: CODE, stack_pointer: STACK_END, argument: 0 };
        machine.call(start).expect("it is new");
        Thread { handle, id, cpu, runs: None, last: None }
    }

    /// Makes a thread run on a CPU, which is played then; gives whether it does. Whoever else runs there is taken off it.
    fn let_run(&mut self, id: ThreadId, cpu: usize) -> bool {
        self.cpus.play(cpu);
        let kernel = &mut self.scene.machine.kernel;
        for _ in 0..8 {
            if running::current(kernel, cpu) == Some(id) {
                return true;
            }
            running::requeue_current(kernel, cpu);
            trap::schedule(kernel, cpu);
        }
        false
    }

    fn turn(&mut self, thread: usize) -> bool {
        let Thread { id, cpu, .. } = self.threads[thread];
        self.let_run(id, cpu)
    }

    /// The machine's first thread does all that is no run.
    fn act(&mut self, call: Call) {
        assert!(self.let_run(self.scene.machine.thread_id, 0), "it never ends");
        self.scene.machine.call(call).expect("it is granted");
    }

    fn runner(&self, guest: usize) -> Option<usize> {
        (0..THREADS).find(|thread| self.threads[*thread].runs == Some(guest))
    }

    fn run(&mut self, thread: usize, guest: usize, (path, steps): (Path, bool)) {
        if self.threads[thread].runs.is_some() || !self.turn(thread) {
            return;
        }
        let Guest { lent: [object, space], is_over, is_kicked, .. } = self.guests[guest];
        let flags = if steps { STEP } else { 0 };
        let call = Call::GuestRun { guest: object, space, flags, deadline_ns: u64::MAX };
        self.fast += u64::from(self.scene.run_by(path, call) == Path::Fast);
        self.threads[thread].last = match () {
            () if self.runner(guest).is_some() => Some(Err(Error::Busy)),
            () if is_over => Some(Err(Error::Gone)),
            () if is_kicked => {
                self.guests[guest].is_kicked = false;
                self.guests[guest].end = GuestEnd::Kick as u64;
                Some(Ok(GuestEnd::Kick as u64))
            }
            () => {
                self.threads[thread].runs = Some(guest);
                None
            }
        };
    }

    /// The registers of a guest that a thread runs which is on its CPU.
    fn inner(&mut self, thread: usize, guest: usize) -> &mut Registers {
        let ObjectRef::Guest(id) = self.scene.machine.object(self.guests[guest].own[OBJECT]) else { panic!("a guest") };
        let kernel = &mut self.scene.machine.kernel;
        if kernel.guests[id].fresh_cpu().is_some() {
            return kernel.guests[id].context.registers_mut();
        }
        kernel.threads[self.threads[thread].id].context.registers_mut()
    }

    /// In the model: the guest that a thread runs is out, with what the run has given and what its state says then.
    fn out(&mut self, thread: usize, last: Result<u64, Error>) {
        if let Some(guest) = self.threads[thread].runs.take() {
            self.guests[guest].end = last.unwrap_or(0);
            self.threads[thread].last = Some(last);
        }
    }

    /// The guest of a thread computes, and then makes a system call, or a mistake, or is interrupted.
    fn inside(&mut self, thread: usize, (what, path): (u8, Path)) {
        let Some(guest) = self.threads[thread].runs.filter(|_| self.turn(thread)) else { return };
        self.marks += 1;
        let mark = self.marks;
        self.inner(thread, guest).set_thread_pointer(mark);
        self.guests[guest].mark = mark;
        let fault = |kind| Trap::Fault(Fault { kind, address: VirtAddr::new(7 << 40), access: Access::Write });
        let end = match what {
            0 => GuestEnd::Fault,
            1 => GuestEnd::Breakpoint,
            2 => {
                self.scene.trap(Trap::Interrupt(Interrupt::Timer));
                return;
            }
            _ => {
                self.fast += u64::from(self.scene.leave_by(path) == Path::Fast);
                return self.out(thread, Ok(GuestEnd::Call as u64));
            }
        };
        self.scene.trap(fault(if what == 0 { FaultKind::Page } else { FaultKind::Breakpoint }));
        self.out(thread, Ok(end as u64));
    }

    fn kick(&mut self, guest: usize) {
        let (is_over, call) = (self.guests[guest].is_over, Call::GuestKick { guest: self.guests[guest].own[OBJECT] });
        if is_over {
            return;
        }
        self.act(call);
        match self.runner(guest) {
            Some(thread) => self.out(thread, Ok(GuestEnd::Kick as u64)),
            None => self.guests[guest].is_kicked = true,
        }
    }

    /// Takes back a guest, its space, or its state, from all who were lent it.
    fn revoke(&mut self, guest: usize, what: usize) {
        self.act(Call::CapabilityRevoke { handle: self.guests[guest].own[what] });
        if let Some(thread) = self.runner(guest) {
            self.out(thread, Err(Error::Gone));
        }
        self.guests[guest].is_over |= what == STATE;
        self.renew_lent(guest, what);
    }

    /// Who runs a guest by a capability that is deleted goes on; it is found when that is revoked which it came from.
    fn delete(&mut self, guest: usize, what: usize) {
        let what = what % 2;
        self.act(Call::CapabilityDelete { handle: self.guests[guest].lent[what] });
        self.renew_lent(guest, what);
    }

    fn renew_lent(&mut self, guest: usize, what: usize) {
        if what != STATE {
            let handle = self.guests[guest].own[what];
            let derive = Call::CapabilityDerive { handle, rights: Rights::RUN, badge: 1 };
            self.guests[guest].lent[what] = self.scene.machine.make(derive);
        }
    }

    /// All of a guest goes, and another one comes.
    fn renew(&mut self, guest: usize) {
        let own = self.guests[guest].own;
        // A thread that is in the space keeps neither.
        for handle in [own[SPACE], own[OBJECT], own[STATE]] {
            self.act(Call::CapabilityRevoke { handle });
            self.act(Call::CapabilityDelete { handle });
        }
        if let Some(thread) = self.runner(guest) {
            self.out(thread, Err(Error::Gone));
        }
        self.guests[guest] = self.new_guest();
        self.lend(guest);
    }

    /// A thread is stopped; it is nobody else's, so that it does not come out, and another one comes.
    fn stop(&mut self, thread: usize) {
        let Thread { handle, cpu, .. } = self.threads[thread];
        self.act(Call::ThreadStop { thread: handle });
        self.act(Call::CapabilityDelete { handle });
        self.out(thread, Err(Error::Gone));
        self.threads[thread] = self.new_thread(thread, cpu);
    }

    fn compare(&self) {
        let kernel = &self.scene.machine.kernel;
        for (number, thread) in self.threads.iter().enumerate() {
            let is_current = running::current(kernel, thread.cpu) == Some(thread.id);
            let registers = match is_current {
                true => guests::registers(kernel, thread.cpu, thread.id),
                false => kernel.threads[thread.id].context.registers(),
            };
            let (space, mark) = match thread.runs {
                Some(guest) => (self.guests[guest].own[SPACE], self.guests[guest].mark),
                None => (self.scene.machine.space, home_mark(number)),
            };
            let there = running::space_of(kernel, thread.id);
            let expected = (self.scene.machine.space_id(space), mark);
            assert_eq!((there, registers.thread_pointer()), expected, "{thread:?}");
            if let Some(last) = thread.last {
                assert_eq!(result(&self.scene.machine, thread.id), last, "{thread:?}");
            }
        }
        for (number, guest) in self.guests.iter().enumerate().filter(|(_, guest)| !guest.is_over) {
            if self.runner(number).is_none() {
                let seen = [0, THREAD_POINTER].map(|at| guest.page[at].load(Relaxed));
                assert_eq!(seen, [guest.end, guest.mark], "{guest:?}");
            }
        }
    }
}

fn play(flavour: Flavour, acts: &[(u8, u8, u8)]) -> u64 {
    let mut world = World::new(flavour);
    for (what, one, other) in acts {
        let (thread, guest) = (usize::from(*one) % THREADS, usize::from(*other) % GUESTS);
        let path = if *one < 6 { Path::Fast } else { Path::Common };
        match what {
            0..=9 => world.run(thread, guest, (path, *other >= 7)),
            10..=19 => world.inside(thread, (*other, path)),
            20 => _ = world.turn(thread),
            21 => world.kick(guest),
            22 => world.revoke(guest, thread),
            23 => world.delete(guest, thread),
            24 => world.renew(guest),
            _ => world.stop(thread),
        }
        tessera_kernel::lifecycle::check::check(&world.scene.machine.kernel);
        world.compare();
    }
    world.fast
}

/// How many runs of the fast path random acts have had; `None` if the model does not agree.
fn agrees(flavour: Flavour, cases: u32) -> Option<u64> {
    let acts = vec((0..26_u8, 0..8_u8, 0..9_u8), 1..100);
    let fast = core::cell::Cell::new(0);
    let outcome = TestRunner::new(config(cases)).run(&acts, |acts| {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(flavour, &acts)));
        result.map(|count| fast.set(fast.get() + count)).map_err(|_| TestCaseError::fail("see above"))
    });
    outcome.ok().map(|()| fast.get())
}

#[test]
fn a_naive_model_agrees() {
    for flavour in FLAVOURS {
        let fast = agrees(flavour, 120);
        assert!(fast.is_some_and(|fast| fast > 100), "{fast:?} by the fast path");
    }
}

#[test]
fn seeded_bugs_are_caught() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let missed: Vec<_> = GUEST_MUTANTS
        .into_iter()
        .filter(|mutant| {
            seed(Some(*mutant));
            let is_missed = agrees(FLAVOURS[0], 120).is_some();
            seed(None);
            is_missed
        })
        .collect();
    std::panic::set_hook(hook);
    assert_eq!(missed, []);
}
