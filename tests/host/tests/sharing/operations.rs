//! Random operations on spaces, subtrees and views.

use proptest::prelude::*;
use tessera_abi::{PAGE_BYTES, Rights, TOP_SLOT_BYTES};
use tessera_arch::Access;

use crate::scene::{CPUS, SEGMENTS, SPACES, SUBTREES, VIEWS};
use host_tests::model::SPACE_LEVEL;
use host_tests::walker::entry_pages;

/// An address, in parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttachPoint {
    slot: u64,
    gib: u64,
    two_mib: u64,
    page: u64,
    odd_bytes: u64,
    /// Whether parts count that make no sense where the address is used.
    strays: bool,
}

/// A part of the nth mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) which: usize,
    pub(crate) skip: u64,
    pub(crate) take: u64,
}

/// One step. Targets are spaces, then subtrees, then views; those who see are spaces, then views.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Map {
        target: usize,
        segment: usize,
        place: AttachPoint,
        pages: u64,
        rights: Rights,
    },
    Unmap {
        target: usize,
        part: Part,
    },
    Protect {
        target: usize,
        part: Part,
        rights: Rights,
    },
    Attach {
        target: usize,
        subtree: usize,
        place: AttachPoint,
        bounds: Rights,
        is_window: bool,
    },
    AttachCore {
        space: usize,
        subtree: usize,
        place: AttachPoint,
        bounds: Rights,
        cpu: usize,
    },
    /// The nth of what is attached, or whatever is at a place.
    Detach {
        target: usize,
        which: usize,
        place: Option<AttachPoint>,
    },
    DetachCore {
        space: usize,
        place: AttachPoint,
        cpu: usize,
    },
    Seal {
        subtree: usize,
    },
    Withdraw {
        subtree: usize,
    },
    Publish {
        subtree: usize,
        place: AttachPoint,
        bounds: Rights,
    },
    ReplaceSpace {
        space: usize,
    },
    ReplaceSubtree {
        subtree: usize,
        level: u8,
    },
    ReplaceView {
        view: usize,
        of: usize,
        bounds: Rights,
    },
    Touch {
        by: usize,
        part: Part,
        access: Access,
    },
    Enter {
        by: usize,
        fast: bool,
    },
}

impl AttachPoint {
    /// The address in a map of this level, of something whose size is that of an entry of level `unit`.
    pub(crate) fn address(&self, level: u8, unit: u8) -> u64 {
        let parts = [
            (TOP_LEVEL, self.slot, TOP_SLOT_BYTES),
            (2, self.gib, entry_pages(2) * PAGE_BYTES),
            (1, self.two_mib, entry_pages(1) * PAGE_BYTES),
            (0, self.page, PAGE_BYTES),
        ];
        let counts = |part: u8| self.strays || unit <= part && part < level;
        let sum = parts.iter().filter(|(part, ..)| counts(*part)).map(|(_, count, size)| count.wrapping_mul(*size));
        sum.fold(self.odd_bytes, u64::wrapping_add)
    }

    /// The address of a top-level slot.
    pub(crate) fn slot_address(&self) -> u64 {
        self.address(SPACE_LEVEL, TOP_LEVEL)
    }
}

const TOP_LEVEL: u8 = tessera_arch::TOP_LEVEL;

/// Any operation.
pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![10 => mapping(), 9 => attaching(), 3 => withdrawing(), 3 => replacing(), 5 => looking()]
}

fn mapping() -> impl Strategy<Value = Operation> {
    let pages = prop_oneof![6 => 1..5_u64, 1 => Just(40), 2 => Just(512), 1 => Just(600)];
    prop_oneof![
        5 => (target(), 0..SEGMENTS, place(), pages, rights()).prop_map(|(target, segment, place, pages, rights)| {
            Operation::Map { target, segment, place, pages, rights }
        }),
        2 => (target(), part()).prop_map(|(target, part)| Operation::Unmap { target, part }),
        2 => (target(), part(), rights()).prop_map(|(target, part, rights)| Operation::Protect { target, part, rights }),
    ]
}

fn attaching() -> impl Strategy<Value = Operation> {
    let window = || prop::bool::weighted(0.3);
    prop_oneof![
        8 => (target(), 0..SUBTREES, place(), bounds(), window()).prop_map(
            |(target, subtree, place, bounds, is_window)| {
                Operation::Attach { target, subtree, place, bounds, is_window }
            }
        ),
        2 => (1..SPACES, 0..SUBTREES, place(), bounds(), 0..CPUS).prop_map(|(space, subtree, place, bounds, cpu)| {
            Operation::AttachCore { space, subtree, place, bounds, cpu }
        }),
        3 => (target(), any::<usize>(), prop::option::weighted(0.2, place()))
            .prop_map(|(target, which, place)| Operation::Detach { target, which, place }),
        1 => (0..SPACES, place(), 0..CPUS).prop_map(|(space, place, cpu)| Operation::DetachCore { space, place, cpu }),
    ]
}

fn withdrawing() -> impl Strategy<Value = Operation> {
    prop_oneof![
        1 => (0..SUBTREES).prop_map(|subtree| Operation::Seal { subtree }),
        3 => (0..SUBTREES).prop_map(|subtree| Operation::Withdraw { subtree }),
        5 => (0..SUBTREES, place(), public_bounds())
            .prop_map(|(subtree, place, bounds)| Operation::Publish { subtree, place, bounds }),
    ]
}

fn replacing() -> impl Strategy<Value = Operation> {
    let level = prop_oneof![3 => Just(3_u8), 2 => Just(2), 2 => Just(1), 1 => prop_oneof![Just(0), Just(4)]];
    prop_oneof![
        1 => (1..SPACES).prop_map(|space| Operation::ReplaceSpace { space }),
        2 => (0..SUBTREES, level).prop_map(|(subtree, level)| Operation::ReplaceSubtree { subtree, level }),
        3 => (0..VIEWS, 0..SPACES + VIEWS, bounds())
            .prop_map(|(view, of, bounds)| Operation::ReplaceView { view, of, bounds }),
    ]
}

fn looking() -> impl Strategy<Value = Operation> {
    let access = prop::sample::select(vec![Access::Read, Access::Write, Access::Execute]);
    prop_oneof![
        3 => (0..SPACES + VIEWS, part(), access).prop_map(|(by, part, access)| Operation::Touch { by, part, access }),
        2 => (0..SPACES + VIEWS, any::<bool>()).prop_map(|(by, fast)| Operation::Enter { by, fast }),
    ]
}

fn target() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..SPACES, 9 => SPACES..SPACES + SUBTREES, 1 => SPACES + SUBTREES..SPACES + SUBTREES + VIEWS]
}

fn place() -> impl Strategy<Value = AttachPoint> {
    let slot = prop_oneof![12 => 1..4_u64, 2 => 4..6_u64, 1 => prop::sample::select(vec![0, 254, 255, 256, 1 << 24])];
    let lower = || prop_oneof![12 => 0..3_u64, 1 => Just(511)];
    let page = prop_oneof![3 => 0..4_u64, 1 => 508..512_u64];
    let odd_bytes = prop_oneof![40 => Just(0_u64), 1 => Just(0x800)];
    (slot, lower(), lower(), page, odd_bytes, prop::bool::weighted(0.02)).prop_map(
        |(slot, gib, two_mib, page, odd_bytes, strays)| AttachPoint { slot, gib, two_mib, page, odd_bytes, strays },
    )
}

fn part() -> impl Strategy<Value = Part> {
    let within = || prop_oneof![4 => Just(0_u64), 3 => any::<u64>(), 1 => Just(511)];
    let take = prop_oneof![3 => Just(u64::MAX), 2 => within()];
    (any::<usize>(), within(), take).prop_map(|(which, skip, take)| Part { which, skip, take })
}

fn rights() -> impl Strategy<Value = Rights> {
    let strange = prop::sample::select(vec![Rights::ACCESS, Rights::WRITE]);
    let usual = prop::sample::select(vec![Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE]);
    prop_oneof![20 => usual, 1 => strange]
}

fn bounds() -> impl Strategy<Value = Rights> {
    let usual = vec![Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE, Rights::ACCESS];
    prop_oneof![20 => prop::sample::select(usual), 1 => Just(Rights::WRITE)]
}

fn public_bounds() -> impl Strategy<Value = Rights> {
    prop_oneof![6 => Just(Rights::READ_EXECUTE), 3 => Just(Rights::READ), 1 => bounds()]
}
