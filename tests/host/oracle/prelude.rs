//! How a random run may begin: with subtrees that many see already.

use proptest::prelude::*;
use tessera_abi::Rights;

use super::operation::{CPUS_MAX, Kind, Operation, Part, SPACES, Spot, VIEWS, Way};

/// The subtree of 1 GiB.
const MIDDLE: usize = 3;
/// A subtree of 2 MiB.
const SMALL: usize = 4;

/// Nothing, or one of the arrangements.
pub(super) fn prelude() -> impl Strategy<Value = Vec<Operation>> {
    let arrangement = prop_oneof![
        4 => Just(vec![]),
        2 => Just(broad()),
        3 => nested(),
        2 => public(),
        1 => windows(),
        4 => crowded(),
    ];
    (arrangement, prop::collection::vec(0..CPUS_MAX, 1..4)).prop_map(|(kinds, cpus)| {
        let cpus = cpus.into_iter().cycle();
        kinds.into_iter().zip(cpus).map(|(kind, cpu)| Operation { cpu, kind }).collect()
    })
}

/// One subtree at two slots of every space, and views.
fn broad() -> Vec<Kind> {
    let places = (0..SPACES).flat_map(|space| [2, 3].map(|slot| attach(space, 0, slot)));
    [map(0, 0), map(0, 2)].into_iter().chain(places).chain(views()).collect()
}

/// A subtree in a subtree, which some spaces share.
fn nested() -> impl Strategy<Value = Vec<Kind>> {
    let inner = prop_oneof![Just(MIDDLE), Just(SMALL)];
    (inner, 1..SPACES).prop_map(|(inner, spaces)| {
        let inside = [map(inner, 0), map(inner, 2), attach(SPACES, inner, 0)];
        inside.into_iter().chain((0..spaces).map(|space| attach(space, 0, 2))).chain(views()).collect()
    })
}

/// A subtree at one or several places of two others, which some spaces have, the first at one place, two, or in a core
/// window; views of them. CPUs go round, then the inner subtree changes, and some go where they were.
fn crowded() -> impl Strategy<Value = Vec<Kind>> {
    let inner = prop_oneof![Just(MIDDLE), Just(SMALL)];
    let only_cpu = prop::option::of(0..CPUS_MAX as u64);
    let round = prop::collection::vec(prop::sample::select(vec![0, 1, 1, SPACES + 1]), 4..14);
    (inner, 1..SPACES, only_cpu, any::<bool>(), round, 0..6).prop_map(|parts| {
        let (inner, spaces, only_cpu, once, round, change) = parts;
        let target = SPACES + inner;
        let change = match change {
            0 | 1 => Kind::Unmap { target, nth: 0, part: Part::Whole },
            2 => Kind::Withdraw { subtree: inner },
            _ => Kind::Protect { target, nth: 0, part: Part::Whole, rights: Rights::READ },
        };
        let kinds = (0..spaces).flat_map(|space| {
            let window = only_cpu.filter(|_| space == 1).map(move |cpu| attach_at(space, 0, 2, 1, Way::OnlyCpu(cpu)));
            let twice = [2, 3].into_iter().take(if once { 1 } else { 2 }).filter(|_| only_cpu.is_none());
            let twice = twice.map(move |slot| attach(space, 0, slot));
            window.into_iter().chain(twice).chain([attach(space, 1, 4)])
        });
        let inside = [(0, 1), (0, 2), (0, 40), (1, 2)];
        let inside = inside
            .into_iter()
            .filter(|place| !once || [(0, 1), (1, 2)].contains(place))
            .map(|(outer, unit)| attach_at(SPACES + outer, inner, 0, unit, Way::Plain));
        let entered: Vec<Kind> = round.into_iter().map(enter).collect();
        let before = [map(inner, 0), map(inner, 2)].into_iter().chain(inside).chain(kinds).chain(views());
        before.chain(entered.clone()).chain([change]).chain(entered.into_iter().rev()).collect()
    })
}

/// A public subtree, seen from two spaces or a view; perhaps it is emptied meanwhile.
fn public() -> impl Strategy<Value = Vec<Kind>> {
    (0..SPACES + VIEWS, 0..SPACES, any::<bool>()).prop_map(|(one, other, is_emptied)| {
        let publish = Kind::Publish { subtree: 0, slot: 4, bounds: Rights::READ_EXECUTE };
        let unmap = Kind::Unmap { target: SPACES, nth: 0, part: Part::Whole };
        let change = if is_emptied { unmap } else { map(0, 4) };
        let seen = [enter(one), enter(other), change, enter(one)];
        views().chain([map(0, 0), publish]).chain(seen).collect()
    })
}

/// The first core windows of spaces that CPUs have been in, and that have changed meanwhile.
fn windows() -> impl Strategy<Value = Vec<Kind>> {
    (1..SPACES, 0..CPUS_MAX as u64).prop_map(|(space, cpu)| {
        let window = Kind::Attach {
            target: space,
            subtree: 1,
            spot: Spot { slot: 3, unit: 1 },
            bounds: Rights::ACCESS,
            way: Way::OnlyCpu(cpu),
        };
        let change = Kind::Protect { target: SPACES, nth: 0, part: Part::Whole, rights: Rights::READ };
        let before = [map(0, 0), attach(space, 0, 2)].into_iter().chain([space, 0, space].map(enter));
        before.chain([enter(0), change, window, enter(space)]).collect()
    })
}

fn views() -> impl Iterator<Item = Kind> {
    (0..VIEWS).map(|view| Kind::ReplaceView { view, of: view, bounds: Rights::READ_EXECUTE })
}

fn enter(space: usize) -> Kind {
    Kind::Enter { space, fast: true }
}

fn map(subtree: usize, place: usize) -> Kind {
    Kind::Map { target: SPACES + subtree, segment: place % 3, place, pages: 3, rights: Rights::READ_WRITE }
}

fn attach(target: usize, subtree: usize, slot: u64) -> Kind {
    attach_at(target, subtree, slot, 1, Way::Plain)
}

fn attach_at(target: usize, subtree: usize, slot: u64, unit: u64, way: Way) -> Kind {
    Kind::Attach { target, subtree, spot: Spot { slot, unit }, bounds: Rights::ACCESS, way }
}
