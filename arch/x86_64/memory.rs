//! Physical memory, reached through the direct map.

use core::arch::asm;
use core::ptr;

use crate::{Frame, PhysAddr, Table};

/// Where physical address 0 is mapped: the beginning of the upper half.
pub(super) const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;

/// Where a physical address is mapped, readable and writable (the kernel's own code and constants: readable).
#[inline(always)]
pub fn direct_map(address: PhysAddr) -> *mut u8 {
    ptr::with_exposed_provenance_mut((DIRECT_MAP + address.value()) as usize)
}

/// A frame as page table.
#[inline(always)]
pub fn table(frame: Frame) -> &'static Table {
    // SAFETY: the direct map holds all memory for ever, frames are aligned, and every bit pattern is a table of
    // atomic words; whether the frame serves as table is the caller's bookkeeping, not a matter of memory safety.
    unsafe { &*direct_map(frame.start()).cast::<Table>() }
}

/// Fills whole frames with zeros.
pub fn clear_frames(first: Frame, count: u64) {
    // SAFETY: the frames are memory in the direct map, which the caller owns; the direction flag is clear in the
    // kernel.
    unsafe {
        asm!(
            "rep stosq",
            inout("rcx") count * 512 => _,
            inout("rdi") direct_map(first.start()) => _,
            in("rax") 0,
            options(nostack, preserves_flags),
        );
    }
}

/// Copies physical memory.
pub fn read_physical(from: PhysAddr, to: &mut [u8]) {
    // SAFETY: the source is in the direct map; the target is a slice of its own, as the kernel's objects never lie
    // in memory that users can reach.
    unsafe { ptr::copy_nonoverlapping(direct_map(from), to.as_mut_ptr(), to.len()) }
}

/// Copies to physical memory, which the caller owns.
pub fn write_physical(to: PhysAddr, from: &[u8]) {
    // SAFETY: as for `read_physical`, the other way round.
    unsafe { ptr::copy_nonoverlapping(from.as_ptr(), direct_map(to), from.len()) }
}

/// Copies physical memory to where it may overlap what is copied, each part within a page; the caller owns the target.
#[inline]
pub fn move_physical(from: PhysAddr, to: PhysAddr, bytes: usize) {
    let (source, target) = (direct_map(from), direct_map(to));
    if to.value().wrapping_sub(from.value()) < bytes as u64 {
        // SAFETY: both sides are in the direct map; `copy` allows them to overlap, and no slice refers to user memory.
        return unsafe { ptr::copy(source, target, bytes) };
    }
    // SAFETY: as above; the target does not begin within the source, so no byte is written before it is read. The
    // direction flag is clear in the kernel.
    unsafe {
        asm!(
            "rep movsq",
            "mov ecx, {rest:e}",
            "rep movsb",
            rest = in(reg) bytes % 8,
            inout("rcx") bytes / 8 => _,
            inout("rsi") source => _,
            inout("rdi") target => _,
            options(nostack, preserves_flags),
        );
    }
}

/// Fills physical memory within a page, which the caller owns, with zeros.
pub fn clear_physical(at: PhysAddr, bytes: usize) {
    // SAFETY: as for `write_physical`.
    unsafe { ptr::write_bytes(direct_map(at), 0, bytes) }
}

/// Whether what was written must be cleaned before it can be fetched as code: never.
#[inline(always)]
pub const fn must_clean_code() -> bool {
    false
}

/// Makes code that was written visible to instruction fetches: x86 sees to that itself (SDM volume 3, 12.6).
#[inline(always)]
pub fn clean_code(_first: Frame, _count: u64) {}

/// The same for all that was cleaned: nothing to do.
#[inline(always)]
pub fn publish_code() {}
