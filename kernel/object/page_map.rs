//! Values by their first pages, in order: a B+-tree whose usual case, a few values in one leaf, is a look along one list.
//! Any other number orders as well as that of a page: where subtrees are attached is kept so, too.
//!
//! All values are in leaves, all leaves equally deep. An inner node says of each child which page is its first, so that
//! what begins last before a page is found on one way down. Nodes are half full at least, all but the root; the root's
//! leaf stays when the last value goes.
//!
//! A map can be had once more at no cost ([`PageMap::share`]): both have the same nodes then, and whichever changes first
//! copies those on the way from the root to the leaf that changes ("Making Data Structures Persistent", Driscoll, Sarnak,
//! Sleator, Tarjan; STOC 1986). What a leaf holds that counts who holds it is told so by [`Copies`].
//!
//! Most changes concern one leaf and nothing above it. A [`Place`] is such a leaf, found once: what is there is looked at
//! to decide, and what was decided is done there.

use alloc::rc::Rc;

use crate::mem::block;
use crate::object::page_node::{Copies, Inner, LEAF_MOST, Leaf, Node, OWN, Row};

/// What a map of values takes of the kernel heap at worst besides [`entry_bytes`] for each, bytes.
pub const fn base_bytes<V>() -> u64 {
    let (leaf, inner) = (node_bytes::<Leaf<V>>(), node_bytes::<Inner<V>>());
    if leaf > inner { leaf } else { inner }
}

/// What a value takes at worst, bytes: its share of a leaf that is as empty as it can be, and that leaf's share of the
/// nodes above it. (A root that is no leaf is in `base_bytes`, and its leaves are not roots.)
pub const fn entry_bytes<V>() -> u64 {
    let (leaf, inner) = (node_bytes::<Leaf<V>>(), node_bytes::<Inner<V>>());
    let (values, children) = (Leaf::<V>::LEAST as u64, Inner::<V>::LEAST as u64);
    (leaf * (children - 1) + inner).div_ceil(values * (children - 1))
}

/// What a node takes, with the two counts that go with it, bytes.
pub(super) const fn node_bytes<T>() -> u64 {
    block::box_bytes::<(usize, usize, T)>()
}

/// For maps that share nothing with any other.
#[derive(Debug)]
pub struct Unshared;

impl<V> Copies<V> for Unshared {
    fn copy(&mut self, _: u64, _: &V) -> V {
        unreachable!("who shares a map says what becomes of its values")
    }
}

/// Values by page.
#[derive(Debug)]
pub struct PageMap<V> {
    pub(super) root: Option<Node<V>>,
    count: usize,
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
    /// The same map once more: what either has, the other has, until one of them changes.
    pub fn share(&self) -> PageMap<V> {
        PageMap { root: self.root.as_ref().map(Node::share), count: self.count }
    }

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

    /// Calls `each` for the values in the leaf that has the first one which begins at a page or behind it, unless it was visited with
    /// this number before; gives the page behind them.
    pub fn visit_once(&self, page: u64, number: u32, each: impl FnMut(&V)) -> Option<u64> {
        let (leaf, _) = self.root.as_ref()?.at_or_behind(page)?;
        if leaf.visited.replace(number) != number {
            leaf.items.iter().flatten().for_each(each);
        }
        Some(leaf.firsts[leaf.count - 1] + 1)
    }

    /// The leaf for a page; none if there never was a value, or if it or what is above it is shared with another map. Found fast
    /// where there are few.
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
            let row = Rc::get_mut(row)?;
            let at = row.child_of(page);
            node = &mut row.items[at];
        }
        let Some(Node::Leaf(leaf)) = node else { return None };
        Some((Rc::get_mut(leaf)?, &mut self.count))
    }

    /// The value that begins at a page, to be changed.
    #[inline(always)]
    pub fn get_mut(&mut self, page: u64, copies: &mut impl Copies<V>) -> Option<&mut V> {
        if self.is_shared(page) {
            self.copy_way(page, copies);
        }
        let place = self.place(page)?;
        if place.last()?.0 == page { place.last_mut() } else { None }
    }

    /// Puts a value in that begins at a page, where none does yet.
    #[inline(always)]
    pub fn insert(&mut self, page: u64, value: V, copies: &mut impl Copies<V>) {
        if let Some(place) = self.place_by_halves(page)
            && place.has_room()
        {
            return place.insert(page, value);
        }
        if self.root.is_none() {
            (self.root, self.count) = (Some(Node::Leaf(Row::of_one(page, value))), 1);
            return;
        }
        self.insert_growing(page, value, copies);
    }

    /// Takes the value out that begins at a page.
    #[inline(never)]
    pub fn remove(&mut self, page: u64, copies: &mut impl Copies<V>) -> Option<V> {
        let Some(place) = self.place_by_halves(page) else { return self.remove_shared(page, copies) };
        if place.last()?.0 != page {
            return None;
        }
        if place.can_spare() { Some(place.remove()) } else { self.remove_shrinking(page, copies) }
    }

    #[cold]
    #[inline(never)]
    fn remove_shared(&mut self, page: u64, copies: &mut impl Copies<V>) -> Option<V> {
        let is_there = self.at_or_before(page).is_some_and(|(first, _)| first == page);
        if is_there { self.remove_shrinking(page, copies) } else { None }
    }

    /// Whether another map has a node on the way to a page.
    pub fn is_shared(&self, page: u64) -> bool {
        let mut next = self.root.as_ref();
        while let Some(node) = next {
            if !node.is_own() {
                return true;
            }
            next = match node {
                Node::Leaf(_) => None,
                Node::Inner(row) => row.items[row.child_of(page)].as_ref(),
            };
        }
        false
    }

    #[cold]
    #[inline(never)]
    fn copy_way(&mut self, page: u64, copies: &mut impl Copies<V>) {
        let mut next = self.root.as_mut();
        while let Some(node) = next {
            node.make_own(copies);
            next = match node {
                Node::Leaf(_) => None,
                Node::Inner(row) => {
                    let row = Rc::get_mut(row).expect(OWN);
                    let at = row.child_of(page);
                    row.items[at].as_mut()
                }
            };
        }
    }

    /// Takes the values of the last leaf out, in order: who takes all out so moves none. What other maps have too is let go of
    /// without a look at it, and counts as taken out when all is. Gives whether there was anything.
    pub fn take_last_leaf(&mut self, mut each: impl FnMut(V)) -> bool {
        let leaf = match self.root.take() {
            Some(Node::Inner(mut inner)) => match Rc::get_mut(&mut inner) {
                Some(row) => {
                    let leaf = row.take_last();
                    self.root = Some(Node::Inner(inner));
                    leaf
                }
                None => None,
            },
            Some(Node::Leaf(leaf)) => Some(leaf),
            None => return false,
        };
        self.shrink_root();
        if let Some(mut leaf) = leaf
            && let Some(leaf) = Rc::get_mut(&mut leaf)
        {
            self.count -= leaf.count;
            leaf.items.iter_mut().map_while(Option::take).for_each(&mut each);
        }
        if self.root.is_none() {
            self.count = 0;
        }
        true
    }

    /// A root that is left with one child gives way to it.
    fn shrink_root(&mut self) {
        if let Some(Node::Inner(row)) = &mut self.root
            && let Some(row) = Rc::get_mut(row)
            && row.count <= 1
        {
            let only = row.items[0].take();
            self.root = only;
        }
    }

    #[inline(never)]
    fn insert_growing(&mut self, page: u64, value: V, copies: &mut impl Copies<V>) {
        self.count += 1;
        let Some(root) = &mut self.root else { return };
        let Some(right) = root.insert(page, value, copies) else { return };
        let mut above = Row::empty();
        let row = Rc::get_mut(&mut above).expect(OWN);
        for (at, node) in self.root.take().into_iter().chain([right]).enumerate() {
            row.insert(at, node.first(), node);
        }
        self.root = Some(Node::Inner(above));
    }

    #[inline(never)]
    fn remove_shrinking(&mut self, page: u64, copies: &mut impl Copies<V>) -> Option<V> {
        let value = self.root.as_mut()?.remove(page, copies)?;
        self.count -= 1;
        self.shrink_root();
        Some(value)
    }
}
