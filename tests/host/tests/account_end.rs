//! Ending an account: what it pays for goes, whoever uses it; cut anywhere.

use host_tests::machine::{CODE, STACK_END};
use host_tests::{Machine, Options};
use tessera_abi::layout::{AccountInfo, FallbackReason, ThreadState};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::fake::Flavour;
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::ThreadId;

/// What somebody else pays for, and what the machine's first program does with it.
struct Scene {
    machine: Machine,
    used_before: u64,
    account: Handle,
    inner: Handle,
    objects: Vec<Handle>,
    /// A thread of the first program that is in a space that goes, and where it lands.
    guest: ThreadId,
    guest_handle: Handle,
}

impl Scene {
    fn new() -> Scene {
        let mut machine = Machine::boot(&Options::new(Flavour::X86).slots(512).frames(8192));
        let own = machine.account;
        let refuge = machine.new_space();
        let table = machine.make(Call::TableCreate { account: own, slots: 8 });
        let used_before = used(&mut machine, own);
        let account = machine.make(Call::AccountCreate { account: own, bytes: 4 << 20 });
        let inner = machine.make(Call::AccountCreate { account, bytes: 1 << 20 });
        let mut objects = Vec::new();
        for account in [account, inner] {
            let space = machine.make(Call::SpaceCreate { account });
            let segment = machine.make(Call::SegmentCreate { account, length_bytes: 4 * PAGE_BYTES, flags: 0 });
            let subtree = machine.make(Call::SubtreeCreate { account, level: 3 });
            let theirs = machine.make(Call::TableCreate { account, slots: 8 });
            let user = machine.make(Call::ThreadCreate { account, table: theirs, space: refuge, priority: 3 });
            objects.extend([space, segment, subtree, theirs, user]);
            let place = TOP_SLOT_BYTES * objects.len() as u64;
            machine.map(machine.space, segment, 0, place, 2 * PAGE_BYTES, Rights::READ).expect("nothing is there");
            let unmap = Call::Unmap { target: machine.space, address: place, length_bytes: PAGE_BYTES };
            machine.call(unmap).expect("it is mapped");
            let (target, address) = (machine.space, place + TOP_SLOT_BYTES);
            let attach = Call::SubtreeAttach { target, subtree, address, bounds: Rights::READ, flags: 0 };
            machine.call(attach).expect("nothing is there");
            machine.make(Call::ViewCreate { account: own, space, bounds: Rights::READ });
            let copy = Call::CapabilityCopy { handle: segment, table, rights: Rights::READ, badge: 7 };
            machine.call(copy).expect("there is a slot");
        }
        let call = Call::ThreadCreate { account: own, table: machine.table, space: objects[0], priority: 3 };
        let (guest_handle, guest) = machine.new_thread(call);
        check::check(&machine.kernel);
        Scene { machine, used_before, account, inner, objects, guest, guest_handle }
    }

    /// Ends the account, and checks between the steps; gives how many there were.
    fn end(&mut self) -> u64 {
        let before = self.machine.steps;
        self.machine.between_steps(|machine| {
            check::check(&machine.kernel);
            true
        });
        assert_eq!(self.machine.call(Call::AccountEnd { account: self.account }), Ok(0));
        self.machine.between_steps = None;
        self.machine.steps - before
    }
}

fn used(machine: &mut Machine, account: Handle) -> u64 {
    machine.info::<AccountInfo>(|buffer| Call::AccountInfo { account, buffer }).expect("it is ours").used_bytes
}

/// How much more a machine's program is charged for what it made for itself: two views that are gone, a thread.
#[test]
fn all_that_it_pays_for_goes_whoever_uses_it() {
    for units in [1, 40, ENTRY_UNITS] {
        let mut scene = Scene::new();
        set_entry_units(units);
        let steps = scene.end();
        assert_eq!(steps > 15, units == 1, "{units} units are spent in {steps} steps");
        let Scene { mut machine, used_before, account, inner, objects, guest, .. } = scene;
        for handle in objects.into_iter().chain([account, inner]) {
            assert_eq!(machine.call(Call::CapabilityDelete { handle }), Err(Error::BadHandle));
        }
        assert_eq!(machine.kernel.threads[guest].state, ThreadState::Stopped, "it had nowhere to go");
        let thread_bytes = tessera_kernel::object::thread::THREAD_BYTES;
        let own = machine.account;
        assert_eq!(used(&mut machine, own), used_before + thread_bytes, "all that was split off is back");
        check::check(&machine.kernel);
    }
    set_entry_units(ENTRY_UNITS);
}

#[test]
fn threads_of_others_land_where_they_fall_back_to() {
    let mut scene = Scene::new();
    let (guest, main) = (scene.guest, scene.machine.thread_id);
    let machine = &mut scene.machine;
    let start = |thread| Call::ThreadStart { thread, instruction_pointer: CODE, stack_pointer: STACK_END, argument: 0 };
    machine.call(start(scene.guest_handle)).expect("it is new");
    machine.call(Call::ThreadSetPriority { thread: machine.thread, priority: 3 }).expect("it is ours");
    machine.let_run(guest);
    let (instruction_pointer, stack_pointer) = (CODE + 64, STACK_END - 64);
    let fallback = Call::ThreadSetFallback { space: machine.space, instruction_pointer, stack_pointer };
    machine.call(fallback).expect("it may");
    assert_eq!(
        machine.call(Call::AccountEnd { account: scene.account }),
        Err(Error::BadState),
        "it pays for where it is"
    );
    machine.let_run(main);
    scene.end();
    let thread = &scene.machine.kernel.threads[guest];
    assert_eq!((thread.state, thread.space), (ThreadState::Ready, scene.machine.space_id));
    let registers = thread.context.registers();
    let landing = (registers.instruction_pointer(), registers.stack_pointer());
    assert_eq!(landing, (instruction_pointer, stack_pointer));
    assert_eq!(registers.call_arguments()[0], FallbackReason::SpaceRevoked as u64);
}

#[test]
fn who_may_not_changes_nothing() {
    let mut scene = Scene::new();
    let account = scene.account;
    let machine = &mut scene.machine;
    let derive = Call::CapabilityDerive { handle: account, rights: Rights::all() - Rights::CONTROL, badge: 0 };
    let weak = machine.make(derive);
    let before = used(machine, machine.account);
    assert_eq!(machine.call(Call::AccountEnd { account: weak }), Err(Error::MissingRight));
    assert_eq!(machine.call(Call::AccountEnd { account: machine.space }), Err(Error::WrongObject));
    assert_eq!(machine.call(Call::AccountEnd { account: Handle::from_bits(1 << 40 | 3) }), Err(Error::BadHandle));
    assert_eq!(
        machine.call(Call::AccountEnd { account: machine.account }),
        Err(Error::BadState),
        "it pays for the caller"
    );
    assert_eq!(used(machine, machine.account), before);
    check::check(&machine.kernel);
}

/// Twice as much that is charged takes twice as many steps, however deep accounts are nested.
#[test]
fn it_costs_what_there_is() {
    let cost = |count: u64, is_deep: bool| {
        let mut machine = Machine::boot(&Options::new(Flavour::Arm).frames(32768).slots(8192));
        let top = machine.make(Call::AccountCreate { account: machine.account, bytes: 64 << 20 });
        let mut account = top;
        for number in 0..count {
            let next = machine.make(Call::AccountCreate { account, bytes: (64 << 20) - (number + 1) * 2000 });
            machine.make(Call::SegmentCreate { account, length_bytes: PAGE_BYTES, flags: 1 });
            account = if is_deep { next } else { account };
            if !is_deep {
                machine.call(Call::CapabilityDelete { handle: next }).expect("it is ours");
            }
        }
        tessera_kernel::base::steps::take();
        machine.call(Call::AccountEnd { account: top }).expect("it pays for nobody here");
        tessera_kernel::base::steps::take()
    };
    for is_deep in [false, true] {
        let (once, twice) = (cost(100, is_deep), cost(200, is_deep));
        assert!(once > 300, "steps are counted");
        assert!(twice < 2 * once + once / 4, "{once} steps, and {twice} for twice as much (nested: {is_deep})");
    }
}
