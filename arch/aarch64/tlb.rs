//! User roots, ASIDs ("tags") and invalidation (DDI 0487, D8.17 "TLB maintenance").
//!
//! The root and its ASID stand in one register, TTBR0_EL1, so they change together. Invalidation is broadcast to
//! all CPUs of the inner shareable domain, but for the forms that say "local".

use core::arch::asm;

use crate::{Frame, VirtAddr};

use super::features;
use super::root::root_word;

/// Bits in an ASID: 8 or 16.
pub fn tag_bits() -> u32 {
    features::features().tag_bits
}

/// The highest level at which an entry can be a leaf: always 2, for 1 GiB.
pub fn largest_leaf_level() -> u8 {
    2
}

/// Makes a cleared frame a valid root table. The kernel has a root of its own, so there is nothing to add.
pub fn prepare_root(_root: Frame) {}

/// Takes out of a root table that no CPU uses any more what [`prepare_root`] put in: nothing.
pub fn strip_root(_root: Frame) {}

/// Makes earlier writes to tables visible to every walker before what follows. No ISB either: the tables are for user mode.
#[inline(always)]
pub fn publish_tables() {
    // SAFETY: barriers change no value.
    unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
}

/// Makes `root` this CPU's user root, under `tag`. Unless `keep`, translations under the tag are dropped here first.
///
/// No barrier follows the write: the kernel touches no user address, and the return to user mode synchronizes the
/// context (DDI 0487, D1.4.4; SCTLR_EL1.EOS is set).
#[inline(always)]
pub fn activate(root: Frame, tag: u16, keep: bool) {
    // SAFETY: user addresses mean nothing to kernel code, so no reference of its own changes meaning.
    unsafe {
        asm!(
            "msr ttbr0_el1, {}",
            in(reg) root_word(root, tag), options(nostack, preserves_flags)
        );
    }
    if !keep {
        // SAFETY: dropping translations is always allowed. The new root is in force first, so that nothing of the
        // old one is fetched under this tag any more.
        unsafe {
            asm!(
                "isb", "tlbi aside1, {}", "dsb nsh", "isb",
                in(reg) u64::from(tag) << 48, options(nostack, preserves_flags)
            );
        }
    }
}

/// Which page of which tag, for TLBI by address.
#[inline(always)]
fn page_operand(address: VirtAddr, tag: u16) -> u64 {
    u64::from(tag) << 48 | (address.value() >> 12) & ((1 << 44) - 1)
}

/// Makes changed entries visible to every walker, drops translations on all CPUs, and waits until all accesses that used
/// them are done.
///
/// As in [`activate`], no ISB follows here or in the local forms: on this CPU the old translations of user addresses could
/// only be used in user mode, and the way there synchronizes the context.
macro_rules! broadcast {
    ($operation:literal $(, $operand:ident)?) => {{
        #[cold]
        fn repeat($($operand: u64)?) {
            // SAFETY: as below.
            unsafe { asm!($operation, "dsb ish", $(in(reg) $operand,)? options(nostack, preserves_flags)) };
        }
        // SAFETY: dropping translations is always allowed; the first barrier makes the changed entry visible before.
        unsafe {
            asm!("dsb ishst", $operation, "dsb ish", $(in(reg) $operand,)? options(nostack, preserves_flags));
        }
        if features::repeats_invalidation() {
            repeat($($operand)?);
        }
    }};
}

/// Drops the translations of one page under a tag, and what walks cached on the way to it, on all CPUs.
#[inline]
pub fn invalidate_page(address: VirtAddr, tag: u16) {
    let operand = page_operand(address, tag);
    broadcast!("tlbi vae1is, {}", operand);
}

/// As [`invalidate_page`], but on the CPU that runs this only.
#[inline]
pub fn invalidate_page_local(address: VirtAddr, tag: u16) {
    // SAFETY: as in `broadcast`. The first barrier reaches as far as this CPU's walker.
    unsafe {
        asm!(
            "dsb nshst", "tlbi vae1, {}", "dsb nsh",
            in(reg) page_operand(address, tag), options(nostack, preserves_flags)
        );
    }
}

/// Drops everything under a tag, on all CPUs.
#[inline]
pub fn invalidate_tag(tag: u16) {
    let operand = u64::from(tag) << 48;
    broadcast!("tlbi aside1is, {}", operand);
}

/// As [`invalidate_tag`], but on the CPU that runs this only.
#[inline]
pub fn invalidate_tag_local(tag: u16) {
    // SAFETY: as in `invalidate_page_local`.
    unsafe {
        asm!(
            "dsb nshst", "tlbi aside1, {}", "dsb nsh",
            in(reg) u64::from(tag) << 48, options(nostack, preserves_flags)
        );
    }
}

/// Drops a page's translations under every tag, global ones included, and what walks cached on the way to it, on all
/// CPUs.
#[inline]
pub fn invalidate_page_all_tags(address: VirtAddr) {
    // The instruction ignores the operand's tag.
    let operand = page_operand(address, 0);
    broadcast!("tlbi vaae1is, {}", operand);
}

/// Drops everything, translations of the kernel included, on all CPUs.
pub fn invalidate_all() {
    broadcast!("tlbi vmalle1is");
}
