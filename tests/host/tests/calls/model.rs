//! Random calls, returns, ends and revocations on two CPUs, against a naive model: a thread is a list of places.

use host_tests::smp::Cpus;
use host_tests::{FLAVOURS, Machine, config};
use proptest::collection::vec;
use proptest::test_runner::{TestCaseError, TestRunner};
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_arch::fake::{Flavour, oracle};
use tessera_arch::{Access, Fault, FaultKind, Trap, VirtAddr};
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::ThreadId;
use tessera_kernel::sched::running;

use crate::scene::*;

const SERVICES: usize = 3;
const STACKS: u64 = 2;
const THREADS: usize = 3;

/// A call that a thread is in: of which service, by which lending, and whether it can be gone back to.
#[derive(Clone, Copy, Debug)]
struct In {
    service: usize,
    lending: usize,
    is_dead: bool,
    /// Whether it is on a stack of the gate still: not if that has closed under it.
    is_on_stack: bool,
}

/// A thread, and what its last call must have given, if that is known.
#[derive(Clone, Debug)]
struct Thread {
    id: ThreadId,
    cpu: usize,
    calls: Vec<In>,
    last: Option<Result<u64, Error>>,
}

struct World {
    machine: Machine,
    cpus: Cpus,
    services: Vec<Service>,
    /// By service, the capability that all share who call it: in the program's table, and in each service's.
    lent: Vec<Vec<Handle>>,
    is_open: Vec<bool>,
    /// How often what was lent of a service was taken back.
    lending: Vec<usize>,
    threads: Vec<Thread>,
    /// What capabilities that go along are to.
    memory: Handle,
}

impl World {
    fn new(flavour: Flavour) -> World {
        let mut machine = boot(flavour, 2);
        oracle::watch();
        let cpus = Cpus::new(machine.kernel.shared);
        let services: Vec<Service> = (0..SERVICES).map(|_| service(&mut machine, STACKS)).collect();
        let memory = machine.segment(4096, 0);
        let mut world = World {
            machine,
            cpus,
            services,
            lent: vec![Vec::new(); SERVICES],
            is_open: vec![true; SERVICES],
            lending: vec![0; SERVICES],
            threads: Vec::new(),
            memory,
        };
        (0..SERVICES).for_each(|service| world.lend(service));
        for cpu in [0, 1, 1] {
            let (handle, id) = new_thread(&mut world.machine);
            let affinity = Call::ThreadSetAffinity { thread: handle, cpus: 1 << cpu };
            world.machine.call(affinity).expect("it may run there");
            world.threads.push(Thread { id, cpu, calls: Vec::new(), last: None });
        }
        world.cpus.play(1);
        trap::schedule(&mut world.machine.kernel, 1);
        world.cpus.play(0);
        world
    }

    /// The first thread of the machine sees to all that is not a call: it makes none.
    fn owner(&mut self) {
        self.cpus.play(0);
        // Who gives way has made another call.
        self.threads[0].last = None;
        let first = self.machine.thread_id;
        run(&mut self.machine, first);
    }

    /// Lends a service to the program and to all services.
    fn lend(&mut self, service: usize) {
        let handle = self.services[service].gate;
        let rights = Rights::CALL;
        let mut handles = vec![self.machine.make(Call::CapabilityDerive { handle, rights, badge: 1 })];
        for holder in 0..SERVICES {
            let table = self.services[holder].table;
            handles.push(self.machine.make(Call::CapabilityCopy { handle, table, rights, badge: 2 }));
        }
        self.lent[service] = handles;
    }

    /// Makes a thread run on its CPU, which is played then; gives whether it does.
    fn turn(&mut self, thread: usize) -> bool {
        let Thread { id, cpu, .. } = self.threads[thread];
        self.cpus.play(cpu);
        for _ in 0..8 {
            if running::current(&self.machine.kernel, cpu) == Some(id) {
                return true;
            }
            self.threads.iter_mut().filter(|other| other.cpu == cpu).for_each(|other| other.last = None);
            if running::current(&self.machine.kernel, cpu).is_none() {
                trap::schedule(&mut self.machine.kernel, cpu);
            } else {
                self.machine.call_commonly(Call::YieldNow {});
            }
        }
        false
    }

    fn used_stacks(&self, service: usize) -> usize {
        // A gate that has closed has no stacks any more; one whose lending ended gets them back when who is on them comes out.
        let on = |call: &&In| call.service == service && call.is_on_stack;
        self.threads.iter().flat_map(|thread| &thread.calls).filter(on).count()
    }

    /// With something given along, if that is asked for and the thread is at home.
    fn call(&mut self, thread: usize, service: usize, gives: bool) {
        if !self.turn(thread) {
            return;
        }
        if gives && self.threads[thread].calls.is_empty() {
            return self.call_along(thread, service);
        }
        let (expected, gate) = (self.expected(thread, service), self.gate_of(thread, service));
        call_fast(&mut self.machine, gate);
        self.note(thread, service, expected);
    }

    /// A thread at home gives something along, by either way, and gives it up there.
    fn call_along(&mut self, thread: usize, service: usize) {
        let expected = self.expected(thread, service);
        let derive = Call::CapabilityDerive { handle: self.memory, rights: Rights::READ | Rights::GRANT, badge: 0 };
        let (own, gate) = (self.machine.make(derive), self.gate_of(thread, service));
        call_along(&mut self.machine, gate, (own, Rights::READ, 2));
        self.note(thread, service, expected);
        let id = self.threads[thread].id;
        match expected {
            Ok(()) => {
                let given = self.machine.kernel.threads[id].context.registers().call_arguments()[1];
                let delete = Call::CapabilityDelete { handle: Handle::from_bits(given) };
                assert_eq!(self.machine.call(delete), Ok(0), "the callee holds it");
            }
            Err(_) => {
                self.compare();
                assert_eq!(self.machine.call(Call::CapabilityDelete { handle: own }), Ok(0), "it stays");
                self.threads[thread].last = None;
            }
        }
    }

    fn gate_of(&self, thread: usize, service: usize) -> Handle {
        let holder = self.threads[thread].calls.last().map_or(0, |call| call.service + 1);
        self.lent[service][holder]
    }

    /// How a call must end.
    fn expected(&self, thread: usize, service: usize) -> Result<(), Error> {
        match () {
            () if !self.is_open[service] => Err(Error::Gone),
            () if self.threads[thread].calls.len() == 15 => Err(Error::TooDeep),
            () if self.used_stacks(service) as u64 == STACKS => Err(Error::Busy),
            () => Ok(()),
        }
    }

    /// In the model: a thread has made a call.
    fn note(&mut self, thread: usize, service: usize, expected: Result<(), Error>) {
        match expected {
            Ok(()) => {
                let lending = self.lending[service];
                self.threads[thread].calls.push(In { service, lending, is_dead: false, is_on_stack: true });
                self.threads[thread].last = None;
            }
            Err(error) => self.threads[thread].last = Some(Err(error)),
        }
    }

    fn go_back(&mut self, thread: usize) {
        if !self.turn(thread) {
            return;
        }
        let is_in_call = !self.threads[thread].calls.is_empty();
        return_fast(&mut self.machine);
        if is_in_call {
            self.pop(thread, Ok(0));
        } else {
            self.threads[thread].last = Some(Err(Error::BadState));
        }
    }

    fn fault(&mut self, thread: usize) {
        // Outside of a call it would end.
        if self.threads[thread].calls.is_empty() || !self.turn(thread) {
            return;
        }
        let fault = Fault { kind: FaultKind::Page, address: VirtAddr::new(8 << 40), access: Access::Read };
        let cpu = self.threads[thread].cpu;
        trap::handle(&mut self.machine.kernel, cpu, Trap::Fault(fault));
        self.machine.feed_line();
        trap::schedule(&mut self.machine.kernel, cpu);
        self.pop(thread, Err(Error::Faulted));
    }

    /// In the model: a thread comes out of a call, and of all below it that are dead.
    fn pop(&mut self, thread: usize, result: Result<u64, Error>) {
        let Thread { calls, last, .. } = &mut self.threads[thread];
        calls.pop();
        *last = Some(result);
        while calls.last().is_some_and(|call| call.is_dead) {
            calls.pop();
            *last = Some(Err(Error::Gone));
        }
    }

    /// In the model: a gate has closed.
    fn kill_all(&mut self, service: usize) {
        let calls = self.threads.iter_mut().flat_map(|thread| &mut thread.calls);
        calls.filter(|call| call.service == service).for_each(|call| call.is_on_stack = false);
        self.kill(|call| call.service == service);
    }

    /// In the model: all calls of which this is true are dead, and those at the top come out.
    fn kill(&mut self, is_hit: impl Fn(&In) -> bool) {
        for thread in 0..THREADS {
            self.threads[thread].calls.iter_mut().filter(|call| is_hit(call)).for_each(|call| call.is_dead = true);
            if self.threads[thread].calls.last().is_some_and(|call| call.is_dead) {
                self.pop(thread, Err(Error::Gone));
            }
        }
    }

    fn act(&mut self, call: Call) {
        self.owner();
        self.machine.call(call).expect("it is granted");
    }

    fn revoke(&mut self, service: usize) {
        self.act(Call::CapabilityRevoke { handle: self.services[service].gate });
        let lending = self.lending[service];
        self.kill(|call| (call.service, call.lending) == (service, lending));
        self.lending[service] += 1;
        self.lend(service);
    }

    fn delete(&mut self, service: usize) {
        // Nobody comes out by that, and revoking finds them still.
        self.act(Call::CapabilityDelete { handle: self.lent[service][0] });
        let handle = self.services[service].gate;
        self.lent[service][0] = self.machine.make(Call::CapabilityDerive { handle, rights: Rights::CALL, badge: 1 });
    }

    fn close(&mut self, service: usize, how: u64) {
        self.act(Call::GateClose { gate: self.services[service].gate, how });
        self.is_open[service] = false;
        if how == 1 {
            self.kill_all(service);
        }
    }

    /// The service goes, and another one comes in its place.
    fn renew(&mut self, number: usize) {
        let Service { gate, space, table, .. } = self.services[number];
        self.act(Call::CapabilityDelete { handle: space });
        self.kill_all(number);
        self.act(Call::CapabilityRevoke { handle: gate });
        self.act(Call::CapabilityDelete { handle: gate });
        self.act(Call::CapabilityDelete { handle: table });
        let own = self.lent[number][0];
        assert!(self.machine.call(Call::CapabilityDelete { handle: own }).is_err(), "revoked");
        self.services[number] = service(&mut self.machine, STACKS);
        self.is_open[number] = true;
        self.lending[number] += 1;
        self.lend(number);
        // What others have lent to it went with its table.
        for other in (0..SERVICES).filter(|other| *other != number) {
            let (handle, table) = (self.services[other].gate, self.services[number].table);
            let copy = Call::CapabilityCopy { handle, table, rights: Rights::CALL, badge: 2 };
            self.lent[other][number + 1] = self.machine.make(copy);
        }
    }

    fn compare(&self) {
        for thread in &self.threads {
            let there = here(&self.machine, thread.id);
            let depth = thread.calls.len();
            let (space, table) =
                thread.calls.last().map_or((self.machine.space_id, self.machine.table_id.index()), |call| {
                    (self.services[call.service].space_id, self.services[call.service].table_id.index())
                });
            assert_eq!((there.space, there.table, there.depth), (space, table, depth), "{thread:?}");
            if let Some(last) = thread.last {
                assert_eq!(result(&self.machine, thread.id), last, "{thread:?}");
            }
        }
    }
}

fn play(flavour: Flavour, acts: &[(u8, u8, u8)]) {
    let mut world = World::new(flavour);
    for (what, one, other) in acts {
        let (thread, service) = (usize::from(*one) % THREADS, usize::from(*other) % SERVICES);
        match what {
            0..=9 => world.call(thread, service, *other >= 4),
            10..=15 => world.go_back(thread),
            16 => world.fault(thread),
            17 => _ = world.turn(thread),
            18 => world.revoke(service),
            19 => world.delete(service),
            20 => world.close(service, 1),
            21 => world.close(service, 0),
            _ => world.renew(service),
        }
        check::check(&world.machine.kernel);
        world.compare();
    }
}

#[test]
fn a_naive_model_agrees() {
    let acts = vec((0..25_u8, 0..8_u8, 0..8_u8), 1..80);
    for flavour in FLAVOURS {
        let outcome = TestRunner::new(config(120)).run(&acts, |acts| {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(flavour, &acts)));
            result.map_err(|_| TestCaseError::fail("see above"))
        });
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}
