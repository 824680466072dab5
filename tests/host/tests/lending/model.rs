//! A naive model: one tree of nodes for each object, of capabilities and of what was done with them.

use tessera_abi::{Handle, Rights};
use tessera_kernel::object::id::{AttachPoint, MapTarget, ObjectRef, SpaceId, ThreadId};

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What {
    Capability { table: usize, handle: Handle, rights: Rights },
    Mapping { owner: MapTarget, first: u64, pages: u64, rights: Rights },
    Attachment { owner: MapTarget, place: AttachPoint },
    View { view: SpaceId },
    Inside { thread: ThreadId },
    Fallback { thread: ThreadId },
}

/// A capability, or a use of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) object: ObjectRef,
    pub(crate) what: What,
    pub(crate) badge: u64,
    /// The capability that it is below: of a use the one that its capability is below.
    pub(crate) parent: Option<usize>,
    pub(crate) is_gone: bool,
    /// Whether operations leave it alone.
    pub(crate) is_kept: bool,
}

/// All nodes that there ever were; names of nodes are their numbers.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) nodes: Vec<Node>,
    /// Views that exist, with what they show.
    pub(crate) views: Vec<SpaceId>,
}

impl Model {
    pub(crate) fn add(&mut self, object: ObjectRef, what: What, badge: u64, parent: Option<usize>) -> usize {
        self.nodes.push(Node { object, what, badge, parent, is_gone: false, is_kept: false });
        self.nodes.len() - 1
    }

    /// A use of a capability is its sibling.
    pub(crate) fn lend(&mut self, through: usize, what: What) -> usize {
        let Node { object, badge, parent, .. } = self.nodes[through];
        self.add(object, what, badge, parent)
    }

    pub(crate) fn there(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate().filter(|(_, node)| !node.is_gone)
    }

    pub(crate) fn find(&self, is_meant: impl Fn(&Node) -> bool) -> Option<usize> {
        self.there().find(|(_, node)| is_meant(node)).map(|(number, _)| number)
    }

    pub(crate) fn inside(&self, thread: ThreadId) -> Option<usize> {
        self.find(|node| node.what == What::Inside { thread })
    }

    pub(crate) fn fallback(&self, thread: ThreadId) -> Option<usize> {
        self.find(|node| node.what == What::Fallback { thread })
    }

    /// The space that a thread is in.
    pub(crate) fn space_of(&self, thread: ThreadId) -> Option<ObjectRef> {
        self.inside(thread).map(|inside| self.nodes[inside].object)
    }

    /// The capability that a handle in a table names.
    pub(crate) fn named(&self, table: usize, handle: Handle) -> Option<usize> {
        self.find(|node| matches!(node.what, What::Capability { table: t, handle: h, .. } if (t, h) == (table, handle)))
    }

    /// A node goes; what is below it is its parent's from here on.
    pub(crate) fn remove(&mut self, number: usize) {
        let parent = self.nodes[number].parent;
        self.nodes[number].is_gone = true;
        self.nodes.iter_mut().filter(|node| node.parent == Some(number)).for_each(|node| node.parent = parent);
    }

    /// Puts one use beside another.
    pub(crate) fn stand_beside(&mut self, number: usize, other: usize) {
        let Node { object, parent, badge, .. } = self.nodes[other];
        let node = &mut self.nodes[number];
        (node.object, node.parent, node.badge) = (object, parent, badge);
    }

    /// A thread is in a space by a capability: another use than that by which it was in one before.
    pub(crate) fn enter(&mut self, thread: ThreadId, through: usize) -> usize {
        let before = self.inside(thread).expect("a thread that acts is somewhere");
        self.remove(before);
        self.lend(through, What::Inside { thread })
    }

    /// A thread has ended.
    pub(crate) fn end_thread(&mut self, thread: ThreadId) {
        for number in [self.inside(thread), self.fallback(thread)].into_iter().flatten() {
            self.remove(number);
        }
    }

    pub(crate) fn set_fallback(&mut self, thread: ThreadId, through: Option<usize>) {
        if let Some(before) = self.fallback(thread) {
            self.remove(before);
        }
        if let Some(through) = through {
            self.lend(through, What::Fallback { thread });
        }
    }

    /// A thread has to leave where it is; gives whether it has ended.
    pub(crate) fn evict(&mut self, thread: ThreadId) -> bool {
        let (inside, fallback) = (self.inside(thread).expect("it is somewhere"), self.fallback(thread));
        let landing = fallback.filter(|fallback| self.nodes[*fallback].object != self.nodes[inside].object);
        match landing {
            Some(fallback) => self.stand_beside(inside, fallback),
            None => self.end_thread(thread),
        }
        landing.is_none()
    }

    /// All that is below a capability, in no order.
    pub(crate) fn below(&self, number: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut open = vec![number];
        while let Some(parent) = open.pop() {
            let children: Vec<usize> =
                self.there().filter(|(_, node)| node.parent == Some(parent)).map(|(child, _)| child).collect();
            found.extend(&children);
            open.extend(children);
        }
        found
    }

    /// What revoking takes back: all that is below a capability, or of that which has a badge, and of views among that
    /// all that there is of them.
    pub(crate) fn victims(&self, from: usize, badge: Option<u64>) -> Vec<usize> {
        let direct = self.there().filter(|(_, node)| node.parent == Some(from));
        let direct = direct.filter(|(_, node)| badge.is_none_or(|badge| node.badge == badge));
        let mut victims: Vec<usize> = Vec::new();
        let mut open: Vec<usize> = direct.map(|(number, _)| number).collect();
        while let Some(number) = open.pop() {
            if victims.contains(&number) {
                continue;
            }
            victims.push(number);
            open.extend(self.there().filter(|(_, node)| node.parent == Some(number)).map(|(child, _)| child));
            if let What::View { view } = self.nodes[number].what {
                let of_view = self.there().filter(|(_, node)| node.object == ObjectRef::Space(view));
                open.extend(of_view.map(|(other, _)| other));
            }
        }
        victims
    }

    /// Views that no capability names any more go: who is in one goes elsewhere, nobody falls back to it, and views of it
    /// are lent by whoever lent it. Gives the threads that have ended by that.
    pub(crate) fn collect(&mut self) -> Vec<ThreadId> {
        let mut ended = Vec::new();
        while let Some(view) = self.views.iter().copied().find(|view| !self.is_named(ObjectRef::Space(*view))) {
            self.views.retain(|other| *other != view);
            let own = self.find(|node| node.what == What::View { view });
            let of_view: Vec<usize> = self
                .there()
                .filter(|(_, node)| node.object == ObjectRef::Space(view))
                .map(|(number, _)| number)
                .collect();
            // Threads first: they land in what exists still.
            for number in &of_view {
                if let What::Inside { thread } = self.nodes[*number].what
                    && self.evict(thread)
                {
                    ended.push(thread);
                }
            }
            for number in of_view {
                match (self.nodes[number].what, own) {
                    _ if self.nodes[number].is_gone => {}
                    (What::View { .. }, Some(own)) => self.stand_beside(number, own),
                    (What::Fallback { .. }, _) => self.remove(number),
                    _ if self.nodes[number].object == ObjectRef::Space(view) => panic!("{:?}", self.nodes[number]),
                    _ => {}
                }
            }
            own.into_iter().for_each(|own| self.remove(own));
        }
        ended
    }

    fn is_named(&self, object: ObjectRef) -> bool {
        self.find(|node| node.object == object && matches!(node.what, What::Capability { .. })).is_some()
    }

    /// What is mapped in a space or subtree.
    pub(crate) fn mappings(&self, target: MapTarget) -> Vec<usize> {
        let is_there = |node: &Node| matches!(node.what, What::Mapping { owner, .. } if owner == target);
        self.there().filter(|(_, node)| is_there(node)).map(|(number, _)| number).collect()
    }

    /// What is attached to it.
    pub(crate) fn attachments(&self, target: MapTarget) -> Vec<usize> {
        let is_there = |node: &Node| matches!(node.what, What::Attachment { owner, .. } if owner == target);
        self.there().filter(|(_, node)| is_there(node)).map(|(number, _)| number).collect()
    }

    /// Cuts pages out of a mapping: what is before and behind them stays, as mappings of the same capability. Gives the
    /// node of what was cut out.
    pub(crate) fn cut(&mut self, number: usize, start: u64, count: u64) -> usize {
        let node = self.nodes[number];
        let What::Mapping { owner, first, pages, rights } = node.what else { panic!("{node:?} is no mapping") };
        let end = start + count;
        for (first, pages) in [(first, start - first), (end, first + pages - end)] {
            if pages != 0 {
                self.add(node.object, What::Mapping { owner, first, pages, rights }, node.badge, node.parent);
            }
        }
        self.nodes[number].what = What::Mapping { owner, first: start, pages: count, rights };
        number
    }
}
