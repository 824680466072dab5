//! Maps of pages against the library's tree, alone and with shared nodes.

use alloc::collections::BTreeMap;

use crate::object::page_map::{PageMap, Unshared, base_bytes, entry_bytes, node_bytes};
use crate::object::page_node::{Copies, INNER_MOST, Inner, LEAF_MOST, Leaf, Node};

/// Checks a node and what is below it; gives how deep it is, and adds up the bytes of nodes and the values.
fn check(node: &Node<u64>, (is_root, is_shared): (bool, bool), bytes: &mut u64, values: &mut usize) -> usize {
    assert!(is_root || is_shared || node.is_enough(), "all but the root are half full");
    match node {
        Node::Leaf(row) => {
            *bytes += node_bytes::<Leaf<u64>>();
            *values += row.count;
            1
        }
        Node::Inner(row) => {
            *bytes += node_bytes::<Inner<u64>>();
            let children = row.items.iter().flatten().zip(row.firsts);
            let depths: Vec<_> = children
                .map(|(child, first)| {
                    assert_eq!(child.first(), first, "a node knows where its children begin");
                    check(child, (false, is_shared), bytes, values)
                })
                .collect();
            assert!(
                depths.len() == row.count
                    && (row.count > 1 || is_shared)
                    && depths.windows(2).all(|two| two[0] == two[1])
            );
            1 + depths[0]
        }
    }
}

fn compare(map: &PageMap<u64>, model: &BTreeMap<u64, u64>, page: u64) {
    compare_shared(map, model, page, false);
}

fn compare_shared(map: &PageMap<u64>, model: &BTreeMap<u64, u64>, page: u64, is_shared: bool) {
    let (mut bytes, mut values) = (0, 0);
    if let Some(root) = &map.root {
        check(root, (true, is_shared), &mut bytes, &mut values);
    }
    assert_eq!((map.len(), values), (model.len(), model.len()));
    let is_paid = bytes <= base_bytes::<u64>() + map.len() as u64 * entry_bytes::<u64>();
    assert!(is_paid || is_shared, "{bytes} for {}", map.len());
    let owned = |found: Option<(&u64, &u64)>| found.map(|(page, value)| (*page, *value));
    let found = map.at_or_before(page).map(|(page, value)| (page, *value));
    assert_eq!(found, owned(model.range(..=page).next_back()));
    let found = map.at_or_behind(page).map(|(page, value)| (page, *value));
    assert_eq!(found, owned(model.range(page..).next()));
}

/// Grows and shrinks a map at random places, in steps of the given number of insertions out of eight.
fn vary(map: &mut PageMap<u64>, model: &mut BTreeMap<u64, u64>, state: &mut u64, inserts: u64, pages: u64) {
    for _ in 0..1500 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (page, choice) = ((*state >> 33) % pages, (*state >> 20) % 8);
        if choice < inserts && !model.contains_key(&page) {
            map.insert(page, *state, &mut Unshared);
            model.insert(page, *state);
        } else if choice >= inserts {
            assert_eq!(map.remove(page, &mut Unshared), model.remove(&page));
        } else {
            assert_eq!(map.get_mut(page, &mut Unshared), model.get_mut(&page));
        }
        compare(map, model, page.wrapping_add(choice));
    }
}

#[test]
fn it_holds_what_a_tree_of_the_library_would() {
    let mut state = 1;
    for pages in [4, 40, 400, 4000] {
        let (mut map, mut model) = (PageMap::default(), BTreeMap::new());
        for inserts in [7, 4, 1, 6, 0] {
            vary(&mut map, &mut model, &mut state, inserts, pages);
        }
    }
}

#[test]
fn it_is_emptied_leaf_by_leaf() {
    for count in [0, 7, 8, 30, 200, 5 * (LEAF_MOST * INNER_MOST) as u64] {
        let (mut map, mut model, mut taken) = (PageMap::default(), BTreeMap::new(), Vec::new());
        for page in (0..count).map(|number| number * 7919 % count) {
            map.insert(page, page, &mut Unshared);
            model.insert(page, page);
        }
        while map.take_last_leaf(|value| taken.push(value)) {
            taken.drain(..).rev().for_each(|page| assert_eq!(model.pop_last(), Some((page, page))));
            compare(&map, &model, count);
        }
        assert!(model.is_empty());
    }
}

#[test]
fn it_grows_and_shrinks_from_either_end() {
    const COUNT: u64 = 5 * (LEAF_MOST * INNER_MOST) as u64;
    for (is_grown_up, is_shrunk_up) in [(true, true), (true, false), (false, true), (false, false)] {
        let page = |number: u64, is_up: bool| if is_up { number } else { COUNT - 1 - number };
        let (mut map, mut model) = (PageMap::default(), BTreeMap::new());
        for number in 0..COUNT {
            let page = page(number, is_grown_up);
            map.insert(page, number, &mut Unshared);
            model.insert(page, number);
            compare(&map, &model, number);
        }
        for number in 0..COUNT {
            let page = page(number, is_shrunk_up);
            assert_eq!(map.remove(page, &mut Unshared), model.remove(&page));
            compare(&map, &model, number);
        }
    }
}

/// Counts, of each value, the leaves that hold it.
#[derive(Default)]
struct Held(BTreeMap<u64, u64>);

impl Copies<u64> for Held {
    fn copy(&mut self, _: u64, value: &u64) -> u64 {
        *self.0.get_mut(value).expect("what is copied is held") += 1;
        *value
    }
}

impl Held {
    fn release(&mut self, value: u64) {
        let count = self.0.get_mut(&value).expect("what goes was held");
        *count -= 1;
        if *count == 0 {
            self.0.remove(&value);
        }
    }
}

fn empty(mut map: PageMap<u64>, held: &mut Held) {
    while map.take_last_leaf(|value| held.release(value)) {}
    assert!(map.is_empty() && map.at_or_behind(0).is_none());
}

/// Changes one of several maps, or shares one, or lets one go.
fn change(maps: &mut Vec<(PageMap<u64>, BTreeMap<u64, u64>)>, held: &mut Held, random: u64, value: u64) {
    let (count, at) = (maps.len(), (random >> 40) as usize % maps.len());
    let (map, model) = &mut maps[at];
    let page = (random >> 8) % 600;
    match random % 64 {
        0..2 if count < 6 => {
            let more = (map.share(), model.clone());
            maps.push(more);
        }
        2..4 if count > 1 => empty(maps.swap_remove(at).0, held),
        number if number < 38 && !model.contains_key(&page) => {
            held.0.insert(value, 1);
            map.insert(page, value, held);
            model.insert(page, value);
        }
        _ => {
            let removed = map.remove(page, held);
            assert_eq!(removed, model.remove(&page));
            removed.into_iter().for_each(|value| held.release(value));
        }
    }
}

#[test]
fn maps_that_share_nodes_do_not_see_what_happens_to_each_other() {
    for seed in 0..8 {
        let (mut maps, mut held) = (vec![(PageMap::default(), BTreeMap::new())], Held::default());
        let mut state: u64 = seed;
        for value in 0..4000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            change(&mut maps, &mut held, state >> 1, value);
            for (map, model) in &maps {
                compare_shared(map, model, (state >> 9) % 600, true);
            }
        }
        for (map, model) in &maps {
            assert!(
                map.from(0).map(|(page, value)| (page, *value)).eq(model.iter().map(|(page, value)| (*page, *value)))
            );
        }
        maps.into_iter().for_each(|(map, _)| empty(map, &mut held));
        assert!(held.0.is_empty(), "whatever was held by leaves has gone with them");
    }
}
