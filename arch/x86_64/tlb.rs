//! Root tables and the TLB (SDM volume 3, section 5.10, "Caching translation information").

use core::arch::asm;
use core::sync::atomic::Ordering;

use x86_64::VirtAddr as MachineAddress;
use x86_64::instructions::tlb::{self, InvPcidCommand};
use x86_64::registers::control::{Cr3, Cr4, Cr4Flags};

use super::features::features;
use super::memory::table;
use super::root::{KEEP, root_word};
use super::{paging, plugin};
use crate::{Frame, VirtAddr};

/// Bits of a tag that the hardware compares, or a plugin that stands in for it: 12 where it has PCIDs, else 0.
pub fn tag_bits() -> u32 {
    if features().pcid || plugin::is_served() { 12 } else { 0 }
}

/// The highest level at which an entry can be a leaf: 2, for 1 GiB, where the CPU has pages of that size; elsewhere
/// the bit that would say so is reserved.
pub fn largest_leaf_level() -> u8 {
    if features().gigabyte_pages { 2 } else { 1 }
}

/// Makes a cleared frame a valid root table: the upper half becomes the kernel's, which never changes after boot.
pub fn prepare_root(root: Frame) {
    let to = table(root);
    paging::for_each_entry(|index, entry| to[index].store(entry, Ordering::Relaxed));
}

/// Takes out of a root table that no CPU uses any more what [`prepare_root`] put in.
pub fn strip_root(root: Frame) {
    let from = table(root);
    paging::for_each_entry(|index, _| from[index].store(0, Ordering::Relaxed));
}

/// Makes table writes visible to the walker: on x86 they are, as soon as they are made.
#[inline(always)]
pub fn publish_tables() {}

/// Makes `root` this CPU's root table, under `tag`. Tag 0 stands for untagged: its translations are dropped,
/// as is everything under `tag` unless `keep`.
#[inline(always)]
pub fn activate(root: Frame, tag: u16, keep: bool) {
    let value = root_word(root, tag) & if keep { u64::MAX } else { !KEEP };
    // SAFETY: the root came from `prepare_root`, so the kernel stays where it is; a tag other than 0 exists only
    // with PCIDs, which give the low bits and bit 63 their meaning.
    unsafe { asm!("mov cr3, {}", in(reg) value, options(nostack, preserves_flags)) }
    if !keep && plugin::is_served() {
        plugin::drop_tag(tag);
    }
}

/// Drops this CPU's translations of one page under the tag in use, which is the one given, and what it remembers of the
/// tables on the way to it; global translations of the page go as well, whatever their tag.
pub fn invalidate_page_local(address: VirtAddr, _tag: u16) {
    tlb::flush(MachineAddress::new_truncate(address.value()));
}

/// Drops everything that this CPU holds under the tag in use, which is the one given, except global translations.
pub fn invalidate_tag_local(tag: u16) {
    rewrite_root();
    if plugin::is_served() {
        plugin::drop_tag(tag);
    }
}

/// Drops what is held under the tag in use. (Where the CPU has no tags, everything; QEMU drops even global translations.)
fn rewrite_root() {
    let value = Cr3::read_raw();
    // SAFETY: the same root and tag again, without the wish to keep anything.
    unsafe { Cr3::write_raw(value.0, value.1) }
}

/// The same as [`invalidate_page_local`]: no invalidation reaches another CPU here.
pub fn invalidate_page(address: VirtAddr, tag: u16) {
    invalidate_page_local(address, tag);
}

/// The same as [`invalidate_tag_local`].
pub fn invalidate_tag(tag: u16) {
    invalidate_tag_local(tag);
}

/// Drops a page's translations under every tag, global ones included, and the ways to it. No instruction does that for
/// the tags that are not in use, so this drops everything.
pub fn invalidate_page_all_tags(_address: VirtAddr) {
    invalidate_all();
}

/// Drops every translation that this CPU holds, global ones and the kernel's included.
pub fn invalidate_all() {
    if has_invpcid() {
        // SAFETY: INVPCID exists, and dropping translations is always sound.
        unsafe { tlb::flush_pcid(InvPcidCommand::All) }
    } else if plugin::is_served() {
        // The emulator drops everything, and the plugin what a CPU with INVPCID would.
        rewrite_root();
        plugin::drop_all();
    } else if features().global_pages {
        // SAFETY: the flag is on; switching it off and on drops everything under every tag.
        unsafe {
            Cr4::update(|flags| flags.remove(Cr4Flags::PAGE_GLOBAL));
            Cr4::update(|flags| flags.insert(Cr4Flags::PAGE_GLOBAL));
        }
    } else {
        rewrite_root();
    }
}

fn has_invpcid() -> bool {
    features().pcid && features().invpcid
}
