//! Several CPUs: whatever one changes, no other can use a translation that is not true any more.
//!
//! Random changes on random CPUs, with tags of 0 to 4 bits; after each the worst case of every CPU's TLB is
//! compared with the tables.

use host_tests::machine::{CODE, STACK_END};
use host_tests::smp::Cpus;
use host_tests::tlb::Tlb;
use host_tests::{FLAVOURS, Machine, Options, config};
use proptest::prelude::*;
use tessera_abi::{Call, Handle, PAGE_BYTES, Rights};
use tessera_arch::fake::Flavour;
use tessera_kernel::base::effort::{ENTRY_UNITS, set_entry_units};
use tessera_kernel::cpu::tags::TagWord;
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;
use tessera_kernel::sched::running;

const CPUS: usize = 3;
const SPACES: usize = 4;
const SUBTREES: usize = 2;
const SLOT: u64 = 1 << 39;

#[derive(Clone, Debug)]
enum Operation {
    Enter {
        space: usize,
        fast: bool,
    },
    /// In a space, or behind them a subtree: a place, and a few or many pages.
    Map {
        target: usize,
        place: u64,
        pages: u64,
        rights: Rights,
    },
    Unmap {
        target: usize,
        place: u64,
        pages: u64,
    },
    Protect {
        target: usize,
        place: u64,
        pages: u64,
        rights: Rights,
    },
    Attach {
        space: usize,
        subtree: usize,
        slot: u64,
        bounds: Rights,
        only_cpu: Option<u64>,
    },
    Detach {
        space: usize,
        slot: u64,
        only_cpu: Option<u64>,
    },
    /// Gives a space up and makes another, local to a CPU or not.
    Replace {
        space: usize,
        only_cpu: Option<u64>,
    },
    Yield,
}

fn operation() -> impl Strategy<Value = Operation> {
    let rights = || prop::sample::select(vec![Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE]);
    let pages = || prop_oneof![4 => 1..4_u64, 1 => Just(40), 1 => Just(512)];
    let only_cpu = || prop_oneof![2 => Just(None), 1 => (0..CPUS as u64).prop_map(Some)];
    let target = || 0..SPACES + SUBTREES;
    prop_oneof![
        8 => (0..SPACES, any::<bool>()).prop_map(|(space, fast)| Operation::Enter { space, fast }),
        6 => (target(), 0..5_u64, pages(), rights())
            .prop_map(|(target, place, pages, rights)| Operation::Map { target, place, pages, rights }),
        4 => (target(), 0..5_u64, pages())
            .prop_map(|(target, place, pages)| Operation::Unmap { target, place, pages }),
        4 => (target(), 0..5_u64, pages(), rights())
            .prop_map(|(target, place, pages, rights)| Operation::Protect { target, place, pages, rights }),
        4 => (0..SPACES, 0..SUBTREES, 2..4_u64, rights(), only_cpu()).prop_map(
            |(space, subtree, slot, bounds, only_cpu)| Operation::Attach { space, subtree, slot, bounds, only_cpu }
        ),
        2 => (0..SPACES, 2..4_u64, only_cpu())
            .prop_map(|(space, slot, only_cpu)| Operation::Detach { space, slot, only_cpu }),
        1 => (0..SPACES, only_cpu()).prop_map(|(space, only_cpu)| Operation::Replace { space, only_cpu }),
        1 => Just(Operation::Yield),
    ]
}

struct Scene {
    machine: Machine,
    cpus: Cpus,
    tlbs: Vec<Tlb>,
    segment: Handle,
    /// Spaces, then subtrees.
    maps: Vec<Handle>,
}

impl Scene {
    fn new(flavour: Flavour, tag_bits: u32) -> Scene {
        let mut machine = Machine::boot(&Options { cpus: CPUS, ..Options::new(flavour).tag_bits(tag_bits) });
        let cpus = Cpus::new(machine.kernel.shared);
        let segment = machine.borrow_frames(1 << 28, 1 << 12);
        let tlbs = (0..CPUS).map(|_| Tlb::new()).collect();
        let mut scene = Scene { maps: Vec::new(), machine, cpus, tlbs, segment };
        for _ in 0..SPACES {
            let space = scene.new_space(None);
            scene.maps.push(space);
        }
        for _ in 0..SUBTREES {
            let account = scene.machine.account;
            scene.maps.push(scene.machine.make(Call::SubtreeCreate { account, level: 3 }));
        }
        scene.start_threads();
        scene
    }

    fn new_space(&mut self, only_cpu: Option<u64>) -> Handle {
        let account = self.machine.account;
        let space = match only_cpu {
            Some(cpu) => self.machine.make(Call::SpaceCreateLocal { account, cpu }),
            None => self.machine.make(Call::SpaceCreate { account }),
        };
        self.machine.attach_program(space);
        space
    }

    /// A thread for each CPU, which lands in the program's space if the space it is in goes.
    fn start_threads(&mut self) {
        let (account, table, space) = (self.machine.account, self.machine.table, self.machine.space);
        let pin = |thread, cpu| Call::ThreadSetAffinity { thread, cpus: 1_u64 << cpu };
        self.machine.call(pin(self.machine.thread, 0)).expect("CPU 0 runs");
        for cpu in 1..CPUS {
            let thread = self.machine.make(Call::ThreadCreate { account, table, space, priority: 31 });
            self.machine.call(pin(thread, cpu)).expect("the CPU runs");
            let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
            let start = Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 };
            self.machine.call(start).expect("a new thread can be started");
        }
        for cpu in 0..CPUS {
            self.cpus.play(cpu);
            assert!(trap::schedule(&mut self.machine.kernel, cpu), "CPU {cpu} has its thread");
            let (instruction_pointer, stack_pointer) = (CODE, STACK_END);
            let fallback = Call::ThreadSetFallback { space, instruction_pointer, stack_pointer };
            self.machine.call(fallback).expect("the space can be switched to");
        }
    }

    fn step(&mut self, cpu: usize, operation: &Operation) -> Result<(), TestCaseError> {
        self.cpus.play(cpu);
        // Refusals are other tests' business; what counts is what CPUs may still hold.
        match *operation {
            Operation::Enter { space, fast: true } => self.machine.switch_fast(self.maps[space]).ok(),
            Operation::Replace { space, only_cpu } => {
                let call = Call::CapabilityDelete { handle: self.maps[space] };
                self.machine.call(call).expect("the space's handle is valid");
                self.resume_all();
                self.maps[space] = self.new_space(only_cpu);
                None
            }
            _ => self.machine.call(self.call_for(operation)).ok(),
        };
        self.resume_all();
        check::check(&self.machine.kernel);
        self.check_tags()?;
        for cpu in 0..CPUS {
            let events = self.cpus.take_events(cpu);
            let followed = self.tlbs[cpu].follow(events);
            followed.map_err(|stale| TestCaseError::fail(format!("CPU {cpu}: {stale}")))?;
        }
        Ok(())
    }

    /// No two spaces have the same tag of the same generation, and none has a tag that is live on a CPU for another.
    fn check_tags(&self) -> Result<(), TestCaseError> {
        let kernel = &self.machine.kernel;
        let tag_of = |space: u32| kernel.shared.space_words(space).tag();
        let given: Vec<_> = kernel.spaces.ids().map(|id| (id.index(), tag_of(id.index()))).collect();
        let given: Vec<_> = given.into_iter().filter(|(_, tag)| tag.tag() != 0).collect();
        let newest = given.iter().map(|(_, tag)| tag.generation()).max();
        for (space, tag) in &given {
            let twice = given.iter().any(|(other, theirs)| other != space && theirs == tag);
            prop_assert!(!twice, "{:?} belongs to space {} and another", tag, space);
        }
        for cpu in 0..CPUS {
            let Some(thread) = running::current(kernel, cpu) else { continue };
            let space = running::space_of(kernel, thread).index();
            let live = tag_of(space).tag();
            let clash = |(other, tag): &(u32, TagWord)| {
                *other != space && tag.generation() == newest.unwrap_or(0) && tag.tag() == live
            };
            prop_assert!(
                live == 0 || !given.iter().any(clash),
                "tag {} is live on CPU {} for space {}",
                live,
                cpu,
                space
            );
        }
        Ok(())
    }

    fn call_for(&self, operation: &Operation) -> Call {
        let address = |target: usize, place: u64| {
            let start = if target < SPACES { SLOT } else { 0 };
            start + (4 << 20) + place * 2 * PAGE_BYTES
        };
        match *operation {
            Operation::Enter { space, .. } => Call::SpaceSwitch { space: self.maps[space] },
            Operation::Map { target, place, pages, rights } => {
                let (segment, address) = (self.segment, address(target, place));
                let length_bytes = pages * PAGE_BYTES;
                Call::Map {
                    target: self.maps[target],
                    segment,
                    offset: place * PAGE_BYTES,
                    address,
                    length_bytes,
                    rights,
                }
            }
            Operation::Unmap { target, place, pages } => Call::Unmap {
                target: self.maps[target],
                address: address(target, place),
                length_bytes: pages * PAGE_BYTES,
            },
            Operation::Protect { target, place, pages, rights } => {
                let (address, length_bytes) = (address(target, place), pages * PAGE_BYTES);
                Call::Protect { target: self.maps[target], address, length_bytes, rights }
            }
            Operation::Attach { space, subtree, slot, bounds, only_cpu } => {
                let (space, subtree, address) = (self.maps[space], self.maps[SPACES + subtree], slot * SLOT);
                match only_cpu {
                    Some(cpu) => Call::SubtreeAttachCore { space, subtree, address, bounds, cpu },
                    None => Call::SubtreeAttach { target: space, subtree, address, bounds, flags: 0 },
                }
            }
            Operation::Detach { space, slot, only_cpu } => {
                let (space, address) = (self.maps[space], slot * SLOT);
                match only_cpu {
                    Some(cpu) => Call::SubtreeDetachCore { space, address, cpu },
                    None => Call::SubtreeDetach { target: space, address },
                }
            }
            Operation::Replace { .. } | Operation::Yield => Call::YieldNow {},
        }
    }

    /// Every CPU that was made to let its thread go takes it up again.
    fn resume_all(&mut self) {
        let playing = tessera_arch::cpu_index();
        for cpu in 0..CPUS {
            self.cpus.play(cpu);
            assert!(trap::schedule(&mut self.machine.kernel, cpu), "CPU {cpu} has its thread");
        }
        self.cpus.play(playing);
    }
}

fn attach(space: usize, slot: u64, only_cpu: Option<u64>) -> Operation {
    Operation::Attach { space, subtree: 0, slot, bounds: Rights::READ, only_cpu }
}

/// A CPU that is given a root of its own for a space it is not in still holds what it saw through the old one.
#[test]
fn a_core_window_does_not_make_stale_translations_good() {
    let rights = Rights::READ_WRITE;
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour, 2);
        for (cpu, operation) in [
            (1, Operation::Enter { space: 3, fast: false }),
            (0, Operation::Map { target: 3, place: 0, pages: 40, rights }),
            (1, Operation::Enter { space: 0, fast: false }),
            (0, Operation::Protect { target: 3, place: 0, pages: 1, rights: Rights::READ }),
            (0, attach(3, 2, Some(0))),
            (1, Operation::Enter { space: 3, fast: false }),
        ] {
            scene.step(cpu, &operation).unwrap_or_else(|stale| panic!("{operation:?} on CPU {cpu}: {stale}"));
        }
    }
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn no_cpu_can_use_what_is_not_true_any_more(
        operations in prop::collection::vec((0..CPUS, operation()), 1..80),
        flavour in prop::sample::select(FLAVOURS.to_vec()),
        tag_bits in 0_u32..5,
        units in prop::sample::select(vec![1, 4, ENTRY_UNITS]),
    ) {
        let mut scene = Scene::new(flavour, tag_bits);
        // Few units close a generation of tags space by space, while others switch and change.
        set_entry_units(units);
        for (cpu, operation) in &operations {
            scene.step(*cpu, operation)?;
        }
    }
}
