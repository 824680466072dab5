//! One space's or subtree's mappings.

use std::collections::BTreeSet;

use tessera_abi::{Error, PAGE_BYTES, Rights};

/// Pages mapped by one call, or what later calls left of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first page.
    pub first: u64,
    /// How many.
    pub pages: u64,
    /// Number of the segment in the world.
    pub segment: usize,
    /// The segment's page that the first one shows.
    pub offset: u64,
    /// What is allowed.
    pub rights: Rights,
    /// What `protect` may allow.
    pub maximum: Rights,
}

impl Extent {
    /// The first page behind.
    pub fn end(&self) -> u64 {
        self.first + self.pages
    }
}

/// A naive address map.
#[derive(Clone, Debug)]
pub struct Map {
    /// In order of address.
    pub extents: Vec<Extent>,
    /// Mapped pages that no table shows, because they had no memory when they were mapped.
    pub hidden: BTreeSet<u64>,
    start_bytes: u64,
    end_bytes: u64,
}

impl Map {
    /// Nothing mapped between these addresses.
    pub fn new(start_bytes: u64, end_bytes: u64) -> Map {
        Map { extents: Vec::new(), hidden: BTreeSet::new(), start_bytes, end_bytes }
    }

    /// Reads a range of bytes as pages: the errors that apply, or first page and count.
    ///
    /// # Errors
    /// `Misaligned`, `BadAddress`.
    pub fn range(&self, address: u64, length_bytes: u64) -> Result<(u64, u64), Vec<Error>> {
        let mut errors = Vec::new();
        if !address.is_multiple_of(PAGE_BYTES) || !length_bytes.is_multiple_of(PAGE_BYTES) {
            errors.push(Error::Misaligned);
        }
        let end = u128::from(address) + u128::from(length_bytes);
        if length_bytes == 0 || address < self.start_bytes || end > u128::from(self.end_bytes) {
            errors.push(Error::BadAddress);
        }
        if errors.is_empty() { Ok((address / PAGE_BYTES, length_bytes / PAGE_BYTES)) } else { Err(errors) }
    }

    /// What covers a page.
    pub fn at(&self, page: u64) -> Option<&Extent> {
        self.extents.iter().find(|extent| extent.first <= page && page < extent.end())
    }

    /// Whether anything is mapped in a range.
    pub fn meets(&self, first: u64, count: u64) -> bool {
        self.extents.iter().any(|extent| extent.first < first + count && first < extent.end())
    }

    /// Whether everything is mapped in a range.
    pub fn covers(&self, first: u64, count: u64) -> bool {
        let within = |extent: &Extent| extent.end().min(first + count).saturating_sub(extent.first.max(first));
        self.extents.iter().map(within).sum::<u64>() == count
    }

    /// What lies in a range.
    pub fn within(&self, first: u64, count: u64) -> impl Iterator<Item = &Extent> {
        self.extents.iter().filter(move |extent| extent.first < first + count && first < extent.end())
    }

    /// Adds what meets nothing.
    pub fn map(&mut self, extent: Extent) {
        self.extents.push(extent);
        self.extents.sort_by_key(|extent| extent.first);
    }

    /// Takes a range out.
    pub fn unmap(&mut self, first: u64, count: u64) {
        self.cut(first);
        self.cut(first + count);
        self.extents.retain(|extent| extent.first < first || extent.first >= first + count);
        self.hidden.retain(|page| *page < first || *page >= first + count);
    }

    /// Gives a range rights.
    pub fn protect(&mut self, first: u64, count: u64, rights: Rights) {
        self.cut(first);
        self.cut(first + count);
        let within = self.extents.iter_mut().filter(|extent| first <= extent.first && extent.first < first + count);
        within.for_each(|extent| extent.rights = rights);
    }

    fn cut(&mut self, page: u64) {
        let Some(extent) = self.extents.iter_mut().find(|extent| extent.first < page && page < extent.end()) else {
            return;
        };
        let left = page - extent.first;
        let right = Extent { first: page, pages: extent.pages - left, offset: extent.offset + left, ..*extent };
        extent.pages = left;
        self.map(right);
    }
}
