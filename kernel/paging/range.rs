//! Ranges of pages.

use tessera_abi::{Error, PAGE_BYTES};
use tessera_arch::VirtAddr;

/// Pages `first` to `first + count`, counted from the start of what is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRange {
    /// The first page.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// A range that holds all pages of any owner.
pub const EVERYTHING: PageRange = PageRange { first: 0, count: u64::MAX / PAGE_BYTES };

impl PageRange {
    /// Reads an address and a length in bytes.
    ///
    /// # Errors
    /// `Misaligned`, `BadAddress` if the range is empty, wraps around or leaves `start..end` (bytes).
    #[inline(always)]
    pub fn new(address: u64, length_bytes: u64, start: u64, end: u64) -> Result<PageRange, Error> {
        if !address.is_multiple_of(PAGE_BYTES) || !length_bytes.is_multiple_of(PAGE_BYTES) {
            return Err(Error::Misaligned);
        }
        let last = address.checked_add(length_bytes).ok_or(Error::BadAddress)?;
        if length_bytes == 0 || address < start || last > end {
            return Err(Error::BadAddress);
        }
        Ok(PageRange { first: address / PAGE_BYTES, count: length_bytes / PAGE_BYTES })
    }

    /// The first page behind the range.
    pub fn end(&self) -> u64 {
        self.first + self.count
    }

    /// The first address.
    pub fn start(&self) -> VirtAddr {
        page_address(self.first)
    }
}

/// The address of a page.
pub(crate) fn page_address(page: u64) -> VirtAddr {
    VirtAddr::new(page * PAGE_BYTES)
}
