//! Random operations on address maps.

use host_tests::model::World;
use proptest::prelude::*;
use tessera_abi::{PAGE_BYTES, Rights, TOP_SLOT_BYTES, USER_END};
use tessera_arch::Access;

const GIG: u64 = 1 << 18;
const TWO_MEG: u64 = 1 << 9;

/// Where a range lies.
#[derive(Clone, Debug)]
pub(crate) enum Range {
    /// At an address, in bytes, in a top-level slot (which a subtree does not have), of a length in bytes.
    At { slot: u64, address: u64, length: u64 },
    /// In what an earlier call mapped: which, where in it, how much of it.
    Within { which: usize, skip: u64, take: u64 },
}

/// How a thread enters a space.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Jump,
    Switch,
    FastSwitch,
}

/// One step.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// `fit`: whatever lies beyond the segment is left out, as most programs would.
    Map {
        target: usize,
        cap: usize,
        offset: u64,
        range: Range,
        rights: Rights,
        fit: bool,
    },
    Unmap {
        target: usize,
        range: Range,
    },
    Protect {
        target: usize,
        range: Range,
        rights: Rights,
    },
    Attach {
        space: usize,
        subtree: usize,
        address: u64,
        bounds: Rights,
    },
    Detach {
        space: usize,
        address: u64,
    },
    Touch {
        space: usize,
        range: Range,
        access: Access,
        value: u64,
    },
    Enter {
        space: usize,
        by: Way,
    },
}

/// Any operation on so many spaces, subtrees and segment capabilities.
pub(crate) fn operation(spaces: usize, subtrees: usize, caps: usize) -> impl Strategy<Value = Operation> {
    let target = 0..spaces + subtrees;
    prop_oneof![
        9 => (target.clone(), 0..caps, page_count(), place(), access_rights(), prop::bool::weighted(0.9))
            .prop_map(|(target, cap, offset, range, rights, fit)| {
                Operation::Map { target, cap, offset, range, rights, fit }
            }),
        4 => (target.clone(), range()).prop_map(|(target, range)| Operation::Unmap { target, range }),
        6 => (target, range(), access_rights())
            .prop_map(|(target, range, rights)| Operation::Protect { target, range, rights }),
        3 => (0..spaces, 0..subtrees, slot_address(), bounds())
            .prop_map(|(space, subtree, address, bounds)| Operation::Attach { space, subtree, address, bounds }),
        2 => (0..spaces, slot_address()).prop_map(|(space, address)| Operation::Detach { space, address }),
        6 => (0..spaces, range(), access(), any::<u64>())
            .prop_map(|(space, range, access, value)| Operation::Touch { space, range, access, value }),
        3 => (0..spaces, way()).prop_map(|(space, by)| Operation::Enter { space, by }),
    ]
}

/// Offset and length in bytes that a map call asks for.
pub(crate) fn fitted(world: &World, cap: usize, offset: u64, (address, length): (u64, u64), fit: bool) -> (u64, u64) {
    let segment_bytes = world.segments[world.caps[cap].segment].pages * PAGE_BYTES;
    if !fit {
        return (offset, length);
    }
    let offset = offset % segment_bytes;
    // Gigabytes in small pages would show nothing that megabytes do not.
    let is_crooked = !offset.wrapping_sub(address).is_multiple_of(TWO_MEG * PAGE_BYTES);
    let most = if is_crooked { 3 * TWO_MEG * PAGE_BYTES } else { u64::MAX };
    (offset, length.min(most).min(segment_bytes - offset))
}

/// Address and length in bytes of a range in a map of the world.
pub(crate) fn resolve(world: &World, map: usize, range: &Range) -> (u64, u64) {
    match *range {
        Range::At { slot, address, length } if world.is_space(map) => {
            (address.wrapping_add(slot * TOP_SLOT_BYTES), length)
        }
        Range::At { address, length, .. } => (address, length),
        Range::Within { which, skip, take } => {
            let extents = &world.maps[map].extents;
            if extents.is_empty() {
                return (TOP_SLOT_BYTES, PAGE_BYTES);
            }
            let extent = &extents[which % extents.len()];
            let skip = skip % extent.pages;
            ((extent.first + skip) * PAGE_BYTES, (1 + take % (extent.pages - skip)) * PAGE_BYTES)
        }
    }
}

fn range() -> impl Strategy<Value = Range> {
    let part = prop_oneof![Just(0), Just(1), Just(511), Just(TWO_MEG), Just(GIG), Just(u64::MAX - 1), any::<u64>()];
    let within =
        (any::<usize>(), part.clone(), part).prop_map(|(which, skip, take)| Range::Within { which, skip, take });
    prop_oneof![1 => place(), 6 => within]
}

fn place() -> impl Strategy<Value = Range> {
    let slot = prop_oneof![6 => Just(1), 2 => Just(2), 1 => Just(0), 1 => Just(255)];
    let length = prop_oneof![30 => page_count().prop_map(|bytes| bytes.max(PAGE_BYTES)), 1 => Just(0)];
    (slot, address(), length, odd_bytes()).prop_map(|(slot, address, length, odd)| Range::At {
        slot,
        address,
        length: length.wrapping_add(odd),
    })
}

fn address() -> impl Strategy<Value = u64> {
    let strange =
        prop_oneof![Just(0), Just(u64::MAX - 0xfff), Just(USER_END), Just(1 << 47), Just(TOP_SLOT_BYTES - 0x2000)];
    let plain = (page_count(), odd_bytes()).prop_map(|(bytes, odd)| bytes + odd);
    prop_oneof![20 => plain, 1 => strange]
}

/// Bytes in a number of pages that is often, but not always, a multiple of a large page.
fn page_count() -> impl Strategy<Value = u64> {
    let gigs = prop_oneof![4 => Just(0), 2 => 1..3_u64];
    let two_megs = prop_oneof![3 => Just(0), 3 => 1..4_u64];
    let pages = prop_oneof![4 => Just(0), 3 => 1..8_u64, 1 => 505..520_u64];
    (gigs, two_megs, pages).prop_map(|(gigs, two_megs, pages)| (gigs * GIG + two_megs * TWO_MEG + pages) * PAGE_BYTES)
}

fn odd_bytes() -> impl Strategy<Value = u64> {
    prop_oneof![60 => Just(0), 1 => Just(0x800), 1 => Just(1)]
}

fn slot_address() -> impl Strategy<Value = u64> {
    let strange = prop_oneof![Just(254_u64), Just(255), Just(256), Just(u64::MAX >> 39)];
    let slot = prop_oneof![10 => 1..4_u64, 1 => strange];
    (slot, odd_bytes()).prop_map(|(slot, odd)| slot * TOP_SLOT_BYTES + odd)
}

fn access_rights() -> impl Strategy<Value = Rights> {
    prop_oneof![
        12 => Just(Rights::READ),
        12 => Just(Rights::READ_WRITE),
        10 => Just(Rights::READ_EXECUTE),
        1 => Just(Rights::ACCESS),
        1 => Just(Rights::WRITE),
        1 => Just(Rights::empty()),
        1 => Just(Rights::READ | Rights::MAP),
    ]
}

fn bounds() -> impl Strategy<Value = Rights> {
    prop_oneof![
        3 => Just(Rights::ACCESS),
        3 => Just(Rights::READ),
        2 => Just(Rights::READ_WRITE),
        2 => Just(Rights::READ_EXECUTE),
        1 => Just(Rights::WRITE),
    ]
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![1 => Just(Way::Jump), 1 => Just(Way::Switch), 2 => Just(Way::FastSwitch)]
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![Just(Access::Read), Just(Access::Write), Just(Access::Execute)]
}
