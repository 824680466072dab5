//! What clones should hold, kept naively: each space is a plain map from page to what is there and what it allows.

use std::collections::{BTreeMap, BTreeSet};

use tessera_abi::Rights;

/// What is behind a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// A segment's page; whether it is copied when it is written to, and whether it never will be.
    Segment { segment: usize, page: u64, is_copied: bool, is_pinned: bool },
    /// A page of the space's own, with this in it.
    Own(u64),
}

/// A page of a space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(crate) behind: Behind,
    pub(crate) rights: Rights,
    /// Whether nothing lets it be written.
    pub(crate) is_frozen: bool,
    /// The segment that it was lent of, if it can be taken back.
    pub(crate) lent: Option<usize>,
}

/// A space: what it shows, and which pages were copied and written to since it was cloned last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Space(pub(crate) BTreeMap<u64, Page>, pub(crate) BTreeSet<u64>);

/// What is in the pages of segments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segments(BTreeMap<(usize, u64), u64>);

impl Page {
    fn is_pinned(&self) -> bool {
        matches!(self.behind, Behind::Segment { is_pinned: true, .. })
    }
}

impl Space {
    pub(crate) fn is_free(&self, first: u64, pages: u64) -> bool {
        self.0.range(first..first + pages).next().is_none()
    }

    pub(crate) fn is_mapped(&self, first: u64, pages: u64) -> bool {
        self.0.range(first..first + pages).count() as u64 == pages
    }

    pub(crate) fn map(
        &mut self,
        first: u64,
        (segment, offset): (usize, u64),
        pages: u64,
        (rights, is_lent): (Rights, bool),
    ) {
        let lent = is_lent.then_some(segment);
        for number in 0..pages {
            let behind = Behind::Segment { segment, page: offset + number, is_copied: false, is_pinned: false };
            self.0.insert(first + number, Page { behind, rights, is_frozen: false, lent });
        }
    }

    pub(crate) fn unmap(&mut self, first: u64, pages: u64) {
        self.0.retain(|page, _| !(first..first + pages).contains(page));
        self.1.retain(|page| !(first..first + pages).contains(page));
    }

    /// What was lent of a segment is taken back.
    pub(crate) fn take_back(&mut self, segment: usize) {
        let Space(pages, written) = self;
        pages.retain(|_, page| page.lent != Some(segment));
        written.retain(|page| pages.contains_key(page));
    }

    pub(crate) fn protect(&mut self, first: u64, pages: u64, rights: Rights) {
        self.0.range_mut(first..first + pages).for_each(|(_, page)| page.rights = rights);
    }

    /// What both have from now on.
    pub(crate) fn clone_it(&mut self, is_frozen: bool) -> Space {
        for page in self.0.values_mut() {
            if let Behind::Segment { is_copied, is_pinned: false, .. } = &mut page.behind {
                *is_copied = true;
            }
        }
        self.1.clear();
        let mut clone = self.clone();
        for page in clone.0.values_mut().filter(|page| !page.is_pinned()) {
            page.is_frozen |= is_frozen;
            if is_frozen {
                page.rights -= Rights::WRITE;
            }
        }
        clone
    }

    /// Pins pages; gives whether they could be.
    pub(crate) fn pin(&mut self, first: u64, pages: u64) -> bool {
        let is_copied = |page: &Page| !matches!(page.behind, Behind::Segment { is_copied: false, .. });
        let range = first..first + pages;
        if self.0.range(range.clone()).any(|(_, page)| is_copied(page)) {
            return false;
        }
        for (_, page) in self.0.range_mut(range) {
            if let Behind::Segment { is_pinned, .. } = &mut page.behind {
                *is_pinned = true;
            }
        }
        true
    }

    pub(crate) fn is_frozen(&self, first: u64, pages: u64) -> bool {
        self.0.range(first..first + pages).any(|(_, page)| page.is_frozen)
    }

    pub(crate) fn read(&self, segments: &Segments, page: u64) -> Option<u64> {
        Some(match self.0.get(&page)?.behind {
            Behind::Own(value) => value,
            Behind::Segment { segment, page, .. } => segments.0.get(&(segment, page)).copied().unwrap_or(0),
        })
    }

    /// Gives whether it may be written to.
    pub(crate) fn write(&mut self, segments: &mut Segments, page: u64, value: u64) -> bool {
        let number = page;
        let Some(page) = self.0.get_mut(&page).filter(|page| page.rights.contains(Rights::WRITE)) else { return false };
        match page.behind {
            Behind::Segment { segment, page, is_copied: false, .. } => {
                segments.0.insert((segment, page), value);
            }
            _ => {
                page.behind = Behind::Own(value);
                self.1.insert(number);
            }
        }
        true
    }
}
