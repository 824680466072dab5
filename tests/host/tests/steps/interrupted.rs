//! Other threads that change the same things between the steps.

use host_tests::smp::Cpus;
use host_tests::{FLAVOURS, Machine};
use tessera_abi::{Call, Error, Handle, Rights, TOP_SLOT_BYTES};
use tessera_arch::fake::cpu;
use tessera_kernel::base::effort::set_entry_units;
use tessera_kernel::entry::trap;
use tessera_kernel::lifecycle::check;

use crate::scene::{BASE, boot, pages};

/// Pages in which both threads work.
const SPAN: u64 = 1500;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % limit
    }
}

/// A machine on whose second CPU another thread of the program runs.
fn two_threads(flavour: tessera_arch::fake::Flavour) -> (Machine, Cpus) {
    let mut machine = boot(flavour, 2);
    let cpus = Cpus::new(machine.kernel.shared);
    let (account, table, space) = (machine.account, machine.table, machine.space);
    let (thread, _) = machine.new_thread(Call::ThreadCreate { account, table, space, priority: 31 });
    let (instruction_pointer, stack_pointer) = (host_tests::machine::CODE, host_tests::machine::STACK_END);
    machine.call(Call::ThreadStart { thread, instruction_pointer, stack_pointer, argument: 0 }).expect("it is new");
    as_other(&mut machine, |_| {});
    (machine, cpus)
}

/// Does something as the thread of the second CPU.
fn as_other(machine: &mut Machine, act: impl FnOnce(&mut Machine)) {
    let here = cpu::cpu_index();
    cpu::set_cpu_index(1);
    if tessera_kernel::sched::running::current(&machine.kernel, 1).is_some() || trap::schedule(&mut machine.kernel, 1) {
        act(machine);
    }
    cpu::set_cpu_index(here);
}

fn any_change(random: &mut Random, space: Handle, segments: [Handle; 2]) -> Call {
    let (first, count) = (random.below(SPAN), random.below(90) + 1);
    let (address, length_bytes) = (BASE + pages(first), pages(count.min(SPAN - first)));
    let rights = [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE][random.below(3) as usize];
    match random.below(6) {
        0 | 1 => Call::Unmap { target: space, address, length_bytes },
        2 => Call::Protect { target: space, address, length_bytes, rights },
        3 => {
            let (buffer, length_bytes) = (host_tests::machine::BUFFER, 8);
            Call::MemoryWrite { space, address, buffer, length_bytes }
        }
        _ => {
            let segment = segments[random.below(2) as usize];
            Call::Map { target: space, segment, offset: pages(first), address, length_bytes, rights }
        }
    }
}

fn any_long_change(random: &mut Random, space: Handle, segments: [Handle; 2]) -> Call {
    let first = random.below(40);
    let (address, length_bytes) = (BASE + pages(first), pages(SPAN - 40 - random.below(40)));
    let rights = [Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE][random.below(3) as usize];
    let segment = segments[random.below(2) as usize];
    match random.below(3) {
        0 => Call::Unmap { target: space, address, length_bytes },
        1 => Call::Protect { target: space, address, length_bytes, rights },
        _ => Call::Map { target: space, segment, offset: 0, address, length_bytes, rights },
    }
}

/// Whatever others do between the steps, every rule holds after each.
#[test]
fn changes_between_the_steps_break_no_rule() {
    for (flavour, seed) in FLAVOURS.into_iter().flat_map(|flavour| (1..9).map(move |seed| (flavour, seed))) {
        let (mut machine, _cpus) = two_threads(flavour);
        let space = machine.space;
        let segments = [machine.segment(pages(SPAN), 0), machine.segment(pages(SPAN), 1)];
        let (mut random, mut others) = (Random(seed), Random(seed + 100));
        set_entry_units([1, 20, 200][seed as usize % 3]);
        for _ in 0..14 {
            if random.below(2) == 0 {
                let (address, length_bytes) = (BASE, pages(SPAN));
                let (target, rights) = (space, Rights::READ_WRITE);
                let segment = segments[random.below(2) as usize];
                machine.call(Call::Map { target, segment, offset: 0, address, length_bytes, rights }).ok();
            }
            let mut inner = Random(others.below(1 << 30));
            machine.between_steps(move |machine| {
                let call = any_change(&mut inner, space, segments);
                as_other(machine, |machine| _ = machine.call(call));
                check::check(&machine.kernel);
                true
            });
            let call = any_long_change(&mut random, space, segments);
            match machine.call(call) {
                Ok(_) | Err(Error::Overlap | Error::NotMapped) => {}
                Err(error) => panic!("{call:?}: {error}"),
            }
            machine.between_steps = None;
            check::check(&machine.kernel);
        }
    }
}

/// What others unmap meanwhile need not be unmapped any more; what they map in the part that is done stays.
#[test]
fn an_unmap_goes_on_whatever_others_unmap_and_map() {
    for flavour in FLAVOURS {
        let (mut machine, _cpus) = two_threads(flavour);
        let space = machine.space;
        let segment = machine.segment(pages(SPAN), 0);
        for page in (0..SPAN).step_by(30) {
            let mapped = machine.map(space, segment, 0, BASE + pages(page), pages(30), Rights::READ);
            assert_eq!(mapped, Ok(0));
        }
        set_entry_units(1);
        machine.between_steps(move |machine| {
            let first = machine.kernel.spaces[machine.space_id].map.from(BASE / pages(1)).next();
            let begun = first.is_none_or(|(page, _)| page > BASE / pages(1));
            if !begun {
                return true;
            }
            as_other(machine, |machine| {
                let (address, length_bytes) = (BASE + pages(900), pages(70));
                assert_eq!(machine.call(Call::Unmap { target: space, address, length_bytes }), Ok(0));
                assert_eq!(machine.map(space, segment, 0, BASE, pages(5), Rights::READ), Ok(0));
            });
            false
        });
        let (address, length_bytes) = (BASE, pages(SPAN));
        assert_eq!(machine.call(Call::Unmap { target: space, address, length_bytes }), Ok(0));
        let left: Vec<_> = machine.kernel.spaces[machine.space_id].map.from(BASE / pages(1)).collect();
        assert_eq!((left.len(), left[0].0, left[0].1.pages), (1, BASE / pages(1), 5));
        check::check(&machine.kernel);
    }
}

/// A segment that is being made is nobody's else: not even its account's other objects show it, and it is paid for.
#[test]
fn nobody_can_name_what_is_being_made() {
    for flavour in FLAVOURS {
        let (mut machine, _cpus) = two_threads(flavour);
        set_entry_units(1);
        let account = machine.account;
        for call in [
            Call::SegmentCreate { account, length_bytes: pages(20), flags: 0 },
            Call::TableCreate { account, slots: 40 },
        ] {
            let (table, used) = (machine.table_id, machine.kernel.tables[machine.table_id].used());
            machine.between_steps(move |machine| {
                assert_eq!(machine.kernel.tables[table].used(), used, "no capability before it is done");
                as_other(machine, |machine| {
                    let create = Call::SegmentCreate { account, length_bytes: pages(3), flags: 0 };
                    let other = machine.make(create);
                    machine.call(Call::CapabilityDelete { handle: other }).expect("it was made");
                });
                check::check(&machine.kernel);
                true
            });
            machine.make(call);
        }
    }
}

/// Memory that others take meanwhile is missing at the end: then all of it goes back.
#[test]
fn a_segment_for_which_memory_runs_out_goes() {
    for flavour in FLAVOURS {
        let mut machine = boot(flavour, 1);
        set_entry_units(1);
        let account = machine.account;
        machine.between_steps(move |machine| {
            if machine.steps < 9 {
                return true;
            }
            while machine.kernel.frames.free_frames() > 70 {
                machine.kernel.frames.allocate(0).expect("there are free frames");
            }
            false
        });
        let create = Call::SegmentCreate { account, length_bytes: pages(700), flags: 0 };
        assert_eq!(machine.call(create), Err(Error::OutOfMemory));
        assert!(machine.kernel.frames.free_frames() >= 512, "what it had taken is free again");
        check::check(&machine.kernel);
    }
}

/// While a subtree is on its way into every space, its slot is taken everywhere; spaces that are made meanwhile show it in the end.
#[test]
fn a_slot_is_reserved_while_a_subtree_becomes_public() {
    for flavour in FLAVOURS {
        let (mut machine, _cpus) = two_threads(flavour);
        let (account, address, bounds) = (machine.account, 7 * TOP_SLOT_BYTES, Rights::READ);
        let subtree = machine.make(Call::SubtreeCreate { account, level: 3 });
        let other = machine.make(Call::SubtreeCreate { account, level: 3 });
        let segment = machine.segment(pages(2), 0);
        assert_eq!(machine.map(subtree, segment, 0, pages(50), pages(2), Rights::READ_WRITE), Ok(0));
        (0..20).for_each(|_| _ = machine.new_space());
        let (space, control) = (machine.space, machine.machine);
        set_entry_units(1);
        machine.between_steps(move |machine| {
            as_other(machine, |machine| {
                let mapped = machine.map(space, segment, 0, address, pages(2), Rights::READ);
                assert_eq!(mapped, Err(Error::Overlap));
                let attach = Call::SubtreeAttach { target: space, subtree: other, address, bounds, flags: 0 };
                assert_eq!(machine.call(attach), Err(Error::Overlap));
                let again = Call::SubtreePublish { machine: control, subtree: other, address, bounds };
                assert_eq!(machine.call(again), Err(Error::Overlap));
                if machine.steps % 50 == 0 {
                    machine.new_space();
                }
            });
            check::check(&machine.kernel);
            true
        });
        let publish = Call::SubtreePublish { machine: control, subtree, address, bounds };
        assert_eq!(machine.call(publish), Ok(0));
        assert!(machine.kernel.public[0].is_shown());
        machine.between_steps(|machine| {
            as_other(machine, |machine| _ = machine.new_space());
            check::check(&machine.kernel);
            machine.kernel.spaces.len() < 60
        });
        assert_eq!(machine.call(Call::SubtreeWithdraw { subtree }), Ok(1));
        assert!(machine.kernel.public.is_empty() && !machine.kernel.is_publishing);
        check::check(&machine.kernel);
    }
}
