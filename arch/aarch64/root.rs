//! What TTBR0_EL1 takes (DDI 0487, D24.2 "TTBR0_EL1, Translation Table Base Register 0"): the root table's address in bits 12
//! to 47, and its ASID, the tag, in bits 48 to 63. CnP (bit 0) stays clear.

use core::arch::asm;

use crate::Frame;

const TAG_SHIFT: u32 = 48;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// Bits 1 to 3 belong to the address of a table that is smaller than a page.
pub const PASS_MARKS: [u64; 3] = [1 << 1, 1 << 2, 1 << 3];

/// Root table and tag together; tag 0 stands for untagged, which keeps nothing.
#[inline(always)]
pub fn root_word(root: Frame, tag: u16) -> u64 {
    root.start().value() | u64::from(tag) << TAG_SHIFT
}

/// The root table's address in such a word.
#[inline(always)]
pub fn root_of_word(word: u64) -> u64 {
    word & ADDRESS
}

/// Makes a root this CPU's, under its tag, and keeps what the CPU holds under that; drops it if the word has none. Gives
/// whether it is kept.
///
/// No barrier follows the write: the kernel touches no user address, and the return to user mode synchronizes the
/// context (DDI 0487, D1.4.4; SCTLR_EL1.EOS is set).
#[inline(always)]
pub fn load_root(word: u64) -> bool {
    // SAFETY: user addresses mean nothing to kernel code, so no reference of its own changes meaning.
    unsafe { asm!("msr ttbr0_el1, {}", in(reg) word, options(nostack, preserves_flags)) };
    if word >> TAG_SHIFT != 0 {
        return true;
    }
    drop_untagged();
    false
}

#[cold]
fn drop_untagged() {
    // SAFETY: dropping translations is always allowed. The new root is in force first, so that nothing of the
    // old one is fetched under this tag any more.
    unsafe { asm!("isb", "tlbi aside1, xzr", "dsb nsh", "isb", options(nostack, preserves_flags)) };
}
