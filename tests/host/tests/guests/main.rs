//! Guests: a thread that runs one has its registers, comes out with whatever it wants, and whatever is taken away finds it inside.

mod fast;
mod model;
mod scene;

use core::sync::atomic::Ordering::Relaxed;

use host_tests::FLAVOURS;
use host_tests::machine::{CODE, STACK_END};
use host_tests::smp::Cpus;
use scene::{FLOATING, GUEST_IP, INSTRUCTION_POINTER, NUMBER, Path, STACK_POINTER, Scene, THREAD_POINTER, result};
use tessera_abi::guest::{GuestEnd, GuestException, OWN_NUMBER};
use tessera_abi::layout::{LentInfo, LentKind, ThreadState};
use tessera_abi::{Call, Error, Rights, USER_END};
use tessera_arch::fake::Flavour;
use tessera_arch::{Access, Fault, FaultKind, Interrupt, Trap, VirtAddr};
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::ObjectRef;
use tessera_kernel::sched::running;

fn fault(kind: FaultKind) -> Trap {
    Trap::Fault(Fault { kind, address: VirtAddr::new(7 << 40), access: Access::Write })
}

#[test]
fn whatever_a_guest_does_brings_its_thread_back() {
    let other = |kind, end, number| (fault(kind), end, [number, 7 << 40, 1]);
    let ends = [
        (Trap::GuestCall, GuestEnd::Call, [55, 0, 0]),
        other(FaultKind::Page, GuestEnd::Fault, 0),
        other(FaultKind::Instruction, GuestEnd::Exception, GuestException::Instruction as u64),
        other(FaultKind::Address, GuestEnd::Exception, GuestException::Address as u64),
        other(FaultKind::Arithmetic, GuestEnd::Exception, GuestException::Arithmetic as u64),
        other(FaultKind::Other(12), GuestEnd::Exception, OWN_NUMBER | 12),
        other(FaultKind::Breakpoint, GuestEnd::Breakpoint, 0),
        other(FaultKind::Step, GuestEnd::Step, 0),
        (Trap::Wait, GuestEnd::Exception, [GuestException::Wait as u64, GUEST_IP, 0]),
    ];
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour, 1);
        for (trap, end, words) in ends {
            // At once, and after it was taken off its CPU.
            for (is_noted, path) in
                [(false, Path::Common), (true, Path::Common), (false, Path::Fast), (true, Path::Fast)]
            {
                scene.page()[NUMBER].store(55, Relaxed);
                let call = scene.run_call();
                assert_eq!(scene.run_by(path, call), path);
                assert!(scene.is_inside(), "{trap:?}");
                let here = running::space_of(&scene.machine.kernel, scene.machine.thread_id);
                assert_eq!(here, scene.machine.space_id(scene.space));
                if is_noted {
                    running::requeue_current(&mut scene.machine.kernel, 0);
                    assert!(trap::schedule(&mut scene.machine.kernel, 0));
                    check::check(&scene.machine.kernel);
                    assert!(scene.is_inside(), "it goes on there");
                }
                scene.trap(trap);
                assert!(!scene.is_inside() && scene.is_home(), "{trap:?}");
                assert_eq!(scene.result(), Ok(end as u64));
                assert_eq!((scene.word(0), [1, 2, 3].map(|at| scene.word(at))), (end as u64, words), "{trap:?}");
                assert_eq!(scene.word(INSTRUCTION_POINTER), GUEST_IP);
            }
        }
    }
}

/// The page may hold anything: what is no user address is refused, and nothing else is.
#[test]
fn any_page_is_run_or_refused() {
    let mut scene = Scene::new(Flavour::Arm, 1);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (mut run, mut refused, mut fast) = (0, 0, 0);
    for _ in 0..20_000 {
        for word in scene.page() {
            let value = random();
            // Small ones as well, of which some are addresses of users.
            word.store(if value % 4 == 0 { random() } else { random() % USER_END }, Relaxed);
        }
        let pointers =
            [STACK_POINTER, INSTRUCTION_POINTER, THREAD_POINTER, THREAD_POINTER + 1].map(|at| scene.word(at));
        let is_sound = pointers.iter().all(|pointer| *pointer < USER_END);
        let before = (scene.word(NUMBER), scene.word(FLOATING));
        let call = scene.run_call();
        let by = if random() % 2 == 0 { Path::Fast } else { Path::Common };
        fast += u64::from(scene.run_by(by, call) == Path::Fast);
        assert_eq!(scene.is_inside(), is_sound, "{pointers:x?}");
        if is_sound {
            scene.leave_by(by);
            assert_eq!((scene.result(), scene.word(1)), (Ok(GuestEnd::Call as u64), before.0));
            run += 1;
        } else {
            assert_eq!(scene.result(), Err(Error::BadAddress));
            refused += 1;
        }
        assert!(scene.is_home());
        assert_eq!((scene.word(NUMBER), scene.word(FLOATING)), before);
    }
    check::check(&scene.machine.kernel);
    assert!(run > 1000 && refused > 1000 && fast > 500, "{run} runs, {refused} refused, {fast} fast");
}

/// From another CPU, with the guest fresh or noted: who runs it is told, and the state has its registers.
#[test]
fn what_is_taken_away_finds_who_is_inside() {
    for flavour in FLAVOURS {
        for (is_noted, path) in [(false, Path::Common), (true, Path::Common), (false, Path::Fast), (true, Path::Fast)] {
            for what in 0..4 {
                let mut scene = Scene::new(flavour, 2);
                let cpus = Cpus::new(scene.machine.kernel.shared);
                let (guest, space) = (scene.guest, scene.space);
                let derive = |handle, rights| Call::CapabilityDerive { handle, rights, badge: 3 };
                let by_guest = scene.machine.make(derive(guest, Rights::all()));
                let by_space = scene.machine.make(derive(space, Rights::RUN));
                let (table, account, home) = (scene.machine.table, scene.machine.account, scene.machine.space);
                let thread = scene.machine.make(Call::ThreadCreate { account, table, space: home, priority: 31 });
                scene.machine.call(Call::ThreadSetAffinity { thread, cpus: 2 }).expect("it runs");
                let ObjectRef::Thread(runner) = scene.machine.object(thread) else { panic!("a thread") };
                let start =
                    Call::ThreadStart { thread, instruction_pointer: CODE, stack_pointer: STACK_END, argument: 0 };
                scene.machine.call(start).expect("it is new");
                cpus.play(1);
                assert!(trap::schedule(&mut scene.machine.kernel, 1));
                let run = Call::GuestRun { guest: by_guest, space: by_space, flags: 0, deadline_ns: u64::MAX };
                // A thread's first run goes the common path.
                assert_eq!(scene.run_by(path, run), Path::Common);
                if path == Path::Fast {
                    assert_eq!(scene.leave_by(path), path);
                    assert_eq!(scene.run_by(path, run), path);
                }
                assert!(scene.is_inside());
                if is_noted {
                    running::requeue_current(&mut scene.machine.kernel, 1);
                    assert!(trap::schedule(&mut scene.machine.kernel, 1));
                }
                cpus.play(0);
                scene.page()[INSTRUCTION_POINTER].store(0, Relaxed);
                let call = match what {
                    0 => Call::CapabilityRevoke { handle: guest },
                    1 => Call::CapabilityRevoke { handle: space },
                    2 => Call::GuestKick { guest },
                    _ => Call::ThreadStop { thread },
                };
                scene.machine.call(call).expect("it is its owner's");
                check::check(&scene.machine.kernel);
                cpus.play(1);
                let runs = trap::schedule(&mut scene.machine.kernel, 1);
                check::check(&scene.machine.kernel);
                assert!(!scene.is_inside());
                assert_eq!(scene.word(INSTRUCTION_POINTER), GUEST_IP, "its registers are in its state");
                if what == 3 {
                    assert_eq!(scene.machine.kernel.threads[runner].state, ThreadState::Stopped);
                    continue;
                }
                let expected = if what == 2 { Ok(GuestEnd::Kick as u64) } else { Err(Error::Gone) };
                assert!(runs);
                assert_eq!(
                    (result(&scene.machine, runner), scene.word(0)),
                    (expected, expected.unwrap_or(0)),
                    "{what}"
                );
                cpus.play(0);
            }
        }
    }
}

/// The segment can be taken back, and the guest is over; whoever lends it sees that before.
#[test]
fn a_guest_whose_state_is_revoked_is_over() {
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour, 1);
        let account = scene.machine.account;
        let lent =
            scene.machine.make(Call::CapabilityDerive { handle: scene.segment, rights: Rights::READ_WRITE, badge: 9 });
        let guest = scene.machine.make(Call::GuestCreate { account, segment: lent, offset: 0 });
        let (handle, mut listed) = (scene.segment, Vec::new());
        for goes_on in 0..2 {
            let list = |buffer| Call::LentList { handle, buffer, capacity: 1, goes_on };
            let lent: LentInfo = scene.machine.info(list).expect("it is held");
            listed.push((lent.kind, lent.badge));
        }
        assert_eq!(listed, [(LentKind::Capability as u64, 9), (LentKind::Guest as u64, 9)]);
        scene.machine.call(Call::CapabilityRevoke { handle: scene.segment }).expect("it is its owner's");
        check::check(&scene.machine.kernel);
        let run = Call::GuestRun { guest, space: scene.space, flags: 0, deadline_ns: u64::MAX };
        assert_eq!(scene.machine.call(run), Err(Error::Gone));
        assert_eq!(scene.machine.call(Call::GuestKick { guest }), Err(Error::Gone));
        scene.machine.call(Call::CapabilityDelete { handle: guest }).expect("it is there still");
        check::check(&scene.machine.kernel);
    }
}

/// While it runs, the thread's own registers are the guest's to keep; a timer's interrupt changes nothing.
#[test]
fn an_interrupt_leaves_a_guest_where_it_is() {
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour, 1);
        scene.run();
        for interrupt in [Interrupt::Timer, Interrupt::Reschedule, Interrupt::Spurious] {
            scene.trap(Trap::Interrupt(interrupt));
            assert!(scene.is_inside());
        }
        scene.trap(Trap::GuestCall);
        assert!(scene.is_home());
    }
}

/// A guest's time is over when its thread next comes into the kernel by the timer.
#[test]
fn a_deadline_brings_a_guest_out() {
    let mut scene = Scene::new(Flavour::X86, 1);
    let deadline_ns = tessera_arch::now_ns() + 1_000_000;
    let run = Call::GuestRun { guest: scene.guest, space: scene.space, flags: 0, deadline_ns };
    scene.machine.call_commonly(run);
    assert!(scene.is_inside());
    assert!(tessera_arch::fake::timer::skip_to_deadline(), "the timer is set for it");
    assert!(tessera_arch::now_ns() >= deadline_ns);
    scene.trap(Trap::Interrupt(Interrupt::Timer));
    assert!(scene.is_home());
    assert_eq!((scene.result(), scene.word(0)), (Ok(GuestEnd::Deadline as u64), GuestEnd::Deadline as u64));
}

#[test]
fn the_last_capability_takes_a_guest_with_all_it_cost() {
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour, 1);
        scene.run();
        scene.trap(Trap::GuestCall);
        let (account, segment) = (scene.machine.account, scene.segment);
        let used = |scene: &Scene| scene.machine.kernel.accounts[scene.machine.account_id].used_bytes();
        let before = used(&scene);
        for _ in 0..100 {
            let guest = scene.machine.make(Call::GuestCreate { account, segment, offset: 0 });
            assert!(used(&scene) > before);
            scene.machine.call(Call::CapabilityDelete { handle: guest }).expect("it is held");
            check::check(&scene.machine.kernel);
            assert_eq!(used(&scene), before);
        }
    }
}
