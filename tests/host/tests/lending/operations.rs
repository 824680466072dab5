//! What can happen, and random lists of it. Numbers choose among what there is for the thread that acts.

use proptest::prelude::*;
use tessera_abi::Rights;

use crate::scene::TABLES;

/// What is done, by the thread that runs on some CPU.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Derive {
        node: usize,
        rights: Rights,
        badge: u64,
    },
    Copy {
        node: usize,
        table: usize,
        rights: Rights,
        badge: u64,
    },
    Delete {
        node: usize,
    },
    Revoke {
        node: usize,
        badge: Option<u64>,
    },
    List {
        node: usize,
        chunk: u64,
    },
    Map {
        target: usize,
        segment: usize,
        place: usize,
        pages: u64,
        rights: Rights,
    },
    /// A part of a mapping: where it begins and how long it is, in sixteenths of it.
    Unmap {
        target: usize,
        nth: usize,
        part: (u64, u64),
    },
    Protect {
        target: usize,
        nth: usize,
        part: (u64, u64),
        rights: Rights,
    },
    Attach {
        target: usize,
        subtree: usize,
        spot: (u64, u64),
        bounds: Rights,
        only_cpu: Option<u64>,
    },
    Detach {
        target: usize,
        nth: usize,
    },
    View {
        space: usize,
        bounds: Rights,
    },
    Enter {
        space: usize,
        way: Way,
    },
    Fallback {
        space: Option<usize>,
    },
    Create {
        space: usize,
    },
    Stop {
        nth: usize,
    },
    Exit,
    Sleep,
    Join,
    Yield,
    /// Every CPU says where its thread is.
    Settle,
}

/// How a space is entered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Fast,
    Common,
    Jump,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) cpu: usize,
    pub(crate) kind: Kind,
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    (0..4_usize, kind()).prop_map(|(cpu, kind)| Operation { cpu, kind })
}

fn rights() -> impl Strategy<Value = Rights> {
    prop_oneof![6 => Just(Rights::all()), 1 => any::<u32>().prop_map(Rights::from_bits_truncate)]
}

fn access() -> impl Strategy<Value = Rights> {
    prop::sample::select(vec![Rights::READ, Rights::READ_WRITE, Rights::READ_EXECUTE])
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![14 => lending(), 8 => taking(), 12 => showing(), 10 => moving(), 3 => living()]
}

fn lending() -> impl Strategy<Value = Kind> {
    let (node, badge) = (any::<usize>, || 0..3_u64);
    prop_oneof![
        4 => (node(), rights(), badge()).prop_map(|(node, rights, badge)| Kind::Derive { node, rights, badge }),
        7 => (node(), 0..TABLES, rights(), badge())
            .prop_map(|(node, table, rights, badge)| Kind::Copy { node, table, rights, badge }),
    ]
}

fn taking() -> impl Strategy<Value = Kind> {
    let node = any::<usize>;
    prop_oneof![
        3 => node().prop_map(|node| Kind::Delete { node }),
        4 => (node(), prop_oneof![3 => Just(None), 2 => (0..3_u64).prop_map(Some)])
            .prop_map(|(node, badge)| Kind::Revoke { node, badge }),
        1 => (node(), prop_oneof![Just(64_u64), 1..5_u64]).prop_map(|(node, chunk)| Kind::List { node, chunk }),
    ]
}

fn showing() -> impl Strategy<Value = Kind> {
    let choice = any::<usize>;
    let part = || prop_oneof![2 => Just((0_u64, 16_u64)), 3 => (0..16_u64, 1..16_u64)];
    let only_cpu = prop_oneof![2 => Just(None), 1 => (0..3_u64).prop_map(Some)];
    prop_oneof![
        6 => (choice(), choice(), 0..5_usize, prop_oneof![4 => 1..12_u64, 1 => Just(520_u64)], access())
            .prop_map(|(target, segment, place, pages, rights)| Kind::Map { target, segment, place, pages, rights }),
        2 => (choice(), choice(), part()).prop_map(|(target, nth, part)| Kind::Unmap { target, nth, part }),
        1 => (choice(), choice(), part(), access())
            .prop_map(|(target, nth, part, rights)| Kind::Protect { target, nth, part, rights }),
        5 => (choice(), choice(), (2..5_u64, 1..4_u64), access(), only_cpu).prop_map(
            |(target, subtree, spot, bounds, only_cpu)| Kind::Attach { target, subtree, spot, bounds, only_cpu }
        ),
        1 => (choice(), choice()).prop_map(|(target, nth)| Kind::Detach { target, nth }),
        3 => (choice(), prop_oneof![3 => Just(Rights::ACCESS), 1 => Just(Rights::READ)])
            .prop_map(|(space, bounds)| Kind::View { space, bounds }),
    ]
}

fn moving() -> impl Strategy<Value = Kind> {
    let way = prop::sample::select(vec![Way::Fast, Way::Fast, Way::Common, Way::Jump]);
    prop_oneof![
        6 => (any::<usize>(), way).prop_map(|(space, way)| Kind::Enter { space, way }),
        4 => prop_oneof![6 => any::<usize>().prop_map(Some), 1 => Just(None)].prop_map(|space| Kind::Fallback { space }),
        2 => Just(Kind::Yield),
        1 => Just(Kind::Settle),
    ]
}

fn living() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => any::<usize>().prop_map(|space| Kind::Create { space }),
        1 => any::<usize>().prop_map(|nth| Kind::Stop { nth }),
        1 => Just(Kind::Exit),
        1 => Just(Kind::Sleep),
        1 => Just(Kind::Join),
    ]
}
