//! Every interleaving of CPUs that switch and a CPU that changes what they may hold.

use std::sync::Arc;

use loom_tests::atomic::AtomicBool;
use loom_tests::mutants::{HANDSHAKE_MUTANTS, Mutant, seed};
use loom_tests::world::{ALONE, APART, Cpu, Layout, S, SHARED, T, TWICE, TWO, World};

/// What a CPU does.
type Script = fn(&mut Cpu);

/// Runs changers' work on a thread of its own, under the lock, while CPUs do theirs; then all CPUs look once more.
fn explore(preemptions: Option<usize>, layout: Layout, work: fn(&World), cpus: &'static [(usize, Script)]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.max_branches = 10_000;
    model.check(move || {
        let world = World::new(cpus.len(), layout);
        let mut all: Vec<Cpu> =
            cpus.iter().enumerate().map(|(index, (space, _))| Cpu::new(&world, index, *space)).collect();
        assert!(world.try_lock(), "the lock is free");
        let done = Arc::new(AtomicBool::new(false));
        let first = all.remove(0);
        let others: Vec<_> =
            all.into_iter().zip(&cpus[1..]).map(|(cpu, (_, script))| follow(layout, cpu, *script, &done)).collect();
        let first = follow(layout, first, cpus[0].1, &done);
        work(&world);
        world.unlock();
        world.finish(&done);
        first.join().expect("the CPU goes on");
        others.into_iter().for_each(|cpu| cpu.join().expect("the CPU goes on"));
        world.check();
    });
}

fn follow(layout: Layout, mut cpu: Cpu, script: Script, done: &Arc<AtomicBool>) -> loom::thread::JoinHandle<()> {
    let done = done.clone();
    loom::thread::spawn(move || {
        script(&mut cpu);
        cpu.serve_until(&done);
        cpu.touch();
        for space in [S, T].into_iter().filter(|space| layout[*space] != [None, None]) {
            cpu.switch(space);
            cpu.touch();
        }
    })
}

fn stay_in(cpu: &mut Cpu) {
    cpu.serve();
    cpu.touch();
}

fn go_to_t(cpu: &mut Cpu) {
    cpu.switch(T);
    cpu.touch();
}

/// Tries, and stays if the fast path will not do: the common one is taken when the lock is free.
fn try_s(cpu: &mut Cpu) {
    cpu.switch_fast(S);
    cpu.touch();
}

/// The same.
fn try_t(cpu: &mut Cpu) {
    cpu.switch_fast(T);
    cpu.touch();
}

fn try_t_between_interrupts(cpu: &mut Cpu) {
    cpu.serve();
    cpu.switch_fast(T);
    cpu.serve();
}

fn change_one(world: &World) {
    world.change(0, None);
}

fn change_both(world: &World) {
    world.change(1, None);
    world.change(0, None);
}

fn retire_s(world: &World) {
    world.retire(S);
}

fn move_s(world: &World) {
    world.move_root(S);
}

fn cpu_stays() {
    explore(None, ALONE, change_one, &[(S, stay_in)]);
}

fn cpu_enters() {
    explore(None, ALONE, change_one, &[(T, try_s)]);
}

fn cpu_leaves() {
    explore(None, ALONE, change_one, &[(S, go_to_t)]);
}

fn cpu_tries_what_is_changed_first() {
    explore(Some(3), APART, change_both, &[(S, try_t)]);
}

fn cpu_is_asked_twice() {
    explore(Some(3), TWO, change_both, &[(S, stay_in)]);
}

#[test]
fn a_cpu_that_stays_is_reached() {
    cpu_stays();
}

#[test]
fn a_cpu_that_enters_is_reached_or_looks_again() {
    cpu_enters();
}

#[test]
fn a_cpu_that_leaves_and_comes_back_has_flushed() {
    cpu_leaves();
}

#[test]
fn a_cpu_that_tries_to_leave_is_reached_where_it_stays() {
    cpu_tries_what_is_changed_first();
}

#[test]
fn a_cpu_that_leaves_between_interrupts_has_flushed() {
    explore(Some(3), TWICE, change_one, &[(S, try_t_between_interrupts)]);
    explore(Some(3), TWO, change_both, &[(S, try_t_between_interrupts)]);
}

#[test]
fn a_cpu_that_is_asked_twice_answers_twice() {
    cpu_is_asked_twice();
}

#[test]
fn what_two_spaces_share_is_flushed_in_both() {
    explore(Some(3), SHARED, change_one, &[(S, try_t)]);
}

#[test]
fn two_cpus_are_reached() {
    explore(Some(1), ALONE, change_one, &[(S, stay_in), (T, try_s)]);
}

#[test]
fn a_space_that_goes_is_left_or_never_entered() {
    explore(None, ALONE, retire_s, &[(T, try_s)]);
    explore(None, ALONE, retire_s, &[(S, go_to_t)]);
}

#[test]
fn a_root_that_moves_is_left_or_never_entered() {
    explore(None, ALONE, move_s, &[(T, try_s)]);
    explore(None, ALONE, move_s, &[(S, stay_in)]);
}

/// Two CPUs in S change it at the same time: who waits for the lock serves the other.
#[test]
fn changers_do_not_wait_for_each_other() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.max_branches = 10_000;
    model.check(|| {
        let world = World::new(2, TWO);
        let done = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let work = |mut cpu: Cpu, index: usize| {
            let (world, done) = (world.clone(), done.clone());
            move || {
                cpu.lock();
                world.change(index, Some(&mut cpu));
                world.unlock();
                world.finish(&done[index]);
                cpu.serve_until(&done[1 - index]);
                cpu.touch();
            }
        };
        let [cpu, other] = [0, 1].map(|index| Cpu::new(&world, index, S));
        let other = loom::thread::spawn(work(other, 1));
        work(cpu, 0)();
        other.join().expect("the CPU goes on");
        world.check();
    });
}

/// The bug is there until this is dropped.
struct Seeded;

impl Seeded {
    fn new(mutant: Mutant) -> Seeded {
        seed(Some(mutant));
        Seeded
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        seed(None);
    }
}

macro_rules! caught {
    ($($test:ident: $mutant:ident by $run:ident;)*) => {$(
        #[test]
        #[should_panic(expected = "stale translation")]
        fn $test() {
            let _seeded = Seeded::new(Mutant::$mutant);
            $run();
        }
    )*

    #[test]
    fn every_mutant_has_its_test() {
        assert_eq!(HANDSHAKE_MUTANTS, [$(Mutant::$mutant,)*]);
    }};
}

caught! {
    not_looking_again_is_caught: NotLookedAgain by cpu_enters;
    a_missing_fence_is_caught: ChangerWithoutFence by cpu_enters;
    a_tried_switch_that_hides_the_cpu_is_caught: TriedSwitchHides by cpu_tries_what_is_changed_first;
    an_early_acknowledgement_is_caught: AcknowledgedBefore by cpu_is_asked_twice;
}
