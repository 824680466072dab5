//! Page tables: how many, how large the pages, what splitting and pruning leave.

use host_tests::walker::{Survey, survey, tables_needed, translate};
use host_tests::{FLAVOURS, Machine, Options};
use tessera_abi::{Call, Handle, PAGE_BYTES, Rights};
use tessera_arch::fake::{self, Event};
use tessera_arch::{Access, TOP_LEVEL, VirtAddr};
use tessera_kernel::lifecycle::check;
use tessera_kernel::object::id::MapTarget;
use tessera_kernel::vm::attach;
use tessera_kernel::vm::fault;

const TWO_MEG: u64 = 2 << 20;
const GIG: u64 = 1 << 30;
const BASE: u64 = 1 << 40;
/// A frame number that every page size divides.
const ALIGNED: u64 = 1 << 28;

/// A machine, an empty space, and a segment of 3 GiB whose frames begin at this number.
fn scene(flavour: fake::Flavour, first_frame: u64) -> (Machine, Handle, Handle) {
    let mut machine = Machine::boot(&Options::new(flavour));
    let space = machine.new_space();
    let segment = machine.borrow_frames(first_frame, 3 << 18);
    (machine, space, segment)
}

fn look(machine: &Machine, space: Handle) -> Survey {
    check::check(&machine.kernel);
    let id = machine.space_id(space);
    let (space, owner) = (&machine.kernel.spaces[id], MapTarget::Space(id));
    let is_attached = |page| attach::attachments(&machine.kernel, owner).any(|(place, _)| place.page == page);
    let found = survey(space.map.tree.root, TOP_LEVEL, &|page, _| is_attached(page));
    assert_eq!((found.empty, found.tables), (0, space.map.tree.tables));
    assert_eq!(found.globals, [], "nothing is global unless it is asked for");
    assert_eq!(found.tables, tables_needed(&found.leaves, TOP_LEVEL));
    found
}

fn map(machine: &mut Machine, space: Handle, segment: Handle, offset: u64, address: u64, length: u64) {
    assert_eq!(machine.map(space, segment, offset, address, length, Rights::READ_WRITE), Ok(0));
}

fn unmap(machine: &mut Machine, target: Handle, address: u64, length_bytes: u64) {
    assert_eq!(machine.call(Call::Unmap { target, address, length_bytes }), Ok(0));
}

#[test]
fn the_largest_pages_that_alignment_allows_are_used() {
    // Frames begin, address, length; pages of each size, tables.
    let cases = [
        (ALIGNED, BASE, PAGE_BYTES, [1, 0, 0], 4),
        (ALIGNED, BASE, TWO_MEG, [0, 1, 0], 3),
        (ALIGNED, BASE, GIG, [0, 0, 1], 2),
        (ALIGNED, BASE, GIG + TWO_MEG + PAGE_BYTES, [1, 1, 1], 4),
        (ALIGNED + 1, BASE, TWO_MEG, [512, 0, 0], 4),
        (ALIGNED + 512, BASE, GIG, [0, 512, 0], 3),
        (ALIGNED, BASE + TWO_MEG, GIG, [0, 512, 0], 4),
        (ALIGNED, BASE + PAGE_BYTES, TWO_MEG, [512, 0, 0], 5),
        (ALIGNED + 511, BASE + TWO_MEG - PAGE_BYTES, TWO_MEG + PAGE_BYTES, [1, 1, 0], 4),
    ];
    for flavour in FLAVOURS {
        for (first_frame, address, length, by_level, tables) in cases {
            let (mut machine, space, segment) = scene(flavour, first_frame);
            map(&mut machine, space, segment, 0, address, length);
            let found = look(&machine, space);
            assert_eq!((found.by_level, found.tables), (by_level, tables), "{first_frame:#x} at {address:#x}");
            unmap(&mut machine, space, address, length);
            assert_eq!(look(&machine, space).tables, 1);
        }
    }
}

#[test]
fn the_memory_of_a_segment_allows_large_pages() {
    for flavour in FLAVOURS {
        let mut machine = Machine::boot(&Options::new(flavour).frames(4096));
        let space = machine.new_space();
        let segment = machine.segment(2 * TWO_MEG, 0);
        map(&mut machine, space, segment, 0, BASE, 2 * TWO_MEG);
        assert_eq!(look(&machine, space).by_level, [0, 2, 0]);
    }
}

#[test]
fn a_hole_splits_a_large_page_level_by_level() {
    for flavour in FLAVOURS {
        let (mut machine, space, segment) = scene(flavour, ALIGNED);
        map(&mut machine, space, segment, 0, BASE, GIG);
        unmap(&mut machine, space, BASE + 5 * TWO_MEG + 7 * PAGE_BYTES, PAGE_BYTES);
        let found = look(&machine, space);
        assert_eq!((found.by_level, found.tables), ([511, 511, 0], 4));
        let root = machine.kernel.spaces[machine.space_id(space)].map.tree.root;
        for page in [0, 5 * 512 + 6, 5 * 512 + 8, 262_143] {
            let found = translate(root, BASE + page * PAGE_BYTES).expect("only one page is gone");
            assert_eq!((found.physical.value() / PAGE_BYTES, found.rights), (ALIGNED + page, Rights::READ_WRITE));
        }
        assert_eq!(translate(root, BASE + (5 * 512 + 7) * PAGE_BYTES), None);
        unmap(&mut machine, space, BASE, 5 * TWO_MEG + 7 * PAGE_BYTES);
        unmap(&mut machine, space, BASE + 5 * TWO_MEG + 8 * PAGE_BYTES, GIG - 5 * TWO_MEG - 8 * PAGE_BYTES);
        assert_eq!(look(&machine, space).tables, 1);
    }
}

#[test]
fn a_split_breaks_before_it_makes() {
    for flavour in FLAVOURS {
        let (mut machine, space, segment) = scene(flavour, ALIGNED);
        machine.attach_program(space);
        map(&mut machine, space, segment, 0, BASE, GIG);
        let (instruction_pointer, stack_pointer) = (host_tests::machine::CODE, host_tests::machine::STACK_END);
        let jump = Call::SpaceJump { space, instruction_pointer, stack_pointer, argument: 0 };
        assert!(machine.call(jump).is_ok());
        fake::tlb::take_events();
        let address = BASE + TWO_MEG;
        let protect = Call::Protect { target: space, address, length_bytes: TWO_MEG, rights: Rights::READ };
        assert_eq!(machine.call(protect), Ok(0));
        let events = fake::tlb::take_events();
        // The page of 1 GiB goes before the table stands in its place, then what changed.
        let once_each = matches!(events[..], [Event::Page(..) | Event::Tag(_), Event::Tag(_)]);
        assert!(once_each, "once for the split, once for 512 pages: {events:?}");
    }
}

#[test]
fn neighbours_share_tables_and_leave_them_to_each_other() {
    for flavour in FLAVOURS {
        let (mut machine, space, segment) = scene(flavour, ALIGNED);
        map(&mut machine, space, segment, 0, BASE, PAGE_BYTES);
        map(&mut machine, space, segment, PAGE_BYTES, BASE + 9 * PAGE_BYTES, PAGE_BYTES);
        assert_eq!(look(&machine, space).tables, 4);
        map(&mut machine, space, segment, 0, BASE + GIG - PAGE_BYTES, 2 * PAGE_BYTES);
        assert_eq!(look(&machine, space).tables, 7);
        unmap(&mut machine, space, BASE, PAGE_BYTES);
        assert_eq!(look(&machine, space).tables, 7);
        unmap(&mut machine, space, BASE + 9 * PAGE_BYTES, PAGE_BYTES);
        assert_eq!(look(&machine, space).tables, 6);
        unmap(&mut machine, space, BASE + GIG - PAGE_BYTES, PAGE_BYTES);
        assert_eq!(look(&machine, space).tables, 4);
        unmap(&mut machine, space, BASE + GIG, PAGE_BYTES);
        assert_eq!(look(&machine, space).tables, 1);
    }
}

#[test]
fn protecting_keeps_large_pages_that_lie_within() {
    for flavour in FLAVOURS {
        let (mut machine, space, segment) = scene(flavour, ALIGNED);
        map(&mut machine, space, segment, 0, BASE, 2 * GIG);
        let protect =
            |address, length_bytes| Call::Protect { target: space, address, length_bytes, rights: Rights::READ };
        assert_eq!(machine.call(protect(BASE, GIG)), Ok(0));
        assert_eq!(look(&machine, space).by_level, [0, 0, 2]);
        assert_eq!(machine.call(protect(BASE + GIG, TWO_MEG)), Ok(0));
        assert_eq!(look(&machine, space).by_level, [0, 512, 1]);
    }
}

#[test]
fn attaching_takes_no_table_however_much_is_below() {
    for flavour in FLAVOURS {
        let (mut machine, space, segment) = scene(flavour, ALIGNED);
        let subtree = machine.make(Call::SubtreeCreate { account: machine.account, level: 3 });
        map(&mut machine, subtree, segment, 0, GIG, 3 * GIG);
        let free = machine.kernel.frames.free_frames();
        for slot in [2, 3, 200] {
            let address = slot << 39;
            let attach = Call::SubtreeAttach { target: space, subtree, address, bounds: Rights::READ, flags: 0 };
            assert_eq!(machine.call(attach), Ok(0));
            let root = machine.kernel.spaces[machine.space_id(space)].map.tree.root;
            let found = translate(root, address + GIG).expect("the subtree is seen");
            assert_eq!((found.rights, found.level), (Rights::READ, 2), "one entry makes it read-only");
        }
        assert_eq!((look(&machine, space).tables, machine.kernel.frames.free_frames()), (1, free));
        unmap(&mut machine, subtree, GIG, 3 * GIG);
        let root = machine.kernel.spaces[machine.space_id(space)].map.tree.root;
        assert_eq!(translate(root, (200 << 39) + GIG), None, "a change is seen through every attachment");
    }
}

#[test]
fn code_is_published_once_a_call_and_all_of_it() {
    for flavour in FLAVOURS {
        let (mut machine, space, segment) = scene(flavour, ALIGNED + 1);
        let lazy = machine.segment(2 * PAGE_BYTES, 1);
        let mut published = |what: &mut dyn FnMut(&mut Machine)| {
            let before = fake::memory::code_published();
            what(&mut machine);
            let after = fake::memory::code_published();
            (after.0 - before.0, after.1 - before.1)
        };
        let map = |segment, address, length, rights| {
            move |machine: &mut Machine| assert_eq!(machine.map(space, segment, 0, address, length, rights), Ok(0))
        };
        let protect = |address, length_bytes, rights| {
            let call = Call::Protect { target: space, address, length_bytes, rights };
            move |machine: &mut Machine| assert_eq!(machine.call(call), Ok(0))
        };
        // Frames fetched, and how often: pages of all sizes at once, then what was data, then what was code already.
        assert_eq!(published(&mut map(segment, BASE, TWO_MEG, Rights::READ_EXECUTE)), (512, 1));
        assert_eq!(published(&mut map(segment, 2 * BASE, TWO_MEG, Rights::READ_WRITE)), (0, 0));
        assert_eq!(published(&mut protect(2 * BASE + PAGE_BYTES, 100 * PAGE_BYTES, Rights::READ_EXECUTE)), (100, 1));
        assert_eq!(published(&mut protect(BASE, TWO_MEG, Rights::READ)), (0, 0));
        let large = GIG + TWO_MEG - PAGE_BYTES;
        assert_eq!(published(&mut map(segment, 3 * BASE, large, Rights::READ_EXECUTE)), (large / PAGE_BYTES, 1));
        // What has no memory yet is published at its first touch.
        assert_eq!(published(&mut map(lazy, 4 * BASE, 2 * PAGE_BYTES, Rights::READ_EXECUTE)), (0, 1));
        let (address, access) = (VirtAddr::new(4 * BASE + PAGE_BYTES), Access::Execute);
        let mut touch = |machine: &mut Machine| {
            let space = machine.space_id(space);
            fault::handle_fault(&mut machine.kernel, space, address, access).expect("the page gets its memory");
        };
        assert_eq!(published(&mut touch), (1, 1));
    }
}
