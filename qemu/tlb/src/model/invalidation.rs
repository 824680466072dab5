//! Which entries of a CPU an invalidation concerns.

use super::array::Entry;
use super::event::{Invalidation, WalkEntries};
use super::owner::{Owner, Reader};

/// An invalidation as a condition on entries.
pub(super) struct Concerned {
    /// Whose entries; everybody's if nobody is named.
    who: Option<Reader>,
    globals: bool,
    /// The first and the last address.
    first: u64,
    last: u64,
    walk_entries: WalkEntries,
}

impl Concerned {
    /// What `invalidation` concerns; `subscriptions` gives the shared spaces of a tag.
    pub(super) fn by(invalidation: Invalidation, subscriptions: impl Fn(u16) -> u64) -> Concerned {
        let everywhere = |who, globals| {
            let (first, last) = (0, u64::MAX);
            Concerned { who, globals, first, last, walk_entries: WalkEntries::OfAddress }
        };
        // A shared space's page goes when it is invalidated for one subscriber: the kernel says that it has changed. When
        // all of a tag goes, others still use what it shared with them.
        let subscriber = |tag: Option<u16>| tag.map(|tag| Reader::new(tag, subscriptions(tag)));
        match invalidation {
            Invalidation::All { globals } => everywhere(None, globals),
            Invalidation::Tag(tag) => everywhere(Some(Reader::new(tag, 0)), false),
            Invalidation::Page { tag, address, globals, walk_entries } => {
                let globals = globals || tag.is_none();
                Concerned { who: subscriber(tag), globals, first: address, last: address, walk_entries }
            }
            Invalidation::Range { tag, start, bytes, walk_entries } => {
                let last = start.saturating_add(bytes.saturating_sub(1));
                Concerned { who: subscriber(tag), globals: true, first: start, last, walk_entries }
            }
        }
    }

    /// Whether it concerns an entry of a TLB.
    pub(super) fn translation(&self, entry: &Entry) -> bool {
        self.owner(entry.owner) && entry.overlaps(self.first, self.last)
    }

    /// Whether it concerns an entry of a walk cache.
    pub(super) fn walk_entry(&self, entry: &Entry) -> bool {
        match self.walk_entries {
            WalkEntries::Keep => false,
            WalkEntries::OfAddress => self.translation(entry),
            WalkEntries::OfTag => self.owner(entry.owner),
        }
    }

    /// Whether it concerns a walk cache entry of `tag` for the addresses from `first` to `last`.
    pub(super) fn walk_entry_of(&self, tag: u16, first: u64, last: u64) -> bool {
        let reached = match self.walk_entries {
            WalkEntries::Keep => false,
            WalkEntries::OfAddress => first <= self.last && self.first <= last,
            WalkEntries::OfTag => true,
        };
        reached && self.who.is_none_or(|reader| reader.is(tag))
    }

    fn owner(&self, owner: Owner) -> bool {
        if owner == Owner::GLOBAL { self.globals } else { self.who.is_none_or(|reader| reader.may_use(owner)) }
    }
}
