//! What an operation costs does not depend on threads that it does not concern, those that were once included.
//!
//! The unit is the look-up of an object (`store::steps`).

use host_tests::{Machine, Options};
use tessera_abi::layout::SpaceInfo;
use tessera_abi::{Call, Error, Handle};
use tessera_arch::fake::Flavour;
use tessera_kernel::base::steps;
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::agenda::Agenda;
use tessera_kernel::object::id::ThreadId;
use tessera_kernel::object::thread::Thread;

use crate::started;

pub(crate) fn machine() -> Machine {
    Machine::boot(&Options::new(Flavour::X86).slots(16384).frames(65536))
}

/// What an operation takes alone, beside 3,000 threads, and after these have gone.
fn costs(mut operation: impl FnMut(&mut Machine)) -> [u64; 3] {
    let mut machine = machine();
    let space = machine.new_space();
    let mut measure = |machine: &mut Machine| {
        // The first time a store may grow.
        operation(machine);
        steps::take();
        operation(machine);
        steps::take()
    };
    let alone = measure(&mut machine);
    let others: Vec<_> = (0..3000).map(|_| started(&mut machine, space, 1, 1).0).collect();
    let beside = measure(&mut machine);
    others.into_iter().for_each(|handle| {
        machine.call(Call::CapabilityDelete { handle }).expect("it is a handle");
    });
    let after = measure(&mut machine);
    check::check(&machine.kernel);
    [alone, beside, after]
}

/// The same but for neighbours in lists, of which there may be one more or none.
fn assert_same(alone: u64, others: &[u64]) {
    assert!(others.iter().all(|other| other.abs_diff(alone) <= 8), "{alone} look-ups alone, then {others:?}");
}

fn delete(machine: &mut Machine, handle: Handle) {
    machine.call(Call::CapabilityDelete { handle }).expect("it is a handle");
}

#[test]
fn a_space_is_made_and_destroyed_at_the_same_cost() {
    let [alone, beside, after] = costs(|machine| {
        let space = machine.new_space();
        delete(machine, space);
    });
    assert_same(alone, &[beside, after]);
}

#[test]
fn a_space_with_threads_in_it_goes_at_the_same_cost() {
    let [alone, beside, after] = costs(|machine| {
        let space = machine.new_space();
        let threads = [1, 2, 3].map(|priority| started(machine, space, priority, 1).0);
        delete(machine, space);
        for thread in threads {
            assert_eq!(machine.call(Call::ThreadJoin { thread }), Err(Error::Gone));
            delete(machine, thread);
        }
    });
    assert_same(alone, &[beside, after]);
}

#[test]
fn a_table_s_threads_are_stopped_at_the_same_cost() {
    let [alone, beside, after] = costs(|machine| {
        let (table, _) = machine.new_program(1, 3);
        assert_eq!(machine.call(Call::TableStopThreads { table }), Ok(1));
        delete(machine, table);
    });
    assert_same(alone, &[beside, after]);
}

#[test]
fn a_space_tells_its_threads_at_the_same_cost() {
    let mut space = None;
    let [alone, beside, after] = costs(|machine| {
        let space = *space.get_or_insert_with(|| {
            let space = machine.new_space();
            started(machine, space, 1, 1);
            space
        });
        let info: SpaceInfo = machine.info(|buffer| Call::SpaceInfo { space, buffer }).expect("the right is there");
        assert_eq!(info.threads, 1);
    });
    assert_same(alone, &[beside, after]);
}

/// Whoever joins looks at no more than 1,024 threads that wait for each other.
#[test]
fn a_chain_of_joins_has_an_end() {
    let mut machine = machine();
    let space = machine.space;
    let last = started(&mut machine, space, 31, 1);
    let mut target = last.0;
    for _ in 0..1023 {
        let (handle, id) = started(&mut machine, space, 31, 1);
        machine.let_run(id);
        machine.call(Call::ThreadJoin { thread: target }).expect("it waits");
        target = handle;
    }
    machine.let_run(machine.thread_id);
    let (handle, id) = started(&mut machine, space, 31, 1);
    machine.let_run(id);
    steps::take();
    assert_eq!(machine.call(Call::ThreadJoin { thread: target }), Ok(host_tests::machine::UNFINISHED));
    assert!(steps::take() < 2000);
    machine.let_run(machine.thread_id);
    let thread = machine.call(Call::ThreadJoin { thread: handle });
    assert_eq!(thread, Err(Error::LimitReached), "1,025 in a row");
    // All of them end with the one they wait for.
    machine.call(Call::ThreadStop { thread: last.0 }).expect("the right is there");
    check::check(&machine.kernel);
}

/// A step of a small generator of numbers, the same in each run.
pub(crate) fn scrambled(number: u64) -> u64 {
    number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407).rotate_left(29)
}

/// So many threads that nobody knows of, for an agenda of the test's own.
pub(crate) fn bare_threads(machine: &mut Machine, count: u64) -> Vec<ThreadId> {
    let (account, table, space) = (machine.account_id, machine.table_id, machine.space_id);
    (0..count).map(|_| machine.kernel.threads.insert(Thread::new(account, table, space, 0))).collect()
}

#[test]
fn an_agenda_is_in_order_however_threads_were_taken_out() {
    let mut machine = machine();
    let ids = bare_threads(&mut machine, 500);
    let threads = &mut machine.kernel.threads;
    let mut agenda = Agenda::EMPTY;
    for (id, number) in ids.iter().zip(0_u64..) {
        threads[*id].order = (scrambled(number) % 50, number);
        agenda.insert(threads, *id);
    }
    let mut left = ids.clone();
    for round in 0..200 {
        let id = left.remove(scrambled(round) as usize % left.len());
        agenda.remove(threads, id);
        assert_eq!(agenda.check(threads, |_| ()), left.len() as u64);
    }
    left.sort_by_key(|id| threads[*id].order);
    for id in left {
        assert_eq!(agenda.first(threads), Some(id));
        agenda.remove(threads, id);
    }
    assert!(agenda.is_empty());
}

/// No way of filling an agenda makes one step long: with 16,384 threads none takes more look-ups than a small multiple
/// of the logarithm, 14.
#[test]
fn no_step_of_an_agenda_is_long() {
    const COUNT: u64 = 16_384;
    const STEPS: u64 = 14 * 30;
    let mut machine = machine();
    let ids = bare_threads(&mut machine, COUNT);
    let threads = &mut machine.kernel.threads;
    for order in [|number: u64| number, |number: u64| COUNT - number, scrambled] {
        let (mut agenda, mut longest) = (Agenda::EMPTY, 0);
        let mut measured = |work: &mut dyn FnMut()| {
            steps::take();
            work();
            longest = longest.max(steps::take());
        };
        for (id, number) in ids.iter().zip(0_u64..) {
            threads[*id].order = (order(number), number);
            measured(&mut || agenda.insert(threads, *id));
        }
        for id in ids.iter().step_by(3) {
            measured(&mut || agenda.remove(threads, *id));
        }
        while let Some(first) = agenda.first(threads) {
            measured(&mut || agenda.remove(threads, first));
        }
        assert!(longest < STEPS, "{longest} look-ups in one step");
    }
}
