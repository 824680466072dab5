//! What the fake machine's root register takes: the root table's address in bits 12 to 47, the tag above.

use super::tlb;
use crate::Frame;

const TAG_SHIFT: u32 = 48;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// Bits 0 to 2 are no part of a page's address.
pub const PASS_MARKS: [u64; 3] = [1 << 0, 1 << 1, 1 << 2];

/// Root table and tag together; tag 0 stands for untagged, which keeps nothing.
pub fn root_word(root: Frame, tag: u16) -> u64 {
    root.start().value() | u64::from(tag) << TAG_SHIFT
}

/// The root table's address in such a word.
pub fn root_of_word(word: u64) -> u64 {
    word & ADDRESS
}

/// Makes a root the user root, under its tag; gives whether what is held under that is kept.
pub fn load_root(word: u64) -> bool {
    let tag = (word >> TAG_SHIFT) as u16;
    tlb::activate(Frame::from_word(root_of_word(word)), tag, tag != 0);
    tag != 0
}
