//! Corners that random operations come by too rarely.

use core::sync::atomic::Ordering::Relaxed;

use host_tests::walker::{survey, translate};
use host_tests::{FLAVOURS, Machine, Options};
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights, USER_END};
use tessera_arch::{Access, Frame, VirtAddr, table};
use tessera_kernel::base::steps;
use tessera_kernel::lifecycle::check;
use tessera_kernel::vm::fault;

const TWO_MEG: u64 = 2 << 20;
const GIG: u64 = 1 << 30;
/// The beginning of a top-level slot.
const SLOT: u64 = 2 << 39;
/// A frame number that every page size divides.
const ALIGNED: u64 = 1 << 28;

fn subtree(machine: &mut Machine, level: u64) -> Handle {
    machine.make(Call::SubtreeCreate { account: machine.account, level })
}

fn attach(machine: &mut Machine, target: Handle, subtree: Handle, address: u64, bounds: Rights) -> Result<u64, Error> {
    machine.call(Call::SubtreeAttach { target, subtree, address, bounds, flags: 0 })
}

fn view(machine: &mut Machine, space: Handle, bounds: Rights) -> Handle {
    machine.make(Call::ViewCreate { account: machine.account, space, bounds })
}

fn root(machine: &Machine, space: Handle) -> Frame {
    machine.kernel.spaces[machine.space_id(space)].map.tree.root
}

#[test]
fn no_page_is_larger_than_the_entries_of_the_subtree_it_is_in() {
    for flavour in FLAVOURS {
        for (level, size, by_level) in [(1, TWO_MEG, [512, 0, 0]), (2, GIG, [0, 512, 0])] {
            let mut machine = Machine::boot(&Options::new(flavour));
            let (space, subtree) = (machine.new_space(), subtree(&mut machine, level));
            let segment = machine.borrow_frames(ALIGNED, 3 << 18);
            assert_eq!(machine.map(subtree, segment, 0, 0, size, Rights::READ_WRITE), Ok(0));
            assert_eq!(attach(&mut machine, space, subtree, SLOT + size, Rights::READ), Ok(0));
            let found = survey(root(&machine, space), tessera_arch::TOP_LEVEL, &|_, _| false);
            assert_eq!(found.by_level, by_level);
            let last = translate(root(&machine, space), SLOT + 2 * size - PAGE_BYTES).expect("all of it is mapped");
            let frame = last.physical.value() / PAGE_BYTES;
            assert_eq!((frame, last.rights), (ALIGNED + size / PAGE_BYTES - 1, Rights::READ));
            check::check(&machine.kernel);
        }
    }
}

#[test]
fn a_small_subtree_at_the_start_of_a_slot_narrows_nothing_else_in_views() {
    for flavour in FLAVOURS {
        let mut machine = Machine::boot(&Options::new(flavour));
        let (space, small) = (machine.new_space(), subtree(&mut machine, 1));
        let segment = machine.segment(8 * PAGE_BYTES, 0);
        assert_eq!(attach(&mut machine, space, small, SLOT, Rights::READ), Ok(0));
        assert_eq!(machine.map(space, segment, 0, SLOT + GIG, PAGE_BYTES, Rights::READ_WRITE), Ok(0));
        assert_eq!(machine.map(small, segment, PAGE_BYTES, 0, PAGE_BYTES, Rights::READ_WRITE), Ok(0));
        let view = view(&mut machine, space, Rights::READ_WRITE);
        let rights = |machine: &Machine, address| translate(root(machine, view), address).map(|found| found.rights);
        assert_eq!(rights(&machine, SLOT + GIG), Some(Rights::READ_WRITE));
        assert_eq!(rights(&machine, SLOT), Some(Rights::READ));
        let id = machine.space_id(view);
        assert!(fault::handle_fault(&mut machine.kernel, id, VirtAddr::new(SLOT + GIG), Access::Write).is_ok());
        assert!(fault::handle_fault(&mut machine.kernel, id, VirtAddr::new(SLOT), Access::Write).is_err());
    }
}

#[test]
fn views_with_the_same_bounds_have_one_root_however_many_they_are() {
    for flavour in FLAVOURS {
        let mut machine = Machine::boot(&Options::new(flavour).frames(4096).slots(512));
        let (space, top) = (machine.new_space(), subtree(&mut machine, 3));
        let first = view(&mut machine, space, Rights::READ);
        let mut costs = [0_u64; 2];
        let mut views = vec![first];
        for cost in &mut costs {
            steps::take();
            assert_eq!(attach(&mut machine, space, top, SLOT, Rights::READ_WRITE), Ok(0));
            *cost = steps::take();
            let shows = |view| table(root(&machine, view))[2].load(Relaxed) != 0;
            assert!(views.iter().copied().all(shows), "views show what is attached");
            assert_eq!(machine.call(Call::SubtreeDetach { target: space, address: SLOT }), Ok(0));
            let shows = |view| table(root(&machine, view))[2].load(Relaxed) != 0;
            assert!(!views.iter().copied().any(shows), "and no longer what is detached");
            views.extend((0..100).map(|_| view(&mut machine, space, Rights::READ)));
        }
        assert_eq!(costs[0], costs[1], "attaching takes the same for one view and for a hundred");
        assert!(views.iter().all(|view| root(&machine, *view) == root(&machine, first)));
        let writing = view(&mut machine, space, Rights::READ_WRITE);
        assert_ne!(root(&machine, writing), root(&machine, first), "other bounds, another root");
        // The one that was there first goes first, and what it shows stays for the others.
        for (index, view) in views.iter().enumerate() {
            assert_eq!(machine.call(Call::CapabilityDelete { handle: *view }), Ok(0));
            check::check(&machine.kernel);
            let left = views.len() - 1 - index;
            let roots = machine.kernel.spaces[machine.space_id(space)].view_roots.iter().count();
            assert_eq!(roots, 1 + usize::from(left != 0), "the root goes with the last view");
        }
    }
}

#[test]
fn nothing_is_attached_in_the_first_page_or_behind_the_last() {
    for flavour in FLAVOURS {
        let mut machine = Machine::boot(&Options::new(flavour));
        let (space, top) = (machine.new_space(), subtree(&mut machine, 3));
        for (level, size) in [(1, TWO_MEG), (2, GIG)] {
            let small = subtree(&mut machine, level);
            for (target, address) in [(space, 0), (space, USER_END + PAGE_BYTES - size), (top, 0), (top, 1 << 39)] {
                assert_eq!(attach(&mut machine, target, small, address, Rights::READ), Err(Error::BadAddress));
            }
            for (target, address) in [(space, size), (top, size), (space, USER_END + PAGE_BYTES - 2 * size)] {
                assert_eq!(
                    attach(&mut machine, target, small, address, Rights::READ),
                    Ok(0),
                    "{level} at {address:#x}"
                );
                check::check(&machine.kernel);
                assert_eq!(machine.call(Call::SubtreeDetach { target, address }), Ok(0));
            }
        }
        assert_eq!(attach(&mut machine, space, top, 255 << 39, Rights::READ), Err(Error::BadAddress));
    }
}

#[test]
fn a_view_outlives_the_last_capability_to_its_base() {
    for flavour in FLAVOURS {
        let mut machine = Machine::boot(&Options::new(flavour));
        let (space, top) = (machine.new_space(), subtree(&mut machine, 3));
        let segment = machine.segment(PAGE_BYTES, 0);
        assert_eq!(machine.map(top, segment, 0, GIG, PAGE_BYTES, Rights::READ_WRITE), Ok(0));
        assert_eq!(attach(&mut machine, space, top, SLOT, Rights::READ_WRITE), Ok(0));
        let first = view(&mut machine, space, Rights::READ_WRITE);
        let second = view(&mut machine, first, Rights::READ);
        for handle in [space, first] {
            assert_eq!(machine.call(Call::CapabilityDelete { handle }), Ok(0));
        }
        check::check(&machine.kernel);
        let found = translate(root(&machine, second), SLOT + GIG).map(|found| found.rights);
        assert_eq!(found, Some(Rights::READ));
        assert_eq!(machine.call(Call::Unmap { target: top, address: GIG, length_bytes: PAGE_BYTES }), Ok(0));
        assert_eq!(translate(root(&machine, second), SLOT + GIG), None);
        assert_eq!(machine.call(Call::CapabilityDelete { handle: second }), Ok(0));
        assert_eq!(machine.kernel.spaces.len(), 1);
        check::check(&machine.kernel);
    }
}
