//! Nodes of a [`PageMap`](super::page_map::PageMap): values, or children, in the order of their first pages. Maps may share them.

use alloc::rc::Rc;
use core::cell::Cell;

/// Values in a leaf, at most: few, as putting one in moves those behind it. One less than a power of two, as they may be
/// searched by halves.
pub(super) const LEAF_MOST: usize = 7;

/// Children of an inner node, at most: many, so that there are few levels. A power of two, as they are searched by halves.
pub(super) const INNER_MOST: usize = 32;

/// The page of an entry that is not in use: behind all others.
const NO_PAGE: u64 = u64::MAX;

/// Makes of a value in a leaf the one that stands in a copy of that leaf.
pub trait Copies<V> {
    /// The copy of a value that begins at a page.
    fn copy(&mut self, page: u64, value: &V) -> V;
}

/// A node, and what hangs from it; perhaps shared with other maps.
#[derive(Debug)]
pub(super) enum Node<V> {
    Leaf(Rc<Leaf<V>>),
    Inner(Rc<Inner<V>>),
}

pub(super) type Leaf<V> = Row<V, LEAF_MOST>;
pub(super) type Inner<V> = Row<Node<V>, INNER_MOST>;

/// A node: values, or children, in order of their first pages; so many at most.
#[derive(Debug)]
pub(super) struct Row<T, const MOST: usize> {
    pub(super) count: usize,
    pub(super) firsts: [u64; MOST],
    pub(super) items: [Option<T>; MOST],
    /// The number of the last visit to all maps that came by here: what they have in common is visited once.
    pub(super) visited: Cell<u32>,
}

impl<V> Node<V> {
    pub(super) fn first(&self) -> u64 {
        match self {
            Node::Leaf(row) => row.firsts[0],
            Node::Inner(row) => row.firsts[0],
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Node::Leaf(row) => row.count == 0,
            Node::Inner(row) => row.count == 0,
        }
    }

    /// Whether it has as many values or children as any but the root must have.
    pub(super) fn is_enough(&self) -> bool {
        match self {
            Node::Leaf(row) => row.count >= Leaf::<V>::LEAST,
            Node::Inner(row) => row.count >= Inner::<V>::LEAST,
        }
    }

    /// Where the first value is that begins at a page or behind it.
    pub(super) fn at_or_behind(&self, page: u64) -> Option<(&Leaf<V>, usize)> {
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

    /// The same node once more.
    pub(super) fn share(&self) -> Node<V> {
        match self {
            Node::Leaf(row) => Node::Leaf(Rc::clone(row)),
            Node::Inner(row) => Node::Inner(Rc::clone(row)),
        }
    }

    /// Whether no other map has it.
    pub(super) fn is_own(&self) -> bool {
        match self {
            Node::Leaf(row) => Rc::strong_count(row) == 1,
            Node::Inner(row) => Rc::strong_count(row) == 1,
        }
    }

    /// Sees that no other map has it: whoever has it keeps it, and this is a copy then.
    pub(super) fn make_own(&mut self, copies: &mut impl Copies<V>) {
        if self.is_own() {
            return;
        }
        *self = match self {
            Node::Leaf(row) => Node::Leaf(row.copied(|page, value| copies.copy(page, value))),
            Node::Inner(row) => Node::Inner(row.copied(|_, child| child.share())),
        };
    }

    /// Puts a value in; gives the node to the right that half of this one went to, if it was full.
    pub(super) fn insert(&mut self, page: u64, value: V, copies: &mut impl Copies<V>) -> Option<Node<V>> {
        self.make_own(copies);
        match self {
            Node::Leaf(row) => {
                let row = Rc::get_mut(row).expect(OWN);
                row.insert_splitting(row.count_until(page), page, value).map(Node::Leaf)
            }
            Node::Inner(row) => {
                let row = Rc::get_mut(row).expect(OWN);
                let at = row.child_of(page);
                let child = row.items[at].as_mut()?;
                let right = child.insert(page, value, copies);
                row.firsts[at] = child.first();
                let right = right?;
                row.insert_splitting(at + 1, right.first(), right).map(Node::Inner)
            }
        }
    }

    pub(super) fn remove(&mut self, page: u64, copies: &mut impl Copies<V>) -> Option<V> {
        self.make_own(copies);
        match self {
            Node::Leaf(row) => {
                let row = Rc::get_mut(row).expect(OWN);
                row.place_of(page).map(|at| row.remove(at))
            }
            Node::Inner(row) => {
                let row = Rc::get_mut(row).expect(OWN);
                let at = row.child_of(page);
                let child = row.items[at].as_mut()?;
                let value = child.remove(page, copies)?;
                let is_enough = child.is_enough();
                row.firsts[at] = child.first();
                if !is_enough {
                    row.refill(at);
                }
                Some(value)
            }
        }
    }

    /// Makes two neighbours one, or lets the emptier have one of the other's; gives whether they are one. They are the map's own.
    pub(super) fn join(&mut self, right: &mut Node<V>) -> bool {
        match (self, right) {
            (Node::Leaf(left), Node::Leaf(right)) => Rc::get_mut(left).expect(OWN).join(Rc::get_mut(right).expect(OWN)),
            (Node::Inner(left), Node::Inner(right)) => {
                Rc::get_mut(left).expect(OWN).join(Rc::get_mut(right).expect(OWN))
            }
            _ => unreachable!("all leaves are equally deep"),
        }
    }
}

impl<V> Leaf<V> {
    /// The same as `count_until`; it takes as long for many values as for few.
    #[inline(always)]
    pub(super) fn count_by_halves(&self, page: u64) -> usize {
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
    pub(super) fn child_of(&self, page: u64) -> usize {
        let mut at = 0;
        for half in [16, 8, 4, 2, 1] {
            if self.firsts[at + half] <= page {
                at += half;
            }
        }
        at
    }

    /// Takes the last leaf below out, of which there is more than one; or, of what it shares with another map, all that hangs
    /// from the last child. The children that are left have enough.
    pub(super) fn take_last(&mut self) -> Option<Rc<Leaf<V>>> {
        let last = self.count - 1;
        if let Some(Node::Inner(child)) = &mut self.items[last]
            && let Some(child) = Rc::get_mut(child)
        {
            let leaf = child.take_last();
            if child.count < Self::LEAST {
                self.refill(last);
            }
            return leaf;
        }
        match self.remove(last) {
            Node::Leaf(leaf) => Some(leaf),
            Node::Inner(_) => None,
        }
    }

    /// Sees that a child which became too empty has enough, with a neighbour's help. If another map has the neighbour as well, the
    /// child stays as it is, or goes when nothing is left in it: taking out takes no memory.
    pub(super) fn refill(&mut self, at: usize) {
        let left = at.saturating_sub(1);
        if let [Some(one), Some(other)] = &mut self.items[left..left + 2]
            && one.is_own()
            && other.is_own()
        {
            if one.join(other) {
                self.remove(left + 1);
            } else {
                self.firsts[left + 1] = other.first();
            }
        } else if self.items[at].as_ref().is_some_and(Node::is_empty) {
            self.remove(at);
        }
    }
}

impl<T, const MOST: usize> Row<T, MOST> {
    /// As many items at least, but in the root.
    pub(super) const LEAST: usize = MOST / 2;

    pub(super) fn empty() -> Rc<Row<T, MOST>> {
        Rc::new(Row { count: 0, firsts: [NO_PAGE; MOST], items: [const { None }; MOST], visited: Cell::new(0) })
    }

    /// A row of one item.
    #[inline(always)]
    pub(super) fn of_one(first: u64, item: T) -> Rc<Row<T, MOST>> {
        let (mut firsts, mut items) = ([NO_PAGE; MOST], [const { None }; MOST]);
        (firsts[0], items[0]) = (first, Some(item));
        Rc::new(Row { count: 1, firsts, items, visited: Cell::new(0) })
    }

    /// The same row once more, with items that `copy` makes of these.
    pub(super) fn copied(&self, mut copy: impl FnMut(u64, &T) -> T) -> Rc<Row<T, MOST>> {
        let items = core::array::from_fn(|at| self.items[at].as_ref().map(|item| copy(self.firsts[at], item)));
        Rc::new(Row { count: self.count, firsts: self.firsts, items, visited: Cell::new(0) })
    }

    /// How many items begin at a page or before it.
    #[inline(always)]
    pub(super) fn count_until(&self, page: u64) -> usize {
        self.firsts.iter().position(|first| *first > page).unwrap_or(MOST)
    }

    /// An item, and where it begins.
    #[inline(always)]
    pub(super) fn item(&self, at: usize) -> Option<(u64, &T)> {
        Some((self.firsts[at], self.items.get(at)?.as_ref()?))
    }

    #[inline(always)]
    pub(super) fn place_of(&self, page: u64) -> Option<usize> {
        self.count_until(page).checked_sub(1).filter(|at| self.firsts[*at] == page)
    }

    /// Puts an item in; there is room.
    #[inline(always)]
    pub(super) fn insert(&mut self, at: usize, first: u64, item: T) {
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
    pub(super) fn insert_splitting(&mut self, at: usize, first: u64, item: T) -> Option<Rc<Row<T, MOST>>> {
        if self.count < MOST {
            self.insert(at, first, item);
            return None;
        }
        let (mut whole, kept) = (Row::empty(), MOST - Self::LEAST);
        let right = Rc::get_mut(&mut whole).expect(NEW);
        for number in 0..Self::LEAST {
            let first = self.firsts[kept];
            right.insert(number, first, self.remove(kept));
        }
        if at <= kept {
            self.insert(at, first, item)
        } else {
            right.insert(at - kept, first, item)
        }
        Some(whole)
    }

    /// Takes an item out that is there.
    #[inline(always)]
    pub(super) fn remove(&mut self, at: usize) -> T {
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

    pub(super) fn join(&mut self, right: &mut Row<T, MOST>) -> bool {
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

const NEW: &str = "nobody else has a new row";

pub(super) const OWN: &str = "a node that was copied, or is new, is nobody else's";
