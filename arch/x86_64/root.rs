//! What CR3 takes (SDM volume 3, 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure Caches", and table 5-12 "Use
//! of CR3 with 4-Level Paging and CR4.PCIDE = 1"): the root table's address in bits 12 to 51, the tag below, and above all
//! the wish to keep what is held under the tag.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::Frame;

/// In a value written to CR3: keep the translations under the tag.
pub(super) const KEEP: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Bits 62 and 61 would switch linear-address masking on, which the kernel never does; bit 60 is reserved.
pub const PASS_MARKS: [u64; 3] = [1 << 62, 1 << 61, 1 << 60];

/// The wish, or nothing where the CPU does not know it (`plugin`).
static WISH: AtomicU64 = AtomicU64::new(KEEP);

/// Makes words from here on without the wish.
pub(super) fn never_keep() {
    WISH.store(0, Ordering::Relaxed);
}

/// Root table and tag together; tag 0 stands for untagged, which keeps nothing.
#[inline(always)]
pub fn root_word(root: Frame, tag: u16) -> u64 {
    root.start().value() | u64::from(tag) | if tag == 0 { 0 } else { WISH.load(Ordering::Relaxed) }
}

/// The root table's address in such a word.
#[inline(always)]
pub fn root_of_word(word: u64) -> u64 {
    word & ADDRESS
}

/// Makes a root this CPU's, under its tag, and keeps what the CPU holds under that; drops it if the word has none. Gives
/// whether it is kept.
#[inline(always)]
pub fn load_root(word: u64) -> bool {
    // SAFETY: the root came from `prepare_root`, so the kernel stays where it is; a tag other than 0 exists only
    // with PCIDs, which give the low bits and bit 63 their meaning.
    unsafe { asm!("mov cr3, {}", in(reg) word, options(nostack, preserves_flags)) }
    word & KEEP != 0
}
