//! What a TLB plugin in the emulator is told (`docs/tlbcheck.md`), by markers: instructions that do nothing, with operands in
//! X0 and X1.
//!
//! A plugin reads page tables as the CPU would at that moment. So while one is served, a table of the kernel's shows physical
//! memory once more where user mode can read it; nobody is told where but the plugin. It must never be on where programs
//! are not trusted.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aarch64_cpu::registers::{TCR_EL1, TTBR1_EL1, Writeable};
use tessera_abi::PAGE_BYTES;

use super::format::{
    ACCESSED, INNER_SHAREABLE, KERNEL_NO_EXECUTE, NORMAL_MEMORY, READ_ONLY, TABLE_OR_PAGE, USER, USER_NO_EXECUTE,
    VALID, attribute,
};
use super::memory::{DIRECT_MAP, DIRECT_MAP_BYTES, table};
use super::{features, paging};
use crate::{Frame, TABLE_ENTRIES, TOP_LEVEL, VirtAddr};

/// Where memory is shown: behind the direct map.
const ALIAS: u64 = DIRECT_MAP + DIRECT_MAP_BYTES;
/// What a block of the alias has. The blocks of 1 GiB hold devices as well, but nobody executes an access to them.
const BLOCK: u64 = VALID
    | ACCESSED
    | INNER_SHAREABLE
    | USER
    | READ_ONLY
    | USER_NO_EXECUTE
    | KERNEL_NO_EXECUTE
    | attribute(NORMAL_MEMORY);
const BLOCK_BYTES: u64 = 1 << 30;

static IS_SERVED: AtomicBool = AtomicBool::new(false);
static TABLE: AliasTable = AliasTable([const { AtomicU64::new(0) }; TABLE_ENTRIES]);

#[repr(C, align(4096))]
struct AliasTable([AtomicU64; TABLE_ENTRIES]);

/// MOVZ XZR with this immediate, plus the marker's code.
const MARK: u32 = 0x5300;
const BEGIN: u32 = MARK | 16;
const FREE: u32 = MARK | 19;

/// Has a marker executed, with its operands.
macro_rules! mark {
    ($code:ident, $first:expr, $second:expr) => {{
        let (first, second): (u64, u64) = ($first, $second);
        // SAFETY: the instruction does nothing.
        unsafe {
            asm!("movz xzr, #{}", const $code, in("x0") first, in("x1") second, options(nostack, preserves_flags));
        }
    }};
}

/// Serves a TLB plugin from here on. Called once, before there are spaces or other CPUs.
pub fn serve_plugin() {
    IS_SERVED.store(true, Ordering::Relaxed);
    for (entry, index) in TABLE.0.iter().zip(0..) {
        entry.store((index * BLOCK_BYTES) | BLOCK, Ordering::Relaxed);
    }
    let below = paging::physical_address_of_image(TABLE.0.as_ptr().addr() as u64);
    let root = Frame::new(TTBR1_EL1.get_baddr() / PAGE_BYTES);
    let index = VirtAddr::new(ALIAS).table_index(TOP_LEVEL);
    table(root)[index].store(below | VALID | TABLE_OR_PAGE, Ordering::Relaxed);
    features::show_kernel_half();
    TCR_EL1.set(features::translation_control());
    // SAFETY: barriers change no value, and dropping translations is always allowed: the CPU may remember that user mode
    // sees nothing of the kernel's half.
    unsafe { asm!("dsb ishst", "isb", "tlbi vmalle1", "dsb nsh", "isb", options(nostack, preserves_flags)) };
    begin_cpu();
}

/// Serves a plugin on the running CPU from here on, if one is served.
pub(super) fn begin_cpu() {
    if is_served() {
        mark!(BEGIN, DIRECT_MAP, ALIAS);
    }
}

/// Whether a plugin is served.
fn is_served() -> bool {
    IS_SERVED.load(Ordering::Relaxed)
}

/// Frames are free.
#[inline(always)]
pub(crate) fn note_free(first: Frame, count: u64) {
    if cfg!(debug_assertions) && is_served() {
        mark!(FREE, first.start().value(), count);
    }
}
