//! What is taken apart by steps: whatever the size of a step, each leaves everything as it should be, others can do
//! meanwhile what they like with the same objects and their neighbours, and nothing is left in the end.
//!
//! Between two steps another CPU makes the next of its calls, and all checks run.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use host_tests::machine::{CODE, STACK_END};
use host_tests::smp::Cpus;
use host_tests::{FLAVOURS, Machine, Options};
use tessera_abi::layout::{AccountInfo, ThreadState};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::Trap;
use tessera_arch::fake::{self, Event, Flavour};
use tessera_kernel::Kernel;
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::base::mutants::{DEBT_MUTANTS, seed};
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::{check, reap};
use tessera_kernel::object::id::{CapId, SpaceId, ThreadId};
use tessera_kernel::object::thread::Fallback;
use tessera_kernel::object::use_pool::{Use, UseKind};
use tessera_kernel::sched::{ending, inside, running};

/// Efforts of an entry: 1 cuts work wherever it can be cut.
const UNITS: [u32; 4] = [1, 30, 333, ENTRY_UNITS];

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

thread_local! {
    static STEPS: Cell<usize> = const { Cell::new(0) };
    static LOST: Cell<Option<SpaceId>> = const { Cell::new(None) };
    static OTHERS: RefCell<Vec<Call>> = const { RefCell::new(Vec::new()) };
}

/// The other CPU's next call, and all checks.
fn between_steps(kernel: &mut Kernel) {
    let step = STEPS.replace(STEPS.get() + 1);
    let call = OTHERS.with_borrow(|calls| calls.get(step % calls.len().max(1)).copied());
    // Checks look at everything; there may be thousands of steps.
    if step < 400 || step.is_multiple_of(37) {
        check::check(kernel);
    }
    // Nobody may land in what goes.
    let lost = LOST.get().filter(|lost| kernel.spaces.id_at(lost.index()) == Some(*lost));
    lost.inspect(|lost| assert_eq!(kernel.spaces[*lost].thread_count, 0, "what is doomed is not found"));
    call.into_iter().for_each(|call| call_elsewhere(kernel, call));
}

/// The other CPU makes a call, or a step of it.
fn call_elsewhere(kernel: &mut Kernel, call: Call) {
    let Some(id) = running::current(kernel, 1) else { return };
    let here = tessera_arch::cpu_index();
    fake::cpu::set_cpu_index(1);
    let (number, words) = call.encode();
    kernel.threads[id].context.registers_mut().set_call(number, words);
    trap::handle(kernel, 1, Trap::Call);
    trap::schedule(kernel, 1);
    while reap::has_to_go_on(kernel, 1) && running::current(kernel, 1) == Some(id) {
        reap::go_on(kernel, 1);
        trap::schedule(kernel, 1);
    }
    fake::cpu::set_cpu_index(here);
}

/// A machine with two CPUs, whose second one runs a thread of the program that is never ended.
struct Scene {
    machine: Machine,
    cpus: Cpus,
    account: Handle,
    /// A space of the other thread's.
    space: Handle,
}

impl Scene {
    fn new(flavour: Flavour) -> Scene {
        let options = Options { cpus: 2, ..Options::new(flavour).frames(16384).slots(512) };
        let mut machine = Machine::boot(&options);
        machine.between_debts = Some(between_steps);
        STEPS.set(0);
        OTHERS.set(Vec::new());
        LOST.set(None);
        let cpus = Cpus::new(machine.kernel.shared);
        fake::smp::set_broadcasts(flavour == Flavour::Arm);
        let thread = machine.thread;
        machine.call(Call::ThreadSetAffinity { thread, cpus: 1 }).expect("CPU 0 runs");
        let space = machine.new_space();
        machine.attach_program(space);
        let own = (machine.account, machine.table);
        thread_in(&mut machine, own.0, own.1, space, 2);
        cpus.play(1);
        assert!(trap::schedule(&mut machine.kernel, 1));
        cpus.play(0);
        let parent = machine.account;
        let account = machine.make(Call::AccountCreate { account: parent, bytes: 48 * MIB });
        Scene { machine, cpus, account, space }
    }

    /// What the account is charged, bytes.
    fn used_bytes(&mut self) -> u64 {
        let account = self.account;
        let info: AccountInfo = self.machine.info(|buffer| Call::AccountInfo { account, buffer }).expect("it is ours");
        info.used_bytes
    }

    fn segment(&mut self, length_bytes: u64, flags: u64) -> Handle {
        self.machine.make(Call::SegmentCreate { account: self.account, length_bytes, flags })
    }

    fn new_space(&mut self) -> Handle {
        self.machine.make(Call::SpaceCreate { account: self.account })
    }

    fn subtree(&mut self, level: u64) -> Handle {
        self.machine.make(Call::SubtreeCreate { account: self.account, level })
    }

    fn map(&mut self, target: Handle, segment: Handle, address: u64) {
        self.machine.map(target, segment, 0, address, PAGE_BYTES, Rights::READ).expect("the place is free");
    }

    fn attach(&mut self, target: Handle, subtree: Handle, address: u64) {
        let bounds = Rights::READ | Rights::WRITE;
        self.machine
            .call(Call::SubtreeAttach { target, subtree, address, bounds, flags: 0 })
            .expect("the place is free");
    }

    /// Gives capabilities up; nothing is left of what they named when the call returns.
    fn delete(&mut self, handles: &[Handle]) {
        for handle in handles {
            self.machine.call(Call::CapabilityDelete { handle: *handle }).expect("it is ours");
        }
        self.settle();
    }

    /// Lets the other CPU leave the kernel, and checks what there is.
    fn settle(&mut self) {
        self.cpus.play(1);
        while trap::schedule(&mut self.machine.kernel, 1) && reap::has_to_go_on(&self.machine.kernel, 1) {
            reap::go_on(&mut self.machine.kernel, 1);
        }
        self.cpus.play(0);
        check::check(&self.machine.kernel);
    }
}

/// A started thread for some CPUs.
fn thread_in(machine: &mut Machine, account: Handle, table: Handle, space: Handle, cpus: u64) -> (Handle, ThreadId) {
    // The one for the first CPU never gets its turn.
    let priority = if cpus == 1 { 1 } else { 31 };
    let (thread, id) = machine.new_thread(Call::ThreadCreate { account, table, space, priority });
    machine.call(Call::ThreadSetAffinity { thread, cpus }).expect("these CPUs run");
    let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
    machine.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 }).expect("it is new");
    (thread, id)
}

/// Plays a story with steps of all sizes, on both kinds of machine; what the story made is gone when it ends.
fn play(story: impl Fn(&mut Scene)) {
    for (units, flavour) in UNITS.into_iter().flat_map(|units| FLAVOURS.map(|flavour| (units, flavour))) {
        let mut scene = Scene::new(flavour);
        check::check(&scene.machine.kernel);
        set_entry_units(units);
        story(&mut scene);
        assert_eq!(scene.used_bytes(), 0, "{units} units on {flavour:?}: the account is whole");
        assert!(!reap::is_any_doomed(&scene.machine.kernel));
        assert!(units != 1 || STEPS.get() > 20, "the story has steps: {}", STEPS.get());
        set_entry_units(ENTRY_UNITS);
    }
}

/// A space with mappings in many tables and a subtree at many places, while the other maps, attaches, withdraws.
fn a_space(scene: &mut Scene) {
    let (space, subtree, other) = (scene.new_space(), scene.subtree(2), scene.space);
    let segment = scene.segment(4 * PAGE_BYTES, 0);
    for number in 0..24 {
        scene.map(space, segment, TOP_SLOT_BYTES + number * GIB / 2);
        scene.attach(space, subtree, 2 * TOP_SLOT_BYTES + number * GIB);
    }
    scene.map(subtree, segment, 16 * PAGE_BYTES);
    let (address, length_bytes, bounds) = (3 * TOP_SLOT_BYTES, PAGE_BYTES, Rights::READ);
    let (public, machine) = (scene.subtree(3), scene.machine.machine);
    scene.map(public, segment, PAGE_BYTES);
    OTHERS.set(vec![
        Call::SubtreeAttach { target: other, subtree, address, bounds, flags: 0 },
        Call::Map { target: subtree, segment, offset: 0, address: 64 * PAGE_BYTES, length_bytes, rights: bounds },
        Call::Unmap { target: subtree, address: 64 * PAGE_BYTES, length_bytes },
        Call::SubtreeWithdraw { subtree },
        Call::SubtreePublish { machine, subtree: public, address: 9 * TOP_SLOT_BYTES, bounds },
        Call::SubtreeWithdraw { subtree: public },
        Call::SubtreePublish { machine, subtree: public, address: 9 * TOP_SLOT_BYTES, bounds },
        Call::Map { target: other, segment, offset: 0, address, length_bytes, rights: bounds },
        Call::Unmap { target: other, address, length_bytes },
    ]);
    scene.delete(&[space]);
    let _ = scene.machine.call(Call::SubtreeWithdraw { subtree });
    let _ = scene.machine.call(Call::Unmap { target: other, address, length_bytes });
    scene.delete(&[subtree, segment, public]);
}

#[test]
fn a_space_goes_by_steps() {
    play(a_space);
}

/// The same while what is mapped and attached there is taken back.
#[test]
fn what_a_space_shows_is_taken_back_while_it_goes() {
    play(|scene| {
        let (space, subtree) = (scene.new_space(), scene.subtree(2));
        let segment = scene.segment(4 * PAGE_BYTES, 0);
        let [lent_subtree, lent_segment] = [subtree, segment].map(|handle| {
            let rights = Rights::all();
            scene.machine.make(Call::CapabilityDerive { handle, rights, badge: 0 })
        });
        for number in 0..16 {
            scene.map(space, lent_segment, TOP_SLOT_BYTES + number * GIB / 2);
            scene.attach(space, lent_subtree, 2 * TOP_SLOT_BYTES + number * GIB);
        }
        let revoke = |handle| Call::CapabilityRevoke { handle };
        OTHERS.set([vec![Call::Clock {}; 5], vec![revoke(subtree); 12], vec![revoke(segment); 12]].concat());
        scene.delete(&[space]);
        for handle in [subtree, segment] {
            scene.machine.call(revoke(handle)).expect("it is ours");
        }
        scene.delete(&[subtree, segment]);
    });
}

/// Whoever is in the middle of a list of capabilities does not keep what goes, nor is found in it.
#[test]
fn who_goes_along_a_list_of_what_goes_is_taken_out_of_it() {
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour);
        let objects = [scene.segment(PAGE_BYTES, 1), scene.new_space(), scene.subtree(1)];
        for object in objects {
            let derive = Call::CapabilityDerive { handle: object, rights: Rights::all(), badge: 1 };
            let children: Vec<Handle> = (0..4).map(|_| scene.machine.make(derive)).collect();
            set_entry_units(1);
            call_elsewhere(&mut scene.machine.kernel, Call::CapabilityRevokeBadge { handle: object, badge: 2 });
            set_entry_units(ENTRY_UNITS);
            let marked = running::current(&scene.machine.kernel, 1).expect("it runs");
            assert!(scene.machine.kernel.threads[marked].marker.is_some(), "it is in the middle");
            scene.delete(&[object]);
            scene.delete(&children);
            assert!(scene.machine.kernel.threads[marked].marker.is_none(), "there is nothing left to go along");
        }
        assert_eq!(scene.used_bytes(), 0);
    }
}

/// The same with places in the other's way: a subtree goes in which others are attached.
#[test]
fn a_subtree_goes_by_steps() {
    play(|scene| {
        let (outer, inner, space) = (scene.subtree(3), scene.subtree(1), scene.space);
        let segment = scene.segment(PAGE_BYTES, 1);
        for number in 0..20 {
            scene.attach(outer, inner, (number + 1) * GIB);
            scene.map(outer, segment, (number + 1) * GIB + 2 * MIB);
        }
        scene.map(inner, segment, 0);
        let (address, bounds) = (2 * MIB, Rights::READ);
        OTHERS.set(vec![
            Call::SubtreeAttach { target: space, subtree: inner, address: address + TOP_SLOT_BYTES, bounds, flags: 0 },
            Call::Protect { target: inner, address: 0, length_bytes: PAGE_BYTES, rights: Rights::empty() },
            Call::SubtreeDetach { target: space, address: address + TOP_SLOT_BYTES },
        ]);
        scene.delete(&[outer]);
        let _ = scene.machine.call(Call::SubtreeWithdraw { subtree: inner });
        scene.delete(&[inner, segment]);
    });
}

#[test]
fn a_segment_goes_by_steps() {
    play(|scene| {
        let whole = scene.segment(5 * MIB + PAGE_BYTES, 0);
        let lazy = scene.segment(64 * MIB, 1);
        let (space, address, rights) = (scene.machine.space, TOP_SLOT_BYTES, Rights::READ | Rights::WRITE);
        scene.machine.map(space, lazy, 0, address, 64 * MIB, rights).expect("the place is free");
        for page in (0..64 * MIB / PAGE_BYTES).step_by(97) {
            let (address, buffer) = (address + page * PAGE_BYTES, host_tests::machine::BUFFER);
            let call = Call::MemoryWrite { space, address, buffer, length_bytes: 8 };
            scene.machine.call(call).expect("it may be written");
        }
        scene.machine.call(Call::Unmap { target: space, address, length_bytes: 64 * MIB }).expect("it is mapped");
        scene.delete(&[whole, lazy]);
    });
}

/// A table that held the only capabilities to thousands of things, itself among them.
fn a_table(scene: &mut Scene) {
    let table = scene.machine.make(Call::TableCreate { account: scene.account, slots: 128 });
    let copy = |handle| Call::CapabilityCopy { handle, table, rights: Rights::empty(), badge: 0 };
    for number in 0..30 {
        let handle = if number % 3 == 0 { scene.new_space() } else { scene.segment(PAGE_BYTES, number % 2) };
        scene.machine.call(copy(handle)).expect("it has room");
        scene.machine.call(Call::CapabilityDelete { handle }).expect("it is ours");
    }
    OTHERS.set(vec![Call::SpaceCreate { account: scene.machine.account }]);
    scene.delete(&[table]);
}

#[test]
fn a_table_goes_by_steps() {
    play(a_table);
}

/// A table that its last thread leaves, while others hold it: all that is in it goes, and it stays.
fn a_left_table(scene: &mut Scene) {
    let (account, space) = (scene.account, scene.space);
    let table = scene.machine.make(Call::TableCreate { account, slots: 128 });
    let id = scene.machine.kernel.tables.ids().find(|id| scene.machine.kernel.tables[*id].used() == 0);
    let id = id.expect("nothing is in it yet");
    for _ in 0..30 {
        let handle = scene.segment(PAGE_BYTES, 1);
        let copy = Call::CapabilityCopy { handle, table, rights: Rights::empty(), badge: 0 };
        scene.machine.call(copy).expect("it has room");
        scene.machine.call(Call::CapabilityDelete { handle }).expect("it is ours");
    }
    let (thread, _) = thread_in(&mut scene.machine, account, table, space, 1);
    scene.machine.call(Call::ThreadStop { thread }).expect("it is ours");
    assert_eq!(scene.machine.kernel.tables[id].used(), 0, "the last thread's end empties the table");
    scene.delete(&[thread, table]);
}

#[test]
fn a_table_that_its_last_thread_leaves_is_emptied_by_steps() {
    play(a_left_table);
}

/// Threads in a space that goes stop, or land in another one; but not in one that goes as well.
fn threads_in_a_space(scene: &mut Scene) {
    let (space, lost) = (scene.new_space(), scene.new_space());
    scene.machine.attach_program(space);
    let (account, table) = (scene.account, scene.machine.table);
    let refuges = [scene.machine.space_id(lost), scene.machine.space_id];
    let mut threads = Vec::new();
    for number in 0..40 {
        let (thread, id) = thread_in(&mut scene.machine, account, table, space, 1);
        let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
        let through = CapId::new(scene.machine.table_id, [lost, scene.machine.space][number % 2].slot());
        let lent = Some(scene.machine.kernel.lend(through, Use::of_number(UseKind::Fallback, id.index())));
        let fallback = Fallback { space: refuges[number % 2], instruction_pointer, stack_pointer, lent };
        inside::set_fallback(&mut scene.machine.kernel, id, Some(fallback));
        threads.push((thread, id));
    }
    LOST.set(Some(refuges[0]));
    // Both go at once: one table held them.
    let both = scene.machine.make(Call::TableCreate { account, slots: 8 });
    for handle in [lost, space] {
        let copy = Call::CapabilityCopy { handle, table: both, rights: Rights::empty(), badge: 0 };
        scene.machine.call(copy).expect("it has room");
        scene.machine.call(Call::CapabilityDelete { handle }).expect("it is ours");
    }
    scene.delete(&[both]);
    LOST.set(None);
    for (number, (_, id)) in threads.iter().enumerate() {
        assert_eq!(scene.machine.kernel.threads[*id].has_ended(), number % 2 == 0, "thread {number}");
    }
    let handles: Vec<Handle> = threads.iter().map(|(handle, _)| *handle).collect();
    scene.delete(&handles);
}

#[test]
fn threads_are_sent_out_of_a_space_by_steps() {
    play(threads_in_a_space);
}

/// Whatever the other CPU does, what is doomed is no fallback, and nothing that was cut is forgotten.
#[test]
fn mutants_are_caught() {
    let stories: [fn(&mut Scene); 4] = [a_space, a_left_table, threads_in_a_space, a_used_space];
    for mutant in DEBT_MUTANTS {
        let is_caught = stories.iter().any(|story| {
            seed(Some(mutant));
            let outcome = catch_unwind(AssertUnwindSafe(|| play(story)));
            seed(None);
            set_entry_units(ENTRY_UNITS);
            fake::cpu::set_cpu_index(0);
            outcome.is_err()
        });
        assert!(is_caught, "{mutant:?}");
    }
}

/// Who joins a thread with many others gets its result, and a thread that is waited for by many can go.
#[test]
fn those_who_join_a_thread_are_woken_by_steps() {
    play(|scene| {
        let (account, table, space) = (scene.account, scene.machine.table, scene.machine.space);
        let create = Call::ThreadCreate { account, table, space, priority: 1 };
        let (target, target_id) = scene.machine.new_thread(create);
        let joiners: Vec<_> = (0..25).map(|_| scene.machine.new_thread(create)).collect();
        for (_, id) in &joiners {
            ending::join(&mut scene.machine.kernel, *id, target_id);
        }
        scene.machine.call(Call::ThreadStop { thread: target }).expect("it is ours");
        for (_, id) in &joiners {
            let thread = &scene.machine.kernel.threads[*id];
            assert_eq!(thread.state, ThreadState::Ready);
            assert_eq!(thread.context.registers().result().0, Error::Gone.status());
        }
        let handles: Vec<Handle> = joiners.iter().map(|(handle, _)| *handle).collect();
        scene.delete(&handles);
        scene.delete(&[target]);
    });
}

/// Before the tables of a space that was used are freed, what is held under its tag is invalidated, once.
fn a_used_space(scene: &mut Scene) {
    let (space, own) = (scene.new_space(), scene.machine.space);
    scene.machine.attach_program(space);
    let segment = scene.segment(PAGE_BYTES, 1);
    (0..120).for_each(|number| scene.map(space, segment, TOP_SLOT_BYTES + number * GIB));
    scene.machine.switch_fast(space).expect("both have the program");
    scene.machine.switch_fast(own).expect("both have the program");
    scene.cpus.take_events(0);
    scene.delete(&[space]);
    let is_flush = |event: &Event| matches!(event, Event::Tag(_) | Event::All);
    let flushes = scene.cpus.take_events(0).iter().filter(|event| is_flush(event)).count();
    assert_eq!(flushes, usize::from(tessera_arch::broadcasts_invalidation()));
    scene.delete(&[segment]);
}

#[test]
fn a_space_that_was_used_is_invalidated_once() {
    play(a_used_space);
}

/// Whose thread is stopped in the middle leaves its debt behind, which others work off.
#[test]
fn a_debt_outlives_its_thread() {
    let mut scene = Scene::new(Flavour::X86);
    let segment = scene.segment(20 * MIB, 0);
    set_entry_units(1);
    let thread = scene.machine.thread;
    OTHERS.set(vec![Call::Clock {}, Call::ThreadStop { thread }]);
    let (number, words) = Call::CapabilityDelete { handle: segment }.encode();
    let id = running::current(&scene.machine.kernel, 0).expect("it runs");
    scene.machine.kernel.threads[id].context.registers_mut().set_call(number, words);
    scene.machine.trap(Trap::Call);
    assert!(scene.machine.kernel.threads[id].has_ended());
    OTHERS.set(Vec::new());
    scene.cpus.play(1);
    scene.settle();
    scene.cpus.play(1);
    for _ in 0..5000 {
        scene.machine.call(Call::Clock {}).expect("it is allowed");
    }
    assert!(!reap::is_any_doomed(&scene.machine.kernel));
    assert_eq!(scene.used_bytes(), 0);
    check::check(&scene.machine.kernel);
    set_entry_units(ENTRY_UNITS);
}
