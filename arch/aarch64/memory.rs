//! Physical memory, through the direct map at the lower end of the kernel's half.

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tessera_abi::PAGE_BYTES;

use crate::{Frame, PhysAddr, Table};

/// Where the direct map begins: the first address of the upper half.
pub(super) const DIRECT_MAP: u64 = 0xffff_0000_0000_0000;
/// Physical addresses from here on are not mapped; the kernel's device registers begin in the virtual space above.
pub(super) const DIRECT_MAP_BYTES: u64 = 1 << 46;

/// Bytes that one DC ZVA clears, a power of two; 0 if the CPU does not allow the instruction.
static CLEAR_BLOCK_BYTES: AtomicU64 = AtomicU64::new(0);

/// Finds out how to clear memory fast on this CPU (DDI 0487, "DCZID_EL0").
pub(super) fn start() {
    let description: u64;
    // SAFETY: reading the register has no side effect.
    unsafe { asm!("mrs {}, dczid_el0", out(reg) description, options(nomem, nostack, preserves_flags)) };
    let (prohibited, block_bytes) = (description & (1 << 4) != 0, 4 << (description & 0xf));
    if !prohibited && block_bytes <= PAGE_BYTES / CLEAR_UNROLL {
        CLEAR_BLOCK_BYTES.store(block_bytes, Ordering::Relaxed);
    }
}

/// Where a physical address appears in the direct map.
#[inline(always)]
pub fn direct_map(address: PhysAddr) -> *mut u8 {
    (DIRECT_MAP + address.value()) as *mut u8
}

/// A page table as memory.
#[inline(always)]
pub fn table(frame: Frame) -> &'static Table {
    // SAFETY: the direct map covers all memory for the whole life of the kernel, a frame is as large and as aligned
    // as a table, and a table's entries are atomics, so others (the walker too) may change them meanwhile.
    unsafe { &*direct_map(frame.start()).cast::<Table>() }
}

/// Fills frames with zero.
pub fn clear_frames(first: Frame, count: u64) {
    let start = direct_map(first.start());
    let bytes = count * PAGE_BYTES;
    if bytes == 0 {
        return;
    }
    let block_bytes = CLEAR_BLOCK_BYTES.load(Ordering::Relaxed);
    // SAFETY: the frames are memory in the direct map, and the caller, who owns them, wants their contents gone.
    unsafe {
        if block_bytes == 0 {
            ptr::write_bytes(start, 0, bytes as usize);
        } else {
            clear_blocks(start, bytes, block_bytes);
        }
    }
}

/// How many DC ZVA are in one round of `clear_blocks`.
const CLEAR_UNROLL: u64 = 8;

/// Clears memory by DC ZVA: two instructions a block, and two a round.
///
/// # Safety
/// 1. The memory may be written, is ordinary cacheable memory, and nobody refers to it.
/// 2. `bytes` is a multiple of `block_bytes * CLEAR_UNROLL` and not zero.
/// 3. `block_bytes` is what one DC ZVA clears.
unsafe fn clear_blocks(start: *mut u8, bytes: u64, block_bytes: u64) {
    // SAFETY: the caller promises that the memory from `start` to `end` may be written.
    unsafe {
        asm!(
            "2:",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "dc zva, {at}", "add {at}, {at}, {block}",
            "cmp {at}, {end}",
            "b.lo 2b",
            at = inout(reg) start => _,
            end = in(reg) start.addr() as u64 + bytes,
            block = in(reg) block_bytes,
            options(nostack)
        );
    }
}

/// Copies from physical memory.
pub fn read_physical(from: PhysAddr, to: &mut [u8]) {
    // SAFETY: the address is of memory that the kernel manages, so the direct map covers it; it may be user memory
    // that another CPU writes meanwhile, which can garble the copy but nothing else, as bytes have no invalid
    // values. `to` is the kernel's own and cannot overlap it.
    unsafe { ptr::copy_nonoverlapping(direct_map(from), to.as_mut_ptr(), to.len()) };
}

/// Copies to physical memory.
pub fn write_physical(to: PhysAddr, from: &[u8]) {
    // SAFETY: as in `read_physical`, the other way round.
    unsafe { ptr::copy_nonoverlapping(from.as_ptr(), direct_map(to), from.len()) };
}

/// Copies physical memory to where it may overlap what is copied, each part within a page; the caller owns the target.
#[inline]
pub fn move_physical(from: PhysAddr, to: PhysAddr, bytes: usize) {
    let (source, target) = (direct_map(from), direct_map(to));
    if to.value().wrapping_sub(from.value()) < bytes as u64 {
        // SAFETY: both sides are in the direct map; `copy` allows them to overlap, and no slice refers to user memory.
        return unsafe { ptr::copy(source, target, bytes) };
    }
    // SAFETY: as above; the target does not begin within the source.
    unsafe { copy_forwards(source, target, bytes) }
}

/// Copies in rounds of 64 bytes, which are read before they are written; then words, then bytes.
///
/// # Safety
/// 1. The source may be read and the target written; both are ordinary memory, where accesses need no alignment.
/// 2. The target does not begin within the source, behind its first byte.
unsafe fn copy_forwards(source: *const u8, target: *mut u8, bytes: usize) {
    // SAFETY: the caller promises that both sides are so long; `left` counts what is still to be copied.
    unsafe {
        asm!(
            "subs {left}, {left}, 64",
            "b.lo 3f",
            "2:",
            "ldp {a}, {b}, [{from}], 64",
            "ldp {c}, {d}, [{from}, -48]",
            "ldp {e}, {f}, [{from}, -32]",
            "ldp {g}, {h}, [{from}, -16]",
            "stp {a}, {b}, [{to}], 64",
            "stp {c}, {d}, [{to}, -48]",
            "stp {e}, {f}, [{to}, -32]",
            "stp {g}, {h}, [{to}, -16]",
            "subs {left}, {left}, 64",
            "b.hs 2b",
            "3:",
            "adds {left}, {left}, 56",
            "b.mi 5f",
            "4:",
            "ldr {a}, [{from}], 8",
            "str {a}, [{to}], 8",
            "subs {left}, {left}, 8",
            "b.pl 4b",
            "5:",
            "adds {left}, {left}, 8",
            "b.eq 7f",
            "6:",
            "ldrb {a:w}, [{from}], 1",
            "strb {a:w}, [{to}], 1",
            "subs {left}, {left}, 1",
            "b.ne 6b",
            "7:",
            from = inout(reg) source => _,
            to = inout(reg) target => _,
            left = inout(reg) bytes => _,
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
            e = out(reg) _, f = out(reg) _, g = out(reg) _, h = out(reg) _,
            options(nostack)
        );
    }
}

/// What the compiler copies objects with, in place of its own routine: that takes what is not aligned to words byte by byte.
///
/// # Safety
/// As for C's function. All memory is ordinary memory with translation on, by the loader's tables at first; firmware leaves
/// unaligned accesses allowed (UEFI, 2.3.6), and so does the kernel (`features::system_control`).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(target: *mut u8, source: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: the caller promises that the source may be read and the target written, and that they do not overlap.
    unsafe { copy_forwards(source, target, bytes) };
    target
}

/// Fills physical memory within a page, which the caller owns, with zeros.
pub fn clear_physical(at: PhysAddr, bytes: usize) {
    // SAFETY: as in `write_physical`.
    unsafe { ptr::write_bytes(direct_map(at), 0, bytes) };
}

/// Whether CTR_EL0.DIC is not to be believed (`errata::Errata`).
static IGNORES_COHERENCE: AtomicBool = AtomicBool::new(false);

/// Has instruction caches invalidated from here on, whatever the CPUs say of themselves.
pub(super) fn ignore_instruction_coherence() {
    IGNORES_COHERENCE.store(true, Ordering::Relaxed);
}

/// CTR_EL0, bit 28, IDC: instruction fetches see written data without cleaning.
const NEEDS_NO_CLEANING: u64 = 1 << 28;
/// CTR_EL0, bit 29, DIC: instruction caches see it without invalidation.
const NEEDS_NO_INVALIDATION: u64 = 1 << 29;

fn cache_type() -> u64 {
    let description: u64;
    // SAFETY: reading CTR_EL0 has no side effect.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) description, options(nomem, nostack, preserves_flags)) };
    description
}

/// Whether what was written must be cleaned before it can be fetched as code.
pub fn must_clean_code() -> bool {
    cache_type() & NEEDS_NO_CLEANING == 0
}

/// Writes instructions that were written to frames, through whatever mapping, back as far as instruction fetches look
/// for them. Takes effect with [`publish_code`].
pub fn clean_code(first: Frame, count: u64) {
    let description = cache_type();
    if description & NEEDS_NO_CLEANING != 0 {
        return;
    }
    let line_bytes = 4 << ((description >> 16) & 0xf);
    let start = direct_map(first.start()).addr() as u64;
    for line in (start..start + count * PAGE_BYTES).step_by(line_bytes) {
        // SAFETY: cleaning a cache line of mapped memory changes no value.
        unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
}

/// Makes all that was cleaned visible to instruction fetches on all CPUs (DDI 0487, B2.6.5 "Concurrent modification and
/// execution of instructions" and D7.5.11).
///
/// Due between the last write and the first fetch of pages that become executable, once for all of them.
pub fn publish_code() {
    let needs_invalidation = cache_type() & NEEDS_NO_INVALIDATION == 0 || IGNORES_COHERENCE.load(Ordering::Relaxed);
    // SAFETY: barriers and invalidation of instruction caches change no value.
    unsafe {
        asm!("dsb ish", options(nostack, preserves_flags));
        if needs_invalidation {
            asm!("ic ialluis", "dsb ish", options(nostack, preserves_flags));
        }
        asm!("isb", options(nostack, preserves_flags));
    }
}

/// Writes cached memory of the kernel's image back to where all observers see it, those with translation off included:
/// the point of coherency.
pub(super) fn clean_to_coherency(start: u64, end: u64) {
    /// No CPU has shorter cache lines.
    const LINE_BYTES_MIN: usize = 16;
    for line in (start..end).step_by(LINE_BYTES_MIN) {
        // SAFETY: cleaning a line of mapped memory changes no value.
        unsafe { asm!("dc cvac, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier changes no value.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}
