//! A machine with as many CPUs as the kernel knows: what it keeps of CPUs holds at every place of a word.

use std::cell::Cell;
use std::rc::Rc;

use host_tests::machine::{CODE, STACK_END};
use host_tests::smp::Cpus;
use host_tests::{FLAVOURS, Machine, Options};
use tessera_abi::layout::{Counters, SpaceInfo, ThreadInfo};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights};
use tessera_arch::CPUS_MAX;
use tessera_arch::fake::Flavour;
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::base::steps;
use tessera_kernel::cpu::tags::{TagAllocator, TagWord};
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::{AttachPoint, ObjectRef};
use tessera_kernel::sched::running;

const SLOT: u64 = 1 << 39;
const ADDRESS: u64 = SLOT + (4 << 20);
/// CPUs at the ends of words and halves of words, besides the first.
const OTHERS: [usize; 5] = [1, 31, 32, 62, 63];

/// A machine on which each of [`OTHERS`] has a thread of its own.
struct Scene {
    machine: Machine,
    cpus: Cpus,
    threads: Vec<Handle>,
}

impl Scene {
    fn new(flavour: Flavour) -> Scene {
        let machine = Machine::boot(&Options { cpus: CPUS_MAX, ..Options::new(flavour).frames(4096) });
        let cpus = Cpus::new(machine.kernel.shared);
        let mut scene = Scene { machine, cpus, threads: Vec::new() };
        let thread = scene.machine.thread;
        scene.machine.call(Call::ThreadSetAffinity { thread, cpus: 1 }).expect("CPU 0 runs");
        for cpu in OTHERS {
            let thread = scene.new_thread(1 << cpu);
            scene.threads.push(thread);
            scene.play(cpu);
            assert!(running::current(&scene.machine.kernel, cpu).is_some(), "CPU {cpu} has its thread");
            scene.play(0);
        }
        scene
    }

    fn new_thread(&mut self, cpus: u64) -> Handle {
        let (account, table, space) = (self.machine.account, self.machine.table, self.machine.space);
        let thread = self.machine.make(Call::ThreadCreate { account, table, space, priority: 31 });
        self.machine.call(Call::ThreadSetAffinity { thread, cpus }).expect("the CPUs run");
        let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
        self.machine.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 }).expect("new");
        thread
    }

    /// Plays a CPU, which first looks who is to run there.
    fn play(&mut self, cpu: usize) {
        self.cpus.play(cpu);
        trap::schedule(&mut self.machine.kernel, cpu);
    }

    /// The threads of all CPUs enter a space.
    fn all_enter(&mut self, space: Handle) {
        for cpu in OTHERS.into_iter().chain([0]) {
            self.play(cpu);
            self.machine.switch_fast(space).expect("the space shows the program");
        }
    }

    fn new_space(&mut self) -> Handle {
        let account = self.machine.account;
        let space = self.machine.make(Call::SpaceCreate { account });
        self.machine.attach_program(space);
        space
    }

    /// What a call of CPU 0 makes each CPU count.
    fn counted(&mut self, call: Call) -> Vec<Counters> {
        let read = |scene: &Scene| scene.machine.kernel.shared.cpus.iter().map(|line| line.counters.read()).collect();
        let before: Vec<Counters> = read(self);
        self.machine.call(call).expect("nothing stands against it");
        let after: Vec<Counters> = read(self);
        let change = |(after, before): (Counters, Counters)| Counters {
            shootdowns_sent: after.shootdowns_sent - before.shootdowns_sent,
            stale_marks: after.stale_marks - before.stale_marks,
            page_flushes: after.page_flushes - before.page_flushes,
            global_flushes: after.global_flushes - before.global_flushes,
            ..after
        };
        after.into_iter().zip(before).map(change).collect()
    }
}

fn cpus_with(counted: &[Counters], what: fn(&Counters) -> u64) -> Vec<usize> {
    (0..counted.len()).filter(|cpu| what(&counted[*cpu]) != 0).collect()
}

#[test]
fn roots_for_all_cpus_are_made_by_steps() {
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour);
        set_entry_units(ENTRY_UNITS);
        let account = scene.machine.account;
        let (space, subtree) =
            (scene.machine.new_space(), scene.machine.make(Call::SubtreeCreate { account, level: 3 }));
        let id = scene.machine.space_id(space);
        let used = |scene: &Scene| scene.machine.kernel.accounts[scene.machine.account_id].used_bytes();
        let (before, steps) = (used(&scene), Rc::new(Cell::new(0)));
        let (counted, roots) = (Rc::clone(&steps), Cell::new(1));
        scene.machine.between_steps(move |machine| {
            let now = machine.kernel.spaces[id].roots().count();
            assert!((1..=8).contains(&(now - roots.replace(now))), "a step makes some roots, and no more than some");
            counted.set(counted.get() + 1);
            check::check(&machine.kernel);
            true
        });
        let attach = Call::SubtreeAttachCore { space, subtree, address: SLOT, bounds: Rights::READ, cpu: 63 };
        assert_eq!(scene.machine.call(attach), Ok(0));
        assert_eq!(scene.machine.kernel.spaces[id].roots().count(), CPUS_MAX, "each CPU has its own");
        assert!(steps.get() >= 7, "{} steps", steps.get());
        assert!(used(&scene) >= before + 63 * PAGE_BYTES, "each root is charged");
        check::check(&scene.machine.kernel);
        // Who has all of its roots is not made to wait for them once more.
        steps.set(0);
        let second = scene.machine.make(Call::SubtreeCreate { account, level: 3 });
        let attach = Call::SubtreeAttachCore { space, subtree: second, address: SLOT, bounds: Rights::READ, cpu: 1 };
        assert_eq!((scene.machine.call(attach), steps.get()), (Ok(0), 0));
    }
}

#[test]
fn an_account_that_can_just_pay_for_all_roots_gets_them_and_a_lesser_one_changes_nothing() {
    for flavour in FLAVOURS {
        let mut costs = 0;
        for short in [None, Some(0), Some(1)] {
            let mut scene = Scene::new(flavour);
            set_entry_units(ENTRY_UNITS);
            let own = scene.machine.account;
            let subtree = scene.machine.make(Call::SubtreeCreate { account: own, level: 3 });
            let account = scene.machine.make(Call::AccountCreate { account: own, bytes: 4 << 20 });
            let space = scene.machine.make(Call::SpaceCreate { account });
            let (id, ObjectRef::Account(payer)) = (scene.machine.space_id(space), scene.machine.object(account)) else {
                panic!("an account")
            };
            let used = |scene: &Scene| scene.machine.kernel.accounts[payer].used_bytes();
            let before = used(&scene);
            if let Some(short) = short {
                // All but what the call takes, or a byte more, is spent.
                let spare = (4 << 20) - before - costs + short;
                scene.machine.kernel.accounts[payer].charge(spare);
            }
            let attach = Call::SubtreeAttachCore { space, subtree, address: SLOT, bounds: Rights::READ, cpu: 63 };
            let expected = if short == Some(1) { Err(Error::AccountExhausted) } else { Ok(0) };
            assert_eq!(scene.machine.call(attach), expected);
            let roots = scene.machine.kernel.spaces[id].roots().count();
            assert_eq!(roots, if expected.is_ok() { CPUS_MAX } else { 1 });
            costs = if short.is_none() { used(&scene) - before } else { costs };
        }
    }
}

/// What has to be done for each CPU and each space is bounded by the product.
#[test]
fn many_spaces_are_told_of_a_change_by_dropping_everything_the_sooner_the_more_cpus_there_are() {
    let cases =
        [(8, 0, 1, true), (9, 0, 1, false), (1, 2, 1, true), (1, 3, 1, false), (1, 1, 40, true), (1, 2, 2, true)];
    for (spaces, nested, places, is_told) in cases {
        let mut scene = Scene::new(Flavour::X86);
        let account = scene.machine.account;
        let subtree = scene.machine.make(Call::SubtreeCreate { account, level: 2 });
        let segment = scene.machine.segment(PAGE_BYTES, 0);
        scene.machine.map(subtree, segment, 0, 0, PAGE_BYTES, Rights::READ).expect("nothing is there");
        let owners = (0..spaces).map(|_| scene.new_space()).collect::<Vec<_>>().into_iter();
        let outer = (0..nested).map(|_| scene.machine.make(Call::SubtreeCreate { account, level: 3 }));
        for target in owners.chain(outer.collect::<Vec<_>>()) {
            let is_space = matches!(scene.machine.object(target), ObjectRef::Space(_));
            // One that holds it at many places is looked at once.
            for place in 0..if is_space { 1 } else { places } {
                let address = if is_space { SLOT } else { (1 + place) << 30 };
                let attach = Call::SubtreeAttach { target, subtree, address, bounds: Rights::READ, flags: 0 };
                scene.machine.call(attach).expect("it fits");
            }
        }
        let counted = scene.counted(Call::Unmap { target: subtree, address: 0, length_bytes: PAGE_BYTES });
        let flushed = cpus_with(&counted, |counters| counters.global_flushes).len();
        assert_eq!(
            flushed,
            if is_told { 0 } else { CPUS_MAX },
            "{spaces} spaces, {nested} subtrees, at {places} places"
        );
        check::check(&scene.machine.kernel);
    }
}

/// Each has another thread beside it that is as urgent, so that all CPUs would be looked at for a better place.
#[test]
fn who_is_taken_off_a_cpu_for_a_moment_goes_on_there() {
    let mut scene = Scene::new(Flavour::X86);
    for (thread, cpu) in scene.threads.clone().into_iter().zip(OTHERS) {
        scene.new_thread(1 << cpu);
        scene.machine.call(Call::ThreadSetAffinity { thread, cpus: u64::MAX }).expect("the CPUs run");
    }
    let space = scene.new_space();
    let lent = scene.machine.make(Call::CapabilityDerive { handle: space, rights: Rights::all(), badge: 1 });
    for cpu in OTHERS {
        scene.play(cpu);
        scene.machine.switch_fast(lent).expect("the space shows the program");
    }
    scene.cpus.play(0);
    let runners = OTHERS.map(|cpu| running::current(&scene.machine.kernel, cpu).expect("it runs"));
    steps::take();
    let counted = scene.counted(Call::CapabilityDelete { handle: lent });
    assert_eq!(counted[0].shootdowns_sent, OTHERS.len() as u64);
    let looks = steps::take();
    assert!(looks < 4 * CPUS_MAX as u64, "{looks}: no CPU was looked at but theirs");
    for (id, cpu) in runners.into_iter().zip(OTHERS) {
        assert_eq!(scene.machine.kernel.threads[id].cpu(), cpu);
    }
    check::check(&scene.machine.kernel);
}

/// A subtree is at two places of a space that has a view. What lies between is not brought over to the view.
#[test]
fn what_is_withdrawn_from_far_places_is_brought_over_alone() {
    let looks = [3, 250].map(|far| {
        let mut scene = Scene::new(Flavour::X86);
        set_entry_units(ENTRY_UNITS);
        let (account, space, bounds) = (scene.machine.account, scene.new_space(), Rights::READ);
        let subtree = scene.machine.make(Call::SubtreeCreate { account, level: 3 });
        for slot in [2, far] {
            let attach = Call::SubtreeAttach { target: space, subtree, address: slot * SLOT, bounds, flags: 0 };
            scene.machine.call(attach).expect("vacant");
        }
        scene.machine.make(Call::ViewCreate { account, space, bounds });
        steps::take();
        scene.machine.call(Call::SubtreeWithdraw { subtree }).expect("it is its owner's");
        let looks = steps::take();
        check::check(&scene.machine.kernel);
        looks
    });
    assert!(looks[1] < looks[0] + 10, "{looks:?}: it is as if they were beside each other");
}

#[test]
fn a_change_reaches_every_cpu_that_is_in_the_space_or_was() {
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour);
        let (space, other) = (scene.new_space(), scene.new_space());
        let segment = scene.machine.segment(2 * PAGE_BYTES, 0);
        scene.machine.map(space, segment, 0, ADDRESS, 2 * PAGE_BYTES, Rights::READ).expect("nothing is there");
        scene.all_enter(space);
        let info =
            scene.machine.info::<SpaceInfo>(|buffer| Call::SpaceInfo { space, buffer }).expect("it may be inspected");
        assert_eq!(info.holders, OTHERS.iter().fold(1, |set, cpu| set | 1 << cpu));
        let counted = scene.counted(Call::Unmap { target: space, address: ADDRESS, length_bytes: PAGE_BYTES });
        assert_eq!(counted[0].shootdowns_sent, OTHERS.len() as u64);
        assert_eq!(cpus_with(&counted, |counters| counters.page_flushes), [0, 1, 31, 32, 62, 63]);
        // Who has left it is marked and not interrupted.
        scene.all_enter(other);
        let address = ADDRESS + PAGE_BYTES;
        let counted = scene.counted(Call::Unmap { target: space, address, length_bytes: PAGE_BYTES });
        assert_eq!(counted[0].shootdowns_sent, 0);
        assert_eq!(cpus_with(&counted, |counters| counters.stale_marks), [0, 1, 31, 32, 62, 63]);
        check::check(&scene.machine.kernel);
    }
}

/// The steps in which other spaces lose the subtree, before and after, leave a CPU alone.
#[test]
fn a_withdrawal_by_steps_interrupts_each_cpu_in_a_sharer_once() {
    for places in [30, 45] {
        let mut scene = Scene::new(Flavour::X86);
        set_entry_units(ENTRY_UNITS);
        let account = scene.machine.account;
        let subtree = scene.machine.make(Call::SubtreeCreate { account, level: 3 });
        let spaces: Vec<Handle> = (0..places).map(|_| scene.new_space()).collect();
        for target in &spaces {
            let (target, address, bounds) = (*target, 2 * SLOT, Rights::READ);
            let attach = Call::SubtreeAttach { target, subtree, address, bounds, flags: 0 };
            scene.machine.call(attach).expect("vacant");
        }
        // Far apart, so that different steps take them out.
        for (cpu, space) in OTHERS.into_iter().zip(spaces.iter().step_by(places / OTHERS.len())) {
            scene.play(cpu);
            scene.machine.switch_fast(*space).expect("the space shows the program");
        }
        scene.play(0);
        let steps = Rc::new(Cell::new(0));
        let counter = Rc::clone(&steps);
        scene.machine.between_steps(move |_| {
            counter.set(counter.get() + 1);
            true
        });
        let counted = scene.counted(Call::SubtreeWithdraw { subtree });
        assert!(steps.get() >= places / 4, "{} steps", steps.get());
        assert_eq!(counted[0].shootdowns_sent, OTHERS.len() as u64, "{places} places");
        assert_eq!(cpus_with(&counted, |counters| counters.global_flushes), []);
        check::check(&scene.machine.kernel);
    }
}

/// Through two ways at once, one of them nested, so that what is seen is noted at the space.
#[test]
fn a_change_of_a_nested_subtree_reaches_the_last_cpu_too() {
    let mut scene = Scene::new(Flavour::X86);
    let space = scene.new_space();
    let account = scene.machine.account;
    let [outer, inner] = [3, 2].map(|level| scene.machine.make(Call::SubtreeCreate { account, level }));
    let segment = scene.machine.segment(PAGE_BYTES, 0);
    scene.machine.map(inner, segment, 0, 0, PAGE_BYTES, Rights::READ).expect("nothing is there");
    let attach =
        |target, subtree, address| Call::SubtreeAttach { target, subtree, address, bounds: Rights::READ, flags: 0 };
    scene.machine.call(attach(outer, inner, 1 << 30)).expect("it fits");
    scene.machine.call(attach(space, outer, 2 * SLOT)).expect("it fits");
    scene.machine.call(attach(space, inner, 3 * SLOT)).expect("it fits");
    scene.all_enter(space);
    let counted = scene.counted(Call::Unmap { target: inner, address: 0, length_bytes: PAGE_BYTES });
    assert_eq!(counted[0].shootdowns_sent, OTHERS.len() as u64);
    check::check(&scene.machine.kernel);
}

#[test]
fn a_core_window_of_any_cpu_is_that_cpus_alone() {
    for flavour in FLAVOURS {
        for cpu in OTHERS {
            let mut scene = Scene::new(flavour);
            let space = scene.new_space();
            let account = scene.machine.account;
            let subtree = scene.machine.make(Call::SubtreeCreate { account, level: 3 });
            let segment = scene.machine.segment(PAGE_BYTES, 0);
            scene.machine.map(subtree, segment, 0, PAGE_BYTES, PAGE_BYTES, Rights::READ).expect("nothing is there");
            let (address, bounds) = (255 * SLOT - SLOT, Rights::READ);
            scene
                .machine
                .call(Call::SubtreeAttachCore { space, subtree, address, bounds, cpu: cpu as u64 })
                .expect("vacant");
            let ObjectRef::Subtree(id) = scene.machine.object(subtree) else { panic!("a subtree") };
            let sharers = &scene.machine.kernel.subtrees[id].sharers;
            let place = sharers.only().expect("it is at one place").place();
            assert_eq!(place, AttachPoint { page: address / PAGE_BYTES, cpu: Some(cpu) });
            assert_eq!((sharers.core_window(), sharers.common_page()), (Some(cpu), Some(place.page)));
            check::check(&scene.machine.kernel);
            scene.all_enter(space);
            let counted = scene.counted(Call::Unmap { target: subtree, address: PAGE_BYTES, length_bytes: PAGE_BYTES });
            assert_eq!(counted[0].shootdowns_sent, 1);
            assert_eq!(cpus_with(&counted, |counters| counters.page_flushes), [cpu]);
            scene.machine.call(Call::SubtreeDetachCore { space, address, cpu: cpu as u64 }).expect("it is there");
            check::check(&scene.machine.kernel);
        }
    }
}

#[test]
fn a_thread_runs_on_the_cpus_of_its_set_and_on_no_other() {
    let mut scene = Scene::new(Flavour::X86);
    for cpu in OTHERS {
        let thread = scene.new_thread(1 << cpu);
        let info = scene
            .machine
            .info::<ThreadInfo>(|buffer| Call::ThreadInfo { thread, buffer })
            .expect("it may be inspected");
        assert_eq!((info.cpu, info.affinity), (cpu as u64, 1 << cpu));
    }
    // Of several that may run on the last two CPUs, each takes its first; CPU 61 has nobody.
    let both = [0, 1].map(|_| scene.new_thread(0b11 << 62));
    check::check(&scene.machine.kernel);
    scene.cpus.play(61);
    assert!(!trap::schedule(&mut scene.machine.kernel, 61), "CPU 61 may run none of them");
    for (cpu, thread) in [(62, both[0]), (63, both[1])] {
        scene.cpus.play(cpu);
        // What else waits there came before.
        running::requeue_current(&mut scene.machine.kernel, cpu);
        let ids = (0..3).map(|_| {
            assert!(trap::schedule(&mut scene.machine.kernel, cpu));
            let id = running::current(&scene.machine.kernel, cpu);
            running::requeue_current(&mut scene.machine.kernel, cpu);
            id
        });
        let ids: Vec<_> = ids.collect();
        let ObjectRef::Thread(id) = scene.machine.object(thread) else { panic!("a thread") };
        assert!(ids.contains(&Some(id)), "CPU {cpu} runs its part of them");
        scene.play(cpu);
    }
    check::check(&scene.machine.kernel);
}

#[test]
fn a_space_local_to_the_last_cpu_is_entered_there_alone() {
    let mut scene = Scene::new(Flavour::Arm);
    let account = scene.machine.account;
    let space = scene.machine.make(Call::SpaceCreateLocal { account, cpu: 63 });
    scene.machine.attach_program(space);
    assert_eq!(scene.machine.switch_fast(space), Err(Error::WrongCpu));
    assert_eq!(scene.machine.call(Call::SpaceCreateLocal { account, cpu: 64 }), Err(Error::BadArgument));
    scene.play(63);
    scene.machine.switch_fast(space).expect("this is its CPU");
    let thread = scene.threads[4];
    scene.play(0);
    assert_eq!(scene.machine.call(Call::ThreadSetAffinity { thread, cpus: u64::MAX >> 1 }), Err(Error::WrongCpu));
    check::check(&scene.machine.kernel);
}

#[test]
fn every_cpu_flushes_once_after_tags_ran_out() {
    let mut tags = TagAllocator::new(2, CPUS_MAX);
    assert!((0..CPUS_MAX).all(|cpu| !tags.take_flush_pending(cpu)));
    tags.roll_over(core::iter::empty(), (TagWord::default(), false));
    for cpu in 0..CPUS_MAX {
        assert_eq!([tags.take_flush_pending(cpu), tags.take_flush_pending(cpu)], [true, false]);
    }
}

/// A machine with one CPU pays for one.
#[test]
fn what_a_space_costs_does_not_grow_with_the_cpus_that_a_machine_could_have() {
    let used = [1, CPUS_MAX].map(|cpus| {
        let mut machine = Machine::boot(&Options { cpus, ..Options::new(Flavour::X86).frames(4096) });
        assert_eq!(machine.kernel.shared.lines().len(), cpus);
        let before = machine.kernel.accounts[machine.account_id].used_bytes();
        let account = machine.account;
        machine.make(Call::SpaceCreate { account });
        machine.kernel.accounts[machine.account_id].used_bytes() - before
    });
    assert_eq!(used[0], used[1]);
}
