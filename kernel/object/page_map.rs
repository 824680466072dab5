//! Values by their first pages, in order: a B+-tree whose usual case, a few values in one leaf, is a look along one list.
//! Any other number orders as well as that of a page: where subtrees are attached is kept so, too.
//!
//! All values are in leaves, all leaves equally deep. An inner node says of each child which page is its first, so that
//! what begins last before a page is found on one way down. Nodes are half full at least, all but the root; the root's
//! leaf stays when the last value goes.
//!
//! Most changes concern one leaf and nothing above it. A [`Place`] is such a leaf, found once: what is there is looked at
//! to decide, and what was decided is done there.

use alloc::boxed::Box;

use crate::mem::block;

/// Values in a leaf, at most: few, as putting one in moves those behind it. One less than a power of two, as they may be
/// searched by halves.
const LEAF_MOST: usize = 7;

/// Children of an inner node, at most: many, so that there are few levels. A power of two, as they are searched by halves.
const INNER_MOST: usize = 32;

/// The page of an entry that is not in use: behind all others.
const NO_PAGE: u64 = u64::MAX;

/// What a map of values takes of the kernel heap at worst besides [`entry_bytes`] for each, bytes.
pub const fn base_bytes<V>() -> u64 {
    let (leaf, inner) = (block::box_bytes::<Leaf<V>>(), block::box_bytes::<Inner<V>>());
    if leaf > inner { leaf } else { inner }
}

/// What a value takes at worst, bytes: its share of a leaf that is as empty as it can be, and that leaf's share of the
/// nodes above it. (A root that is no leaf is in `base_bytes`, and its leaves are not roots.)
pub const fn entry_bytes<V>() -> u64 {
    let (leaf, inner) = (block::box_bytes::<Leaf<V>>(), block::box_bytes::<Inner<V>>());
    let (values, children) = (Leaf::<V>::LEAST as u64, Inner::<V>::LEAST as u64);
    (leaf * (children - 1) + inner).div_ceil(values * (children - 1))
}

/// Values by page.
#[derive(Debug)]
pub struct PageMap<V> {
    root: Option<Node<V>>,
    count: usize,
}

#[derive(Debug)]
enum Node<V> {
    Leaf(Box<Leaf<V>>),
    Inner(Box<Inner<V>>),
}

type Leaf<V> = Row<V, LEAF_MOST>;
type Inner<V> = Row<Node<V>, INNER_MOST>;

/// A node: values, or children, in order of their first pages; so many at most.
#[derive(Debug)]
struct Row<T, const MOST: usize> {
    count: usize,
    firsts: [u64; MOST],
    items: [Option<T>; MOST],
}

/// The leaf that holds the last value which begins at a page or before it, or would hold one that begins there.
#[derive(Debug)]
pub struct Place<'a, V> {
    leaf: &'a mut Leaf<V>,
    /// How many of its values begin at the page or before it.
    until: usize,
    /// How many there are in all.
    count: &'a mut usize,
}

/// Values in order: along a leaf, and from the root down to the next one.
#[derive(Debug)]
pub struct Values<'a, V> {
    root: Option<&'a Node<V>>,
    /// The next value begins at this page or behind it.
    next: u64,
    /// Where it is, if it is in the leaf of the last one.
    at: Option<(&'a Leaf<V>, usize)>,
}

impl<'a, V> Iterator for Values<'a, V> {
    type Item = (u64, &'a V);

    #[inline(always)]
    fn next(&mut self) -> Option<(u64, &'a V)> {
        let (leaf, at) = self.at.or_else(|| self.root?.at_or_behind(self.next))?;
        let item = leaf.item(at)?;
        self.next = item.0 + 1;
        self.at = (at + 1 < leaf.count).then_some((leaf, at + 1));
        Some(item)
    }
}

impl<'a, V> Place<'a, V> {
    /// The last value that begins at the page or before it, and where it begins.
    #[inline(always)]
    pub fn last(&self) -> Option<(u64, &V)> {
        self.leaf.item(self.until.checked_sub(1)?)
    }

    /// Whether a value that begins at the page can be put in here, and nothing else changes.
    #[inline(always)]
    pub fn has_room(&self) -> bool {
        // A leaf's first value is known above it.
        self.leaf.count < LEAF_MOST && (self.until != 0 || self.is_root())
    }

    /// Puts a value in that begins at the page, where none does yet; there is room.
    #[inline(always)]
    pub fn insert(self, page: u64, value: V) {
        *self.count += 1;
        self.leaf.insert(self.until, page, value);
    }

    /// Whether the last value can be taken out of here, and nothing else changes.
    #[inline(always)]
    pub fn can_spare(&self) -> bool {
        self.until > 1 && self.leaf.count > Leaf::<V>::LEAST || self.is_root()
    }

    /// Whether there is no other leaf, and nothing above this one.
    #[inline(always)]
    fn is_root(&self) -> bool {
        self.leaf.count == *self.count
    }

    /// Takes the last value out, which is there and can be spared.
    #[inline(always)]
    pub fn remove(self) -> V {
        *self.count -= 1;
        self.leaf.remove(self.until - 1)
    }

    /// The last value, to be changed.
    #[inline(always)]
    pub fn last_mut(self) -> Option<&'a mut V> {
        self.leaf.items.get_mut(self.until.checked_sub(1)?)?.as_mut()
    }
}

impl<V> Default for PageMap<V> {
    fn default() -> PageMap<V> {
        PageMap { root: None, count: 0 }
    }
}

impl<V> PageMap<V> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The last value that begins at a page or before it, and where it begins.
    #[inline(always)]
    pub fn at_or_before(&self, page: u64) -> Option<(u64, &V)> {
        let mut node = &self.root;
        while let Some(Node::Inner(row)) = node {
            node = &row.items[row.child_of(page)];
        }
        let Some(Node::Leaf(row)) = node else { return None };
        row.item(row.count_until(page).checked_sub(1)?)
    }

    /// The first value that begins at a page or behind it, and where it begins.
    pub fn at_or_behind(&self, page: u64) -> Option<(u64, &V)> {
        let (leaf, at) = self.root.as_ref()?.at_or_behind(page)?;
        leaf.item(at)
    }

    /// The values that begin at a page or behind it, in order, and where they begin.
    #[inline(always)]
    pub fn from(&self, page: u64) -> Values<'_, V> {
        Values { root: self.root.as_ref(), next: page, at: None }
    }

    /// The leaf for a page; none if there never was a value. Found fast where there are few.
    #[inline(always)]
    pub fn place(&mut self, page: u64) -> Option<Place<'_, V>> {
        let (leaf, count) = self.leaf(page)?;
        let until = leaf.count_until(page);
        Some(Place { leaf, until, count })
    }

    /// The same, found as fast where there are many.
    #[inline(always)]
    fn place_by_halves(&mut self, page: u64) -> Option<Place<'_, V>> {
        let (leaf, count) = self.leaf(page)?;
        let until = leaf.count_by_halves(page);
        Some(Place { leaf, until, count })
    }

    #[inline(always)]
    fn leaf(&mut self, page: u64) -> Option<(&mut Leaf<V>, &mut usize)> {
        let mut node = &mut self.root;
        while let Some(Node::Inner(row)) = node {
            let at = row.child_of(page);
            node = &mut row.items[at];
        }
        let Some(Node::Leaf(leaf)) = node else { return None };
        Some((leaf, &mut self.count))
    }

    /// The value that begins at a page.
    #[inline(always)]
    pub fn get_mut(&mut self, page: u64) -> Option<&mut V> {
        let place = self.place(page)?;
        if place.last()?.0 == page { place.last_mut() } else { None }
    }

    /// Puts a value in that begins at a page, where none does yet.
    #[inline(always)]
    pub fn insert(&mut self, page: u64, value: V) {
        if let Some(place) = self.place_by_halves(page)
            && place.has_room()
        {
            return place.insert(page, value);
        }
        self.insert_growing(page, value);
    }

    /// Takes the value out that begins at a page.
    #[inline(never)]
    pub fn remove(&mut self, page: u64) -> Option<V> {
        let place = self.place_by_halves(page)?;
        if place.last()?.0 != page {
            return None;
        }
        if place.can_spare() { Some(place.remove()) } else { self.remove_shrinking(page) }
    }

    /// Takes the values of the last leaf out, in order: who takes all out so moves none. Gives whether there was a leaf.
    pub fn take_last_leaf(&mut self, mut each: impl FnMut(V)) -> bool {
        let mut leaf = match self.root.take() {
            Some(Node::Inner(mut row)) => {
                let leaf = row.remove_last_leaf();
                self.root = Some(if row.count == 1 { row.remove(0) } else { Node::Inner(row) });
                leaf
            }
            Some(Node::Leaf(row)) => row,
            None => return false,
        };
        self.count -= leaf.count;
        leaf.items.iter_mut().map_while(Option::take).for_each(&mut each);
        true
    }

    #[inline(never)]
    fn insert_growing(&mut self, page: u64, value: V) {
        self.count += 1;
        let root = self.root.get_or_insert_with(|| Node::Leaf(Row::boxed()));
        let Some(right) = root.insert(page, value) else { return };
        let mut above = Row::boxed();
        for (at, node) in self.root.take().into_iter().chain([right]).enumerate() {
            above.insert(at, node.first(), node);
        }
        self.root = Some(Node::Inner(above));
    }

    #[inline(never)]
    fn remove_shrinking(&mut self, page: u64) -> Option<V> {
        let root = self.root.as_mut()?;
        let value = root.remove(page)?;
        self.count -= 1;
        if let Node::Inner(row) = root
            && row.count == 1
        {
            let only = row.remove(0);
            self.root = Some(only);
        }
        Some(value)
    }
}

impl<V> Node<V> {
    fn first(&self) -> u64 {
        match self {
            Node::Leaf(row) => row.firsts[0],
            Node::Inner(row) => row.firsts[0],
        }
    }

    /// Whether it has as many values or children as any but the root must have.
    fn is_enough(&self) -> bool {
        match self {
            Node::Leaf(row) => row.count >= Leaf::<V>::LEAST,
            Node::Inner(row) => row.count >= Inner::<V>::LEAST,
        }
    }

    /// Where the first value is that begins at a page or behind it.
    fn at_or_behind(&self, page: u64) -> Option<(&Leaf<V>, usize)> {
        match self {
            Node::Leaf(row) => Some((row, row.firsts[..row.count].iter().position(|first| *first >= page)?)),
            Node::Inner(row) => {
                let at = row.child_of(page);
                // The child in which the page would be may end before it; then it is the next one's first.
                let mut children = row.items[at..row.count].iter().flatten().take(2);
                children.find_map(|child| child.at_or_behind(page))
            }
        }
    }

    /// Puts a value in; gives the node to the right that half of this one went to, if it was full.
    fn insert(&mut self, page: u64, value: V) -> Option<Node<V>> {
        match self {
            Node::Leaf(row) => row.insert_splitting(row.count_until(page), page, value).map(Node::Leaf),
            Node::Inner(row) => {
                let at = row.child_of(page);
                let child = row.items[at].as_mut()?;
                let right = child.insert(page, value);
                row.firsts[at] = child.first();
                let right = right?;
                row.insert_splitting(at + 1, right.first(), right).map(Node::Inner)
            }
        }
    }

    fn remove(&mut self, page: u64) -> Option<V> {
        match self {
            Node::Leaf(row) => row.place_of(page).map(|at| row.remove(at)),
            Node::Inner(row) => {
                let at = row.child_of(page);
                let child = row.items[at].as_mut()?;
                let value = child.remove(page)?;
                let is_enough = child.is_enough();
                row.firsts[at] = child.first();
                if !is_enough {
                    row.refill(at);
                }
                Some(value)
            }
        }
    }

    /// Makes two neighbours one, or lets the emptier have one of the other's; gives whether they are one.
    fn join(&mut self, right: &mut Node<V>) -> bool {
        match (self, right) {
            (Node::Leaf(left), Node::Leaf(right)) => left.join(right),
            (Node::Inner(left), Node::Inner(right)) => left.join(right),
            _ => unreachable!("all leaves are equally deep"),
        }
    }
}

impl<V> Leaf<V> {
    /// The same as `count_until`; it takes as long for many values as for few.
    #[inline(always)]
    fn count_by_halves(&self, page: u64) -> usize {
        let mut until = 0;
        for half in [4, 2, 1] {
            if self.firsts[until + half - 1] <= page {
                until += half;
            }
        }
        until
    }
}

impl<V> Inner<V> {
    /// The child that holds the last value which begins at a page or before it, or the first child.
    #[inline(always)]
    fn child_of(&self, page: u64) -> usize {
        let mut at = 0;
        for half in [16, 8, 4, 2, 1] {
            if self.firsts[at + half] <= page {
                at += half;
            }
        }
        at
    }

    /// Takes the last leaf below out, of which there is more than one. The children that are left have enough.
    fn remove_last_leaf(&mut self) -> Box<Leaf<V>> {
        let last = self.count - 1;
        if let Some(Node::Inner(child)) = &mut self.items[last] {
            let leaf = child.remove_last_leaf();
            if child.count < Self::LEAST {
                self.refill(last);
            }
            return leaf;
        }
        let Node::Leaf(leaf) = self.remove(last) else { unreachable!("all leaves are equally deep") };
        leaf
    }

    /// Sees that a child which became too empty has enough, with a neighbour's help: there is one.
    fn refill(&mut self, at: usize) {
        let left = at.saturating_sub(1);
        let [Some(one), Some(other)] = &mut self.items[left..left + 2] else { return };
        if one.join(other) {
            self.remove(left + 1);
        } else {
            self.firsts[left + 1] = other.first();
        }
    }
}

impl<T, const MOST: usize> Row<T, MOST> {
    /// As many items at least, but in the root.
    const LEAST: usize = MOST / 2;

    fn boxed() -> Box<Row<T, MOST>> {
        Box::new(Row { count: 0, firsts: [NO_PAGE; MOST], items: [const { None }; MOST] })
    }

    /// How many items begin at a page or before it.
    #[inline(always)]
    fn count_until(&self, page: u64) -> usize {
        self.firsts.iter().position(|first| *first > page).unwrap_or(MOST)
    }

    /// An item, and where it begins.
    #[inline(always)]
    fn item(&self, at: usize) -> Option<(u64, &T)> {
        Some((self.firsts[at], self.items.get(at)?.as_ref()?))
    }

    #[inline(always)]
    fn place_of(&self, page: u64) -> Option<usize> {
        self.count_until(page).checked_sub(1).filter(|at| self.firsts[*at] == page)
    }

    /// Puts an item in; there is room.
    #[inline(always)]
    fn insert(&mut self, at: usize, first: u64, item: T) {
        assert!(at <= self.count && self.count < MOST, "there is room in a row that gets an item");
        let mut to = self.count;
        self.count += 1;
        while to > at {
            (self.firsts[to], self.items[to]) = (self.firsts[to - 1], self.items[to - 1].take());
            to -= 1;
        }
        (self.firsts[at], self.items[at]) = (first, Some(item));
    }

    /// Puts an item in; if there is no room, half of all go to a new row, to the right.
    fn insert_splitting(&mut self, at: usize, first: u64, item: T) -> Option<Box<Row<T, MOST>>> {
        if self.count < MOST {
            self.insert(at, first, item);
            return None;
        }
        let (mut right, kept) = (Row::boxed(), MOST - Self::LEAST);
        for number in 0..Self::LEAST {
            let first = self.firsts[kept];
            right.insert(number, first, self.remove(kept));
        }
        if at <= kept {
            self.insert(at, first, item)
        } else {
            right.insert(at - kept, first, item)
        }
        Some(right)
    }

    /// Takes an item out that is there.
    #[inline(always)]
    fn remove(&mut self, at: usize) -> T {
        let item = self.items[at].take().expect("an item that is taken out is there");
        let last = self.count - 1;
        assert!(last < MOST, "a row has no more items than there is room for");
        self.count = last;
        for to in at..last {
            (self.firsts[to], self.items[to]) = (self.firsts[to + 1], self.items[to + 1].take());
        }
        self.firsts[last] = NO_PAGE;
        item
    }

    fn join(&mut self, right: &mut Row<T, MOST>) -> bool {
        let is_one = self.count + right.count <= MOST;
        if is_one || self.count < right.count {
            let moved = if is_one { right.count } else { 1 };
            for _ in 0..moved {
                let first = right.firsts[0];
                self.insert(self.count, first, right.remove(0));
            }
        } else {
            let first = self.firsts[self.count - 1];
            right.insert(0, first, self.remove(self.count - 1));
        }
        is_one
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::{INNER_MOST, Inner, LEAF_MOST, Leaf, Node, PageMap, base_bytes, entry_bytes};
    use crate::mem::block;

    /// Checks a node and what is below it; gives how deep it is, and adds up the bytes of nodes and the values.
    fn check(node: &Node<u64>, is_root: bool, bytes: &mut u64, values: &mut usize) -> usize {
        assert!(is_root || node.is_enough(), "all but the root are half full");
        match node {
            Node::Leaf(row) => {
                *bytes += block::box_bytes::<Leaf<u64>>();
                *values += row.count;
                1
            }
            Node::Inner(row) => {
                *bytes += block::box_bytes::<Inner<u64>>();
                let children = row.items.iter().flatten().zip(row.firsts);
                let depths: Vec<_> = children
                    .map(|(child, first)| {
                        assert_eq!(child.first(), first, "a node knows where its children begin");
                        check(child, false, bytes, values)
                    })
                    .collect();
                assert!(depths.len() == row.count && row.count > 1 && depths.windows(2).all(|two| two[0] == two[1]));
                1 + depths[0]
            }
        }
    }

    fn compare(map: &PageMap<u64>, model: &BTreeMap<u64, u64>, page: u64) {
        let (mut bytes, mut values) = (0, 0);
        if let Some(root) = &map.root {
            check(root, true, &mut bytes, &mut values);
        }
        assert_eq!((map.len(), values), (model.len(), model.len()));
        assert!(bytes <= base_bytes::<u64>() + map.len() as u64 * entry_bytes::<u64>(), "{bytes} for {}", map.len());
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
                map.insert(page, *state);
                model.insert(page, *state);
            } else if choice >= inserts {
                assert_eq!(map.remove(page), model.remove(&page));
            } else {
                assert_eq!(map.get_mut(page), model.get_mut(&page));
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
                map.insert(page, page);
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
                map.insert(page, number);
                model.insert(page, number);
                compare(&map, &model, number);
            }
            for number in 0..COUNT {
                let page = page(number, is_shrunk_up);
                assert_eq!(map.remove(page), model.remove(&page));
                compare(&map, &model, number);
            }
        }
    }
}
