//! `space_switch`: the path without a lock decides as the common one does, and tags never run out.

use host_tests::machine::{CODE, STACK_END};
use host_tests::tlb::Tlb;
use host_tests::{FLAVOURS, Machine, Options, config};
use proptest::prelude::*;
use tessera_abi::layout::{Counters, SpaceInfo};
use tessera_abi::{Call, Error, Handle, Rights};
use tessera_arch::fake::{self, Flavour};
use tessera_kernel::lifecycle::check;
use tessera_kernel::sched::running;

const SPACES: usize = 6;

#[derive(Clone, Debug)]
enum Operation {
    /// To a space, by its own capability or a derived one without `SWITCH`.
    Switch {
        space: usize,
        weak: bool,
    },
    /// By any number.
    Invent(u64),
    /// By a handle of something else.
    Wrong(usize),
    /// Gives a space up and makes another; the old handle is kept, to be tried.
    Replace(usize),
    /// By a handle that was given up.
    Stale(usize),
    /// The thread goes on elsewhere in its space: one of its pointers, or none, in tables that are not shared.
    Move(Ground),
    /// Takes the program out of a space, or attaches it again, as a whole or with bounds.
    Detach(usize),
    Attach {
        space: usize,
        bounds: Rights,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let space = || 0..SPACES;
    let bits = prop_oneof![any::<u64>(), (0..40_u64, 0..3_u64).prop_map(|(slot, generation)| slot | generation << 32)];
    let bounds = prop::sample::select(vec![Rights::ACCESS, Rights::READ, Rights::READ_EXECUTE]);
    prop_oneof![
        12 => (space(), prop::bool::weighted(0.1)).prop_map(|(space, weak)| Operation::Switch { space, weak }),
        1 => bits.prop_map(Operation::Invent),
        1 => (0..4_usize).prop_map(Operation::Wrong),
        1 => space().prop_map(Operation::Replace),
        1 => any::<usize>().prop_map(Operation::Stale),
        1 => prop::sample::select(vec![Ground::Both, Ground::Both, Ground::Code, Ground::Stack]).prop_map(Operation::Move),
        1 => space().prop_map(Operation::Detach),
        2 => (space(), bounds).prop_map(|(space, bounds)| Operation::Attach { space, bounds }),
    ]
}

/// Which of a thread's pointers are in tables that all spaces share. One is: where the thread is, something is.
#[derive(Clone, Copy, Debug)]
enum Ground {
    Both,
    Code,
    Stack,
}

struct Scene {
    machine: Machine,
    spaces: Vec<(Handle, Handle)>,
    stale: Vec<Handle>,
    fast: bool,
}

impl Scene {
    fn new(flavour: Flavour, tag_bits: u32, fast: bool) -> Scene {
        let machine = Machine::boot(&Options::new(flavour).tag_bits(tag_bits));
        let mut scene = Scene { machine, spaces: Vec::new(), stale: Vec::new(), fast };
        for _ in 0..SPACES {
            let space = scene.new_space();
            scene.spaces.push(space);
        }
        scene
    }

    fn new_space(&mut self) -> (Handle, Handle) {
        let space = self.machine.new_space();
        self.machine.attach_program(space);
        let rights = Rights::all() - Rights::SWITCH;
        (space, self.machine.make(Call::CapabilityDerive { handle: space, rights, badge: 0 }))
    }

    fn switch(&mut self, space: Handle) -> Result<u64, Error> {
        if self.fast { self.machine.switch_fast(space) } else { self.machine.call(Call::SpaceSwitch { space }) }
    }

    /// What the program sees of an operation: the result, and the space it is in then.
    fn step(&mut self, operation: &Operation) -> (Result<u64, Error>, u32) {
        let machine = &self.machine;
        let result = match *operation {
            Operation::Switch { space, weak } => {
                let (space, without_right) = self.spaces[space];
                self.switch(if weak { without_right } else { space })
            }
            Operation::Invent(bits) => self.switch(Handle::from_bits(bits)),
            Operation::Wrong(which) => {
                self.switch([machine.account, machine.table, machine.program, machine.thread][which])
            }
            Operation::Stale(which) if !self.stale.is_empty() => self.switch(self.stale[which % self.stale.len()]),
            Operation::Replace(space) => self.replace(space),
            Operation::Move(ground) => {
                // In another top-level slot is nothing, so nothing is shared.
                let away = 5 << 39;
                let (ip, sp) = match ground {
                    Ground::Both => (CODE, STACK_END),
                    Ground::Code => (CODE, STACK_END + away),
                    Ground::Stack => (CODE + away, STACK_END),
                };
                let registers = self.machine.kernel.threads[self.machine.thread_id].context.registers_mut();
                registers.set_entry(ip, sp, [0, 0]);
                Ok(0)
            }
            // A thread that takes its own program away makes no more calls.
            Operation::Detach(space) if !self.is_inside(self.spaces[space].0) => {
                self.machine.call(Call::SubtreeDetach { target: self.spaces[space].0, address: 0 })
            }
            Operation::Attach { space, bounds } => {
                let (space, subtree) = (self.spaces[space].0, self.machine.program);
                self.machine.call(Call::SubtreeAttach { target: space, subtree, address: 0, bounds, flags: 0 })
            }
            Operation::Stale(_) | Operation::Detach(_) => Ok(0),
        };
        check::check(&self.machine.kernel);
        let inside = running::space_of(&self.machine.kernel, self.machine.thread_id);
        (result, inside.index())
    }

    fn is_inside(&self, space: Handle) -> bool {
        running::space_of(&self.machine.kernel, self.machine.thread_id) == self.machine.space_id(space)
    }

    fn replace(&mut self, space: usize) -> Result<u64, Error> {
        let (handle, weak) = self.spaces[space];
        if self.is_inside(handle) {
            return Ok(0);
        }
        for handle in [handle, weak] {
            self.machine.call(Call::CapabilityDelete { handle })?;
            self.stale.push(handle);
        }
        self.spaces[space] = self.new_space();
        Ok(0)
    }

    fn run(flavour: Flavour, tag_bits: u32, fast: bool, operations: &[Operation]) -> Vec<(Result<u64, Error>, u32)> {
        let mut scene = Scene::new(flavour, tag_bits, fast);
        let mut tlb = Tlb::new();
        let mut step = |operation| {
            let seen = scene.step(operation);
            tlb.follow(fake::tlb::take_events()).unwrap_or_else(|stale| panic!("{operation:?}: {stale}"));
            seen
        };
        operations.iter().map(&mut step).collect()
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn the_fast_path_decides_as_the_common_one(
        operations in prop::collection::vec(operation(), 1..100),
        flavour in prop::sample::select(FLAVOURS.to_vec()),
        tag_bits in 0_u32..5,
    ) {
        let common = Scene::run(flavour, tag_bits, false, &operations);
        let fast = Scene::run(flavour, tag_bits, true, &operations);
        prop_assert_eq!(common, fast);
    }
}

fn counters(machine: &mut Machine) -> Counters {
    machine.info(|buffer| Call::Counters { cpu: 0, buffer }).expect("CPU 0 is there")
}

/// With three tags for six spaces each switch is to a tag that was taken away or is new, and none is refused.
#[test]
fn running_out_of_tags_costs_but_never_fails() {
    for flavour in FLAVOURS {
        for tag_bits in 1..4 {
            let mut scene = Scene::new(flavour, tag_bits, true);
            let before = counters(&mut scene.machine);
            for round in 0..600 {
                let space = scene.spaces[round % SPACES].0;
                assert!(scene.switch(space).is_ok());
                let info: SpaceInfo = scene.machine.info(|buffer| Call::SpaceInfo { space, buffer }).expect("INSPECT");
                assert!(info.tag < 1 << tag_bits, "a tag of {tag_bits} bits");
            }
            let after = counters(&mut scene.machine);
            let rollovers = after.tag_rollovers - before.tag_rollovers;
            let enough = (1 << tag_bits) > SPACES + 1;
            assert_eq!(rollovers == 0, enough, "{rollovers} roll-overs with {tag_bits} bits");
        }
    }
}

/// With tags enough, only the first entry into each space flushes.
#[test]
fn with_tags_enough_translations_are_kept() {
    let mut scene = Scene::new(Flavour::X86, 8, true);
    for round in 0..SPACES {
        assert!(scene.switch(scene.spaces[round].0).is_ok());
    }
    let before = counters(&mut scene.machine);
    for round in 0..60 {
        assert!(scene.switch(scene.spaces[round % SPACES].0).is_ok());
    }
    let after = counters(&mut scene.machine);
    assert_eq!(after.tag_hits - before.tag_hits, 60);
    assert_eq!(after.tag_flushes, before.tag_flushes);
}

/// Without tags every switch flushes.
#[test]
fn without_tags_nothing_is_kept() {
    let mut scene = Scene::new(Flavour::Arm, 0, true);
    let before = counters(&mut scene.machine);
    for round in 0..60 {
        assert!(scene.switch(scene.spaces[round % SPACES].0).is_ok());
    }
    let after = counters(&mut scene.machine);
    assert_eq!(after.tag_flushes - before.tag_flushes, 60);
    assert_eq!((after.tag_hits - before.tag_hits, after.tag_rollovers), (0, 0));
}

/// A thread learns by which handle it came where it is, and can go back by it.
#[test]
fn the_way_back_is_the_value() {
    let mut scene = Scene::new(Flavour::X86, 8, true);
    let (first, second) = (scene.spaces[0].0, scene.spaces[1].0);
    assert_eq!(scene.switch(first), Ok(Handle::NONE.bits()), "it began in its own space without a handle");
    assert_eq!(scene.switch(second), Ok(first.bits()));
    assert_eq!(scene.switch(first), Ok(second.bits()));
    assert_eq!(scene.switch(scene.machine.space), Ok(first.bits()));
}
