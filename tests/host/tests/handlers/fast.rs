//! The fast path to a handler and back, and what it leaves to the common one.

use host_tests::FLAVOURS;
use host_tests::machine::BUFFER;
use tessera_abi::upcall::{Answer, asked_of};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights};
use tessera_arch::{Access, HandlerStart, VirtAddr};
use tessera_kernel::Kernel;
use tessera_kernel::cpu::per_cpu::PerCpu;
use tessera_kernel::entry::{asking, trap};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::thread::Thread;
use tessera_kernel::sched::handler_path::Answered;
use tessera_kernel::sched::running;

use crate::{Crowd, MISSING, Scene, answer, ask_of_call, begins};

/// A call of which the handler is told nothing afterwards is made when it has answered: one that does nothing, a quick one, one that is
/// made by the common path, and one that there is not. Each is counted once, as the answer is.
#[test]
fn a_call_that_was_asked_of_is_made_at_once() {
    for flavour in FLAVOURS {
        for is_fast in [true, false] {
            let scene = Scene::new(flavour, 1, 1);
            let mut scene = if is_fast { scene } else { scene.commonly() };
            let (id, thread, account) = (scene.machine.thread_id, scene.machine.thread, scene.machine.account);
            scene.set(thread, asked_of::CALLS);
            let spaces = scene.machine.kernel.spaces.len();
            let made = |scene: &mut Scene, call: Call| {
                let before = scene.machine.kernel.shared.cpus[0].counters.system_calls.get();
                scene.calls(call);
                assert!(scene.is_asked(id));
                scene.answers(Answer::Resume, [0; 2]);
                assert!(!scene.is_asked(id));
                let after = scene.machine.kernel.shared.cpus[0].counters.system_calls.get();
                assert_eq!(after - before, 2, "the answer and the call");
                scene.machine.kernel.threads[id].context.registers().result()
            };
            assert_eq!(made(&mut scene, Call::Null {}), (0, 0));
            assert_eq!(made(&mut scene, Call::SpaceCreate { account }).0, 0);
            assert_eq!(scene.machine.kernel.spaces.len(), spaces + 1);
            let info = Call::ThreadInfo { thread: Handle::NONE, buffer: BUFFER };
            assert_eq!(made(&mut scene, info).0, Error::BadHandle.status());
            // The first leads where the CPU has never been.
            assert_eq!(scene.fast, if is_fast { [0, 2, 3] } else { [0; 3] });
        }
    }
}

/// A page that is missing, and one that does not allow the access, wherever in the space's own map: beside what is attached, in a slot of
/// the root that has both, in one of its own. A page of what is attached is asked of by the common path, and one that the kernel brings by
/// none.
#[test]
fn a_fault_is_asked_of_at_once_where_the_space_itself_has_nothing_for_it() {
    const SLOT: u64 = 1 << 39;
    const GIB: u64 = 1 << 30;
    const PLACE: u64 = 9 * SLOT;
    const INSIDE: u64 = 1 << 20;
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour, 1, 1);
        let (id, thread, account, space) =
            (scene.machine.thread_id, scene.machine.thread, scene.machine.account, scene.machine.space);
        scene.set(thread, asked_of::FAULTS);
        let asked = |scene: &mut Scene, address: u64, access: Access| {
            let before = scene.fast[0];
            scene.faults_at(address, access);
            let is_asked = scene.is_asked(id);
            if is_asked {
                scene.answers(Answer::Resume, [0; 2]);
            }
            (is_asked, scene.fast[0] == before + 1)
        };
        // The first leads where the CPU has never been.
        assert_eq!(asked(&mut scene, PLACE, Access::Read), (true, false));
        let (at_once, commonly, by_none) = ((true, true), (true, false), (false, false));
        let map = |scene: &mut Scene, target, address, flags, rights| {
            let segment = scene.machine.make(Call::SegmentCreate { account, length_bytes: PAGE_BYTES, flags });
            let map = Call::Map { target, segment, offset: 0, address, length_bytes: PAGE_BYTES, rights };
            scene.machine.call(map).expect("there is room");
        };
        map(&mut scene, space, PLACE, 0, Rights::READ);
        map(&mut scene, space, PLACE + 2 * PAGE_BYTES, 1, Rights::READ_WRITE);
        let own_pages = |scene: &mut Scene| {
            assert_eq!(asked(scene, PLACE, Access::Write), at_once, "it may be read only");
            assert_eq!(asked(scene, PLACE, Access::Execute), at_once);
            assert_eq!(asked(scene, PLACE, Access::Read), by_none, "it is allowed");
            assert_eq!(asked(scene, PLACE + PAGE_BYTES, Access::Read), at_once, "nothing is there");
            assert_eq!(asked(scene, PLACE + 2 * PAGE_BYTES, Access::Write), by_none, "the kernel brings it");
            assert_eq!(asked(scene, PLACE + 2 * PAGE_BYTES, Access::Execute), at_once);
            assert_eq!(asked(scene, u64::MAX, Access::Read), commonly, "no page of a program's");
        };
        own_pages(&mut scene);
        let subtree = |scene: &mut Scene, level, address| {
            let subtree = scene.machine.make(Call::SubtreeCreate { account, level });
            map(scene, subtree, INSIDE, 0, Rights::READ_WRITE);
            let bounds = Rights::READ;
            let attach = Call::SubtreeAttach { target: space, subtree, address, bounds, flags: 0 };
            scene.machine.call(attach).expect("there is room");
            assert_eq!(asked(scene, address + INSIDE, Access::Write), commonly, "its bounds forbid it");
            assert_eq!(asked(scene, address + INSIDE + PAGE_BYTES, Access::Read), commonly, "nothing is there");
        };
        subtree(&mut scene, 3, 11 * SLOT);
        own_pages(&mut scene);
        // In the slot that the pages lie in.
        subtree(&mut scene, 2, PLACE + 5 * GIB);
        own_pages(&mut scene);
        assert_eq!(asked(&mut scene, PLACE + 4 * GIB, Access::Read), at_once);
        assert_eq!(asked(&mut scene, PLACE + 6 * GIB, Access::Read), at_once);
    }
}

/// A gate that nothing refers to any more is no handler, from before the first step of taking it apart on.
#[test]
fn a_gate_that_is_about_to_be_taken_apart_is_not_asked() {
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour, 1, 1);
        let (id, thread) = (scene.machine.thread_id, scene.machine.thread);
        scene.set(thread, asked_of::FAULTS | asked_of::CALLS);
        for fast in [[0, 0, 1], [1, 0, 2]] {
            scene.faults();
            assert!(scene.is_asked(id));
            scene.answers(Answer::Resume, [0; 2]);
            // The first leads where the CPU has never been.
            assert_eq!(scene.fast, fast);
        }
        let own = scene.machine.kernel.threads[id].activations.as_ref();
        let gate = own.and_then(|own| own.handler.as_ref()).expect("it has a handler").gate;
        let gates = &mut scene.machine.kernel.gates;
        gates.release(gate);
        assert!(gates.find(gate).is_none());
        assert!(scene.machine.kernel.shared.gate_words(gate.index()).is_open(), "nothing was done about it yet");
        let fault = |kernel: &mut Kernel, line: &PerCpu, start: &mut HandlerStart| {
            asking::ask(kernel, kernel.shared, line, (Access::Write, VirtAddr::new(MISSING)), start)
        };
        assert!(!scene.tries(0, |kernel, line| begins(kernel, line, fault)));
        assert!(!scene.tries(1, |kernel, line| begins(kernel, line, ask_of_call)));
        assert!(!scene.is_asked(id));
    }
}

/// Nothing but one answer is taken on the fast path, and none by whoever is in no handler; what is no answer is refused, and the thread is
/// in the handler still.
#[test]
fn answers_that_make_no_sense_go_no_fast_way() {
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour, 1, 1);
        let (id, thread) = (scene.machine.thread_id, scene.machine.thread);
        scene.set(thread, asked_of::FAULTS);
        let nowhere = |scene: &mut Scene| scene.tries(2, |kernel, line| answer(kernel, line, 1) != Answered::Not);
        assert!(!nowhere(&mut scene), "it is in no handler");
        scene.faults();
        for number in [4, 1 << 32 | 1, u64::MAX, Answer::Cancel as u64] {
            scene.answers_number(number, [0; 2]);
            assert!(scene.is_asked(id), "{number}");
            let result = scene.machine.kernel.threads[id].context.registers().result();
            assert_eq!(result.0, Error::BadArgument.status());
        }
        assert_eq!(scene.fast[2], 0);
        scene.answers(Answer::Resume, [0; 2]);
        assert!(!scene.is_asked(id) && scene.fast[2] == 1);
        assert!(!nowhere(&mut scene), "it is in none again");
    }
}

/// A handler of a space that faults itself is asked of that too, on the fast path: each has its own block of registers, and the outer
/// ones come back by the common path, which gives up the block that is too many.
#[test]
fn handlers_nest_on_the_fast_path() {
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour, 1, 3);
        let (id, space, own) = (scene.machine.thread_id, scene.space, scene.machine.space);
        scene.set(own, asked_of::FAULTS);
        scene.set(space, asked_of::FAULTS);
        let home = scene.place(id);
        let used = |scene: &Scene| scene.machine.kernel.threads[id].activations.as_ref().map_or(0, |own| own.bytes());
        for depth in 1..4 {
            scene.machine.kernel.threads[id].context.registers_mut().set_flags(depth);
            scene.faults();
            assert_eq!(scene.machine.kernel.threads[id].depth() as u64, depth);
        }
        let most = used(&scene);
        for depth in (1..4).rev() {
            scene.answers(Answer::Resume, [0; 2]);
            assert_eq!(scene.machine.kernel.threads[id].context.registers().flags(), depth);
        }
        assert_eq!(scene.place(id), home);
        assert!(used(&scene) < most, "one block is kept, no more");
    }
}

/// What a thread was interrupted in is taken away on another CPU: who answers then finds that out, by the common path. Or its handler's
/// gate closes: who is in it finishes.
#[test]
fn an_answer_after_something_was_taken_away() {
    for flavour in FLAVOURS {
        for is_gate in [true, false] {
            let mut crowd = Crowd::new(flavour, 1);
            let (thread, id) = crowd.threads[1];
            crowd.scene.set(thread, asked_of::FAULTS);
            assert_eq!(crowd.play(1), Some(id));
            // By a capability of its own, which is taken back.
            let away = crowd.objects[1];
            let by = Call::CapabilityDerive { handle: away, rights: Rights::all(), badge: 0 };
            let space = crowd.scene.machine.make(by);
            crowd.scene.machine.call(Call::SpaceSwitch { space }).expect("it may");
            let home = crowd.scene.place(id);
            crowd.scene.faults();
            assert!(crowd.scene.is_asked(id));
            crowd.scene.answers(Answer::Resume, [0; 2]);
            crowd.scene.faults();
            assert!(crowd.scene.is_asked(id) && crowd.scene.fast == [1, 0, 1]);
            crowd.cpus.play(0);
            crowd.scene.machine.feed_line();
            trap::schedule(&mut crowd.scene.machine.kernel, 0);
            let gate = crowd.scene.gate;
            // Those inside finish.
            let takes =
                if is_gate { Call::GateClose { gate, how: 0 } } else { Call::CapabilityRevoke { handle: away } };
            crowd.scene.machine.call(takes).expect("it is its owner's");
            check::check(&crowd.scene.machine.kernel);
            // It may have had to let others of its CPU go first.
            for _ in 0..4 {
                if crowd.play(1) != Some(id) {
                    running::requeue_current(&mut crowd.scene.machine.kernel, 1);
                }
            }
            assert_eq!(crowd.play(1), Some(id), "it answers yet");
            assert!(crowd.scene.is_asked(id));
            crowd.scene.answers(Answer::Resume, [0; 2]);
            // Who closes a gate to new ones only need not know who is in it; what was noted is looked at.
            assert_eq!(crowd.scene.fast[2], if is_gate { 2 } else { 1 });
            let kernel = &crowd.scene.machine.kernel;
            let has_ended = kernel.threads.find(id).is_none_or(Thread::has_ended);
            assert!(if is_gate { crowd.scene.place(id) == home } else { has_ended }, "{is_gate}");
        }
    }
}
