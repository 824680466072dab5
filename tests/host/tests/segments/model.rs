//! What segments and spaces should hold, kept naively: a plain map from page to value, and one from page to what is there.

use std::collections::{BTreeMap, BTreeSet};

use tessera_abi::Rights;

/// A page of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) segment: usize,
    pub(crate) page: u64,
    pub(crate) rights: Rights,
    /// Whether it is copied when it is written to, and what is in the copy, if there is one.
    pub(crate) is_private: bool,
    pub(crate) own: Option<u64>,
    /// Whether it was mapped through a capability that can be taken back.
    pub(crate) is_derived: bool,
    /// Which mapping it was made as part of.
    pub(crate) mapping: u64,
}

/// A segment: how long it is, which pages have memory, and what is in them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    pub(crate) pages: u64,
    pub(crate) present: BTreeSet<u64>,
    pub(crate) values: BTreeMap<u64, u64>,
}

/// A space or subtree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Space(pub(crate) BTreeMap<u64, Page>);

impl Segment {
    pub(crate) fn discard(&mut self, first: u64, pages: u64) {
        self.present.retain(|page| !(first..first + pages).contains(page));
        self.values.retain(|page, _| !(first..first + pages).contains(page));
    }
}

impl Space {
    pub(crate) fn is_free(&self, first: u64, pages: u64) -> bool {
        self.0.range(first..first + pages).next().is_none()
    }

    pub(crate) fn is_mapped(&self, first: u64, pages: u64) -> bool {
        self.0.range(first..first + pages).count() as u64 == pages
    }

    pub(crate) fn unmap(&mut self, first: u64, pages: u64) {
        self.0.retain(|page, _| !(first..first + pages).contains(page));
    }

    pub(crate) fn take(&self, first: u64, pages: u64) -> Vec<(u64, Page)> {
        self.0.range(first..first + pages).map(|(page, what)| (page - first, *what)).collect()
    }

    /// What a load finds, which brings memory where there is none.
    pub(crate) fn read(&self, segments: &[Segment], page: u64) -> Option<u64> {
        let page = self.0.get(&page)?;
        Some(page.own.unwrap_or_else(|| segments[page.segment].values.get(&page.page).copied().unwrap_or(0)))
    }

    /// Gives whether it may be written to.
    pub(crate) fn write(&mut self, segments: &mut [Segment], page: u64, value: u64) -> bool {
        let Some(page) = self.0.get_mut(&page).filter(|page| page.rights.contains(Rights::WRITE)) else { return false };
        if page.is_private {
            page.own = Some(value);
        } else {
            segments[page.segment].values.insert(page.page, value);
            segments[page.segment].present.insert(page.page);
        }
        true
    }
}
