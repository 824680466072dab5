//! One CPU: what it holds, and what an event does to that.

use super::array::{EXECUTE, Entry, Page, WRITE};
use super::event::{Access, Invalidation, Walk};
use super::figures::Figures;
use super::invalidation::Concerned;
use super::level::Level;
use super::owner::{Owner, Reader};
use super::profile::Profile;
use super::sharing::{Shared, Sharing};

/// The CPU.
pub(super) struct Cpu {
    instruction: Level,
    data: Level,
    second: Level,
    /// The second level for fetches, if it is not the one for all.
    second_instruction: Option<Level>,
    walk_caches: Level,
    /// For hardware that knows shared spaces.
    sharing: Option<Sharing>,
    /// Who made the last access.
    reader: Reader,
    /// Tag and root as last written.
    root: Option<(u16, u64)>,
    pub(super) figures: Figures,
}

impl Cpu {
    pub(super) fn new(profile: &Profile) -> Cpu {
        let own = &profile.second_level_instruction;
        Cpu {
            instruction: Level::new(&profile.instruction),
            data: Level::new(&profile.data),
            second: Level::new(&profile.second_level),
            second_instruction: (!own.is_empty()).then(|| Level::new(own)),
            walk_caches: Level::new(&profile.walk_caches),
            sharing: (profile.shared_spaces > 0).then(|| Sharing::new(profile.shared_spaces)),
            reader: Reader::new(0, 0),
            root: None,
            figures: Figures::default(),
        }
    }

    /// See [`super::Model::access`].
    #[inline(always)]
    pub(super) fn access(&mut self, access: Access, tag: u16, address: u64, walker: impl FnOnce() -> Walk) {
        if !self.reader.is(tag) {
            self.read_as(tag);
        }
        let (first, needs, count) = match access {
            Access::Fetch => (&mut self.instruction, EXECUTE, &mut self.figures.fetches),
            Access::Load => (&mut self.data, 0, &mut self.figures.loads),
            Access::Store => (&mut self.data, WRITE, &mut self.figures.stores),
        };
        *count += 1;
        if first.lookup(address, self.reader, needs).is_none() {
            self.miss(access, tag, address, needs, walker);
        }
    }

    #[inline(never)]
    fn miss(&mut self, access: Access, tag: u16, address: u64, needs: u8, walker: impl FnOnce() -> Walk) {
        let fetch = access == Access::Fetch;
        *if fetch { &mut self.figures.instruction_misses } else { &mut self.figures.data_misses } += 1;
        let second = self.second_instruction.as_mut().filter(|_| fetch).unwrap_or(&mut self.second);
        let held = second.lookup(address, self.reader, needs);
        let Some(page) = held.or_else(|| self.walk(tag, address, needs, fetch, &walker())) else { return };
        let first = if fetch { &mut self.instruction } else { &mut self.data };
        first.insert(&page);
    }

    /// Does what a walk does to the caches behind the first level; returns what the first level gets.
    fn walk(&mut self, tag: u16, address: u64, needs: u8, fetch: bool, walk: &Walk) -> Option<Page> {
        let shared = self.observe(tag, address, walk);
        let span = |depth: u8| walk.table(depth).1;
        let mut depths = (1..walk.references).rev();
        let known = depths.find(|&depth| self.walk_caches.lookup_sized(address, span(depth), self.reader)).unwrap_or(0);
        self.figures.walks += 1;
        self.figures.saved_references += u64::from(known);
        self.figures.walk_references += u64::from(walk.references - known);
        let owner = |depth: u8| match shared {
            Some(shared) if depth >= shared.depth => Owner::shared(shared.space),
            _ => Owner::tag(tag),
        };
        for depth in known + 1..walk.references {
            let page = Page { address, bits: span(depth), owner: owner(depth), rights: 0 };
            self.walk_caches.insert_sized(&page);
        }
        let Some(found) = walk.result else {
            self.figures.failed_walks += 1;
            return None;
        };
        let owner = if found.global { Owner::GLOBAL } else { owner(walk.references) };
        // The access has happened, so it was allowed.
        let rights = needs | if found.writable { WRITE } else { 0 } | if found.executable { EXECUTE } else { 0 };
        let page = Page { address, bits: found.page_bits, owner, rights };
        let second = self.second_instruction.as_mut().filter(|_| fetch).unwrap_or(&mut self.second);
        second.insert(&page);
        Some(page)
    }

    fn observe(&mut self, tag: u16, address: u64, walk: &Walk) -> Option<Shared> {
        let observed = self.sharing.as_mut()?.observe(tag, address, walk);
        self.desert(observed.deserted);
        let (place, joined) = observed.joined;
        for tag in joined {
            self.drop_where(|entry| entry.owner == Owner::tag(tag) && entry.is_within(place));
        }
        self.read_as(tag);
        observed.shared
    }

    /// See [`super::Model::switch_root`].
    pub(super) fn switch_root(&mut self, tag: u16, root: u64, flush: bool) {
        let counts = &mut self.figures;
        *if flush { &mut counts.flushing_root_writes } else { &mut counts.root_writes } += 1;
        counts.repeated_root_writes += u64::from(self.root == Some((tag, root)));
        self.root = Some((tag, root));
        if flush {
            self.drop(Invalidation::Tag(tag));
        }
    }

    /// Counts an invalidation that this CPU orders.
    pub(super) fn count(&mut self, invalidation: Invalidation) {
        *match invalidation {
            Invalidation::All { .. } => &mut self.figures.invalidations_of_all,
            Invalidation::Tag(_) => &mut self.figures.invalidations_of_tag,
            Invalidation::Page { .. } => &mut self.figures.invalidations_of_page,
            Invalidation::Range { .. } => &mut self.figures.invalidations_of_range,
        } += 1;
    }

    /// Drops what an invalidation concerns, whoever ordered it.
    pub(super) fn drop(&mut self, invalidation: Invalidation) {
        let sharing = self.sharing.as_ref();
        let concerned = Concerned::by(invalidation, |tag| sharing.map_or(0, |sharing| sharing.subscriptions(tag)));
        let mut dropped = self.walk_caches.drop_where(|entry| concerned.walk_entry(entry));
        for level in self.levels() {
            dropped += level.drop_where(|entry| concerned.translation(entry));
        }
        self.figures.entries_dropped += dropped;
        if let Some(sharing) = &mut self.sharing {
            let deserted = sharing.forget(&concerned);
            self.desert(deserted);
            // The reader's subscriptions may have changed.
            self.reader = Reader::new(0, self.sharing.as_ref().map_or(0, |sharing| sharing.subscriptions(0)));
        }
    }

    /// Drops the entries of shared spaces without subscribers, whose numbers will be used anew.
    fn desert(&mut self, spaces: u64) {
        if spaces == 0 {
            return;
        }
        let reader = Reader::new(0, spaces);
        self.figures.entries_dropped += self.drop_where(|entry| reader.subscribes(entry.owner));
    }

    /// Drops entries of TLBs and walk caches alike; returns how many.
    fn drop_where(&mut self, condition: impl Fn(&Entry) -> bool) -> u64 {
        let walk_entries = self.walk_caches.drop_where(&condition);
        walk_entries + self.levels().map(|level| level.drop_where(&condition)).sum::<u64>()
    }

    fn levels(&mut self) -> impl Iterator<Item = &mut Level> {
        [&mut self.instruction, &mut self.data, &mut self.second].into_iter().chain(&mut self.second_instruction)
    }

    fn read_as(&mut self, tag: u16) {
        self.reader = Reader::new(tag, self.sharing.as_ref().map_or(0, |sharing| sharing.subscriptions(tag)));
    }
}
