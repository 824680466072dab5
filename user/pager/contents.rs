//! What a page holds: words that can be computed from the page's number and the word's, so that everybody can tell.

use libvas::PAGE_BYTES;

/// Words of a page.
pub(crate) const WORDS: u64 = PAGE_BYTES / 8;

/// The word of a page, by their numbers: mixed so that no two are alike.
pub(crate) fn word(page: u64, index: u64) -> u64 {
    let number = page * WORDS + index + 1;
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}
