//! The fast path of a run and of the way back: it does what the common path does, or leaves all to it.

use core::sync::atomic::Ordering::Relaxed;

use host_tests::machine::{CODE, STACK_END};
use host_tests::{FLAVOURS, Machine};
use tessera_abi::guest::{GuestState, STEP};
use tessera_abi::{Call, Handle, Rights};
use tessera_arch::fake::Flavour;
use tessera_arch::{Access, Fault, FaultKind, Interrupt, Trap, VirtAddr};
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::sched::{guest_path, running};

use crate::scene::{FLOATING, INSTRUCTION_POINTER, NUMBER, Path, STACK_POINTER, Scene, THREAD_POINTER};

/// Has the first run behind it, which makes room for activations, and both passes are good.
fn ready(flavour: Flavour) -> Scene {
    let mut scene = Scene::new(flavour, 1);
    scene.run();
    scene.trap(Trap::GuestCall);
    scene
}

#[test]
fn a_run_and_the_way_back_are_fast() {
    for flavour in FLAVOURS {
        let mut scene = ready(flavour);
        let call = scene.run_call();
        for number in 0..3 {
            assert_eq!(scene.run_by(Path::Fast, call), Path::Fast);
            assert!(scene.is_inside());
            scene.inner().set_call(number, [7; 6]);
            assert_eq!(scene.leave_by(Path::Fast), Path::Fast);
            assert!(scene.is_home());
            assert_eq!((scene.word(1), scene.word(NUMBER), scene.word(NUMBER + 1)), (number, number, 7));
        }
    }
}

/// Each goes the common path, by which it is refused or served; the fast one has changed nothing.
#[test]
fn what_is_out_of_the_ordinary_is_left_to_the_common_path() {
    let mut scene = ready(Flavour::Arm);
    let (guest, space) = (scene.guest, scene.space);
    let weak_guest = scene.machine.make(Call::CapabilityDerive { handle: guest, rights: Rights::KICK, badge: 0 });
    let weak_space = scene.machine.make(Call::CapabilityDerive { handle: space, rights: Rights::SWITCH, badge: 0 });
    let stale = Handle::from_bits(guest.bits() + (1 << 32));
    let far = Handle::from_bits(guest.bits() | 0xff_ffff);
    let pairs = [
        [weak_guest, space],
        [guest, weak_space],
        [guest, guest],
        [space, space],
        [stale, space],
        [far, space],
        [guest, far],
        [Handle::NONE, space],
        [guest, Handle::NONE],
    ];
    for pair in pairs {
        assert_eq!(run_fast(&mut scene.machine, pair), 0, "{pair:x?}");
        assert!(scene.is_home());
    }
    // A pass that is not good, and a kick.
    scene.machine.kernel.shared.space_words(scene.machine.space_id(space).index()).pass(0).make_stale();
    assert_eq!(run_fast(&mut scene.machine, [guest, space]), 0);
    let call = scene.run_call();
    assert_eq!((scene.run_by(Path::Fast, call), scene.leave_by(Path::Fast)), (Path::Common, Path::Fast));
    scene.machine.call(Call::GuestKick { guest }).expect("it may");
    assert_eq!(scene.run_by(Path::Fast, call), Path::Common);
    assert!(scene.is_home());
    assert_eq!(scene.run_by(Path::Fast, call), Path::Fast);
    // What is noted, stepped or timed does not come back by the fast path.
    running::requeue_current(&mut scene.machine.kernel, 0);
    assert!(trap::schedule(&mut scene.machine.kernel, 0));
    assert_eq!(scene.leave_by(Path::Fast), Path::Common);
    for (flags, deadline_ns) in [(STEP, u64::MAX), (0, u64::MAX - 1)] {
        assert_eq!(scene.run_by(Path::Fast, Call::GuestRun { guest, space, flags, deadline_ns }), Path::Common);
        assert_eq!(scene.leave_by(Path::Fast), Path::Common);
        assert!(scene.is_home());
        assert_eq!(scene.machine.kernel.guests_until, 0);
    }
    check::check(&scene.machine.kernel);
}

fn run_fast(machine: &mut Machine, handles: [Handle; 2]) -> u64 {
    let line = &machine.kernel.shared.cpus[0];
    guest_path::run(&mut machine.kernel, line, handles)
}

/// What can be told of a thread, its guest and the page.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    is_inside: bool,
    result: (u64, u64),
    thread: [u64; 4],
    depth: usize,
    page: Vec<u64>,
    counters: [u64; 3],
}

fn look(scene: &Scene) -> Seen {
    let (kernel, id) = (&scene.machine.kernel, scene.machine.thread_id);
    let is_inside = scene.is_inside();
    let counters = kernel.shared.cpus[0].counters.read();
    let thread = &kernel.threads[id];
    let registers = thread.context.registers();
    let own =
        [registers.instruction_pointer(), registers.stack_pointer(), registers.thread_pointer(), registers.flags()];
    Seen {
        is_inside,
        result: if is_inside { (0, 0) } else { registers.result() },
        thread: if is_inside { [0; 4] } else { own },
        depth: thread.depth(),
        page: (0..GuestState::WORDS).map(|at| scene.word(at)).collect(),
        counters: [counters.system_calls, counters.space_switches, counters.faults],
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Random doings of a thread and its guest; what is seen after each, if the fast path is used wherever it serves, or never.
fn play(seed: u64, path: Path) -> (Vec<Seen>, u64) {
    let mut scene = ready(FLAVOURS[(seed % 2) as usize]);
    let (mut random, mut seen, mut fast) = (Random(seed * 2 + 1), Vec::new(), 0);
    let id = scene.machine.thread_id;
    for _ in 0..200 {
        let went = if scene.is_inside() {
            act_inside(&mut scene, &mut random, path)
        } else {
            act_outside(&mut scene, &mut random, path)
        };
        fast += u64::from(went == Path::Fast);
        check::check(&scene.machine.kernel);
        if !scene.is_inside() {
            let registers = scene.machine.kernel.threads[id].context.registers();
            assert_eq!((registers.instruction_pointer(), registers.stack_pointer()), (CODE, STACK_END));
        }
        seen.push(look(&scene));
    }
    (seen, fast)
}

fn act_inside(scene: &mut Scene, random: &mut Random, path: Path) -> Path {
    let fault = |kind| Trap::Fault(Fault { kind, address: VirtAddr::new(7 << 40), access: Access::Write });
    match random.below(8) {
        0 => {
            running::requeue_current(&mut scene.machine.kernel, 0);
            assert!(trap::schedule(&mut scene.machine.kernel, 0));
        }
        1 => scene.trap(Trap::Interrupt(Interrupt::Timer)),
        2 => scene.trap(fault(FaultKind::Page)),
        3 => scene.trap(Trap::Wait),
        4 => {
            let (number, pointer) = (random.below(100), random.below(1 << 40));
            let registers = scene.inner();
            registers.set_call(number, [number; 6]);
            registers.set_entry(pointer, pointer + 8, [3, 4]);
            registers.set_thread_pointer(pointer + 16);
            registers.set_flags(number);
        }
        _ => return scene.leave_by(path),
    }
    Path::Common
}

fn act_outside(scene: &mut Scene, random: &mut Random, path: Path) -> Path {
    let Scene { guest, space, .. } = *scene;
    match random.below(8) {
        0 => scene.machine.call(Call::GuestKick { guest }).map(drop).expect("it may"),
        1 => {
            let at = [NUMBER, STACK_POINTER, INSTRUCTION_POINTER, THREAD_POINTER, FLOATING][random.below(5) as usize];
            let shift = random.below(40);
            scene.page()[at].store(random.below(u64::MAX) >> shift, Relaxed);
        }
        2 => {
            for at in [STACK_POINTER, INSTRUCTION_POINTER, THREAD_POINTER] {
                scene.page()[at].store(0x1000, Relaxed);
            }
        }
        3 => {
            let flags = random.below(3);
            scene.machine.call_commonly(Call::GuestRun { guest, space, flags, deadline_ns: u64::MAX });
        }
        _ => {
            let call = scene.run_call();
            return scene.run_by(path, call);
        }
    }
    Path::Common
}

#[test]
fn both_paths_end_alike() {
    let mut all_fast = 0;
    for seed in 1..60 {
        let (seen, fast) = play(seed, Path::Fast);
        let (expected, none) = play(seed, Path::Common);
        assert_eq!(none, 0);
        for (step, (seen, expected)) in seen.iter().zip(&expected).enumerate() {
            assert_eq!(seen, expected, "seed {seed}, step {step}");
        }
        all_fast += fast;
    }
    assert!(all_fast > 1000, "{all_fast} went the fast path");
}
