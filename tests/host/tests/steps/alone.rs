//! A program that is alone: calls in steps do what they do at once.

use host_tests::Machine;
use host_tests::machine::BUFFER;
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights, TOP_SLOT_BYTES};

use crate::scene::{BASE, pages, refused_however_cut, same_however_cut};

fn map(machine: &mut Machine, segment: Handle, offset: u64, address: u64, length: u64, rights: Rights) {
    let space = machine.space;
    assert_eq!(machine.map(space, segment, offset, address, length, rights), Ok(0));
}

/// Mappings side by side, of one page to seven, of two segments, the second of which gets its memory on first touch.
fn many_mappings(machine: &mut Machine) {
    let (full, lazy) = (machine.segment(pages(64), 0), machine.segment(pages(64), 1));
    let mut first = 0;
    for number in 0..24 {
        let (segment, count) = (if number % 3 == 2 { lazy } else { full }, number % 7 + 1);
        map(machine, segment, pages(number), BASE + pages(first), pages(count), Rights::READ_WRITE);
        first += count;
    }
    // Some of what is lazy has been touched.
    let length_bytes = pages(first);
    for address in (BASE..BASE + length_bytes).step_by(5 * PAGE_BYTES as usize) {
        machine.call(Call::MemoryWrite { space: machine.space, address, buffer: BUFFER, length_bytes: 8 }).ok();
    }
}

/// How many pages these are.
const MANY: u64 = 3 * 28 + 6;

/// Memory that is shown in large pages, in a mapping with small ones at both ends.
fn large_pages(machine: &mut Machine) {
    let segment = machine.borrow_frames((1 << 28) + 511, 4 * 512);
    map(machine, segment, 0, BASE + pages(511), pages(3 * 512 + 77), Rights::READ_WRITE);
}

/// A mapping whose memory is in pieces.
fn pieces(machine: &mut Machine, target: u64) -> Handle {
    let segment = machine.segment(pages(1400), 1);
    map(machine, segment, 0, target, pages(1400), Rights::READ_WRITE);
    for page in (0..1400).filter(|page| page % 7 < 3 || (512..600).contains(page)) {
        let address = target + pages(page);
        let write = Call::MemoryWrite { space: machine.space, address, buffer: BUFFER, length_bytes: 8 };
        assert_eq!(machine.call(write), Ok(8));
    }
    segment
}

#[test]
fn unmapping_many_mappings() {
    same_however_cut(many_mappings, |machine| {
        let target = machine.space;
        // Inside a mapping, from there over others into another, all that is left; and the same once more.
        let unmap =
            |first: u64, count: u64| Call::Unmap { target, address: BASE + pages(first), length_bytes: pages(count) };
        let calls = [unmap(4, 1), unmap(7, 50), unmap(57, MANY - 57), unmap(0, 1), unmap(0, 1), unmap(1, 3)];
        calls.map(|call| machine.call(call)).to_vec()
    });
}

#[test]
fn unmapping_and_protecting_large_pages() {
    same_however_cut(large_pages, |machine| {
        let target = machine.space;
        let (address, length_bytes) = (BASE + pages(520), pages(1100));
        let whole = (BASE + pages(511), pages(3 * 512 + 77));
        [
            Call::Protect { target, address, length_bytes, rights: Rights::READ },
            Call::Protect { target, address: whole.0, length_bytes: whole.1, rights: Rights::READ },
            Call::Unmap { target, address, length_bytes },
            Call::Protect { target, address: whole.0, length_bytes: pages(9), rights: Rights::READ_WRITE },
            Call::Unmap { target, address: BASE + pages(1620), length_bytes: pages(300) },
        ]
        .map(|call| machine.call(call))
        .to_vec()
    });
}

#[test]
fn protecting_many_mappings() {
    same_however_cut(many_mappings, |machine| {
        let target = machine.space;
        let protect = |first: u64, count: u64, rights| Call::Protect {
            target,
            address: BASE + pages(first),
            length_bytes: pages(count),
            rights,
        };
        [
            protect(4, MANY - 9, Rights::READ),
            protect(0, MANY, Rights::READ_EXECUTE),
            protect(20, 30, Rights::READ_WRITE),
            protect(0, MANY, Rights::READ),
        ]
        .map(|call| machine.call(call))
        .to_vec()
    });
}

#[test]
fn mapping_memory_in_pieces() {
    same_however_cut(
        |machine| _ = pieces(machine, BASE),
        |machine| {
            let segment = machine.segment(pages(700), 0);
            let borrowed = machine.borrow_frames((1 << 28) + 3, 1500);
            let (space, away) = (machine.space, BASE + (1 << 40));
            vec![
                machine.map(space, segment, pages(2), away + pages(5), pages(690), Rights::READ_WRITE),
                machine.map(space, borrowed, pages(1), away + pages(1024), pages(1490), Rights::READ),
                machine.call(Call::Unmap { target: space, address: BASE + pages(300), length_bytes: pages(900) }),
                machine.call(Call::Unmap { target: space, address: away + pages(5), length_bytes: pages(690) }),
            ]
        },
    );
}

#[test]
fn mapping_what_is_there_in_pieces_a_second_time() {
    same_however_cut(
        |machine| _ = pieces(machine, BASE),
        |machine| {
            // The segment of the first mapping is the last that was made.
            let segment = pieces(machine, BASE + (1 << 41));
            let (space, away) = (machine.space, BASE + (1 << 40));
            vec![
                machine.map(space, segment, 0, away, pages(1400), Rights::READ_WRITE),
                machine.map(space, segment, pages(3), away + pages(2000), pages(1300), Rights::READ_EXECUTE),
                machine.map(space, segment, 0, away + pages(1399), pages(900), Rights::READ),
            ]
        },
    );
}

#[test]
fn segments_with_all_their_memory() {
    same_however_cut(
        |_| {},
        |machine| {
            let account = machine.account;
            [1, 2, 19, 511, 512, 513, 1100]
                .map(|count| machine.call(Call::SegmentCreate { account, length_bytes: pages(count), flags: 0 }))
                .to_vec()
        },
    );
}

#[test]
fn tables_with_all_their_slots() {
    same_however_cut(
        |_| {},
        |machine| {
            let account = machine.account;
            [1, 2, 64, 1000, 3001].map(|slots| machine.call(Call::TableCreate { account, slots })).to_vec()
        },
    );
}

#[test]
fn copying_from_place_to_place() {
    same_however_cut(
        |machine| {
            let (full, lazy) = (machine.segment(pages(40), 0), machine.segment(pages(40), 1));
            map(machine, full, 0, BASE, pages(40), Rights::READ_WRITE);
            map(machine, lazy, 0, BASE + pages(100), pages(40), Rights::READ_WRITE);
        },
        |machine| {
            let space = machine.space;
            let copy = |address: u64, buffer: u64, count: u64| {
                let length_bytes = count * PAGE_BYTES + 77;
                [
                    Call::MemoryRead { space, address, buffer, length_bytes },
                    Call::MemoryWrite { space, address, buffer, length_bytes },
                ]
            };
            let calls = [
                copy(BASE + 100, BASE + pages(100), 12),
                copy(BASE + pages(3), BASE + pages(2) + 5, 30),
                copy(BASE + pages(2) + 5, BASE + pages(3), 30),
                copy(BASE + pages(20), BASE + pages(120), 30),
                copy(BASE + pages(120), BASE + pages(10), 19),
            ];
            calls.into_iter().flatten().map(|call| machine.call(call)).collect()
        },
    );
}

/// A top-level subtree with memory in it; many spaces, which show it at the slot behind if they are to.
fn spaces_and_subtree(machine: &mut Machine, is_attached: bool) -> (Handle, Vec<Handle>) {
    let (account, bounds) = (machine.account, Rights::READ_WRITE);
    let subtree = machine.make(Call::SubtreeCreate { account, level: 3 });
    let segment = machine.segment(pages(700), 0);
    assert_eq!(machine.map(subtree, segment, 0, pages(100), pages(700), Rights::READ_WRITE), Ok(0));
    let spaces: Vec<Handle> = (0..70).map(|_| machine.new_space()).collect();
    for target in spaces.iter().copied().filter(|_| is_attached) {
        for address in [TOP_SLOT_BYTES * 5, TOP_SLOT_BYTES * 6] {
            let attach = Call::SubtreeAttach { target, subtree, address, bounds, flags: 0 };
            assert_eq!(machine.call(attach), Ok(0));
        }
    }
    (subtree, spaces)
}

#[test]
fn publishing_and_withdrawing() {
    same_however_cut(
        |_| {},
        |machine| {
            let (subtree, spaces) = spaces_and_subtree(machine, false);
            let (machine_handle, bounds) = (machine.machine, Rights::READ);
            let publish = |slot| Call::SubtreePublish {
                machine: machine_handle,
                subtree,
                address: TOP_SLOT_BYTES * slot,
                bounds,
            };
            let segment = machine.segment(pages(1), 0);
            let mapped = machine.map(spaces[69], segment, 0, TOP_SLOT_BYTES * 9, pages(1), Rights::READ);
            vec![
                mapped,
                machine.call(publish(9)),
                machine.call(publish(8)),
                machine.call(publish(7)),
                machine.call(Call::SubtreeWithdraw { subtree }),
                machine.call(Call::SubtreeWithdraw { subtree }),
                machine.call(publish(7)),
            ]
        },
    );
}

#[test]
fn withdrawing_from_many_places() {
    same_however_cut(
        |_| {},
        |machine| {
            let (subtree, _) = spaces_and_subtree(machine, true);
            let withdraw = Call::SubtreeWithdraw { subtree };
            let results = vec![machine.call(withdraw), machine.call(withdraw)];
            assert_eq!(results, [Ok(140), Ok(0)]);
            results
        },
    );
}

#[test]
fn what_is_refused_changes_nothing() {
    let hole = |machine: &mut Machine| {
        many_mappings(machine);
        let address = BASE + pages(MANY - 2);
        assert_eq!(machine.call(Call::Unmap { target: machine.space, address, length_bytes: PAGE_BYTES }), Ok(0));
    };
    let whole = (BASE, pages(MANY));
    refused_however_cut(
        hole,
        |machine| machine.call(Call::Unmap { target: machine.space, address: whole.0, length_bytes: whole.1 }),
        Error::NotMapped,
    );
    refused_however_cut(
        hole,
        |machine| {
            let (target, (address, length_bytes)) = (machine.space, whole);
            machine.call(Call::Protect { target, address, length_bytes, rights: Rights::READ })
        },
        Error::NotMapped,
    );
}

#[test]
fn a_right_that_the_last_mapping_lacks_is_found_before_anything_changes() {
    let prepare = |machine: &mut Machine| {
        many_mappings(machine);
        let segment = machine.segment(PAGE_BYTES, 0);
        let rights = Rights::READ | Rights::GRANT;
        let weak = machine.make(Call::CapabilityDerive { handle: segment, rights, badge: 0 });
        map(machine, weak, 0, BASE + pages(MANY), PAGE_BYTES, Rights::READ);
    };
    refused_however_cut(
        prepare,
        |machine| {
            let target = machine.space;
            let (address, length_bytes) = (BASE, pages(MANY + 1));
            machine.call(Call::Protect { target, address, length_bytes, rights: Rights::READ_WRITE })
        },
        Error::MissingRight,
    );
}

#[test]
fn a_copy_that_the_last_page_forbids_is_refused_before_anything_is_copied() {
    refused_however_cut(
        |machine| {
            let segment = machine.segment(pages(40), 0);
            map(machine, segment, 0, BASE, pages(39), Rights::READ_WRITE);
        },
        |machine| {
            let (address, buffer, length_bytes) = (BASE + pages(20), BASE, pages(20));
            machine.call(Call::MemoryRead { space: machine.space, address, buffer, length_bytes })
        },
        Error::BadAddress,
    );
}
