//! What a TLB plugin in the emulator is told (`docs/tlbcheck.md`), by markers: instructions that do nothing, with operands in
//! RDI and RSI.
//!
//! The emulator has no PCIDs, so while a plugin is served the tag stands in CR3's low bits and means nothing to the CPU:
//! a write to CR3 with a tag keeps what is held under it, and what would be INVPCID, or such a write that keeps nothing, is
//! a marker beside a write that drops everything. Bit 63 of CR3 is never set, so `load_root` says of each fast switch that it
//! kept nothing, and the counters count it so: the fast path is the same with and without a plugin.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use super::memory::DIRECT_MAP;
use super::root;
use crate::Frame;

static IS_SERVED: AtomicBool = AtomicBool::new(false);

/// NOPL with this displacement, plus the marker's code.
const MARK: u32 = 0x5445_5300;
const BEGIN: u32 = MARK | 16;
const DROP_TAG: u32 = MARK | 17;
const DROP_ALL: u32 = MARK | 18;
const FREE: u32 = MARK | 19;

/// Has a marker executed, with its operands.
macro_rules! mark {
    ($code:ident, $first:expr, $second:expr) => {{
        let (first, second): (u64, u64) = ($first, $second);
        // SAFETY: the instruction does nothing.
        unsafe {
            asm!("nop dword ptr [rax + {}]", const $code, in("rdi") first, in("rsi") second,
                 options(nostack, preserves_flags));
        }
    }};
}

/// Serves a TLB plugin from here on. Called once, before there are spaces or other CPUs.
pub fn serve_plugin() {
    IS_SERVED.store(true, Ordering::Relaxed);
    root::never_keep();
    begin_cpu();
}

/// Serves a plugin on the running CPU from here on, if one is served.
pub(super) fn begin_cpu() {
    if is_served() {
        mark!(BEGIN, DIRECT_MAP, 0);
    }
}

/// Whether a plugin is served.
pub(super) fn is_served() -> bool {
    IS_SERVED.load(Ordering::Relaxed)
}

/// Everything under a tag goes but global translations, as by INVPCID of type 1.
pub(super) fn drop_tag(tag: u16) {
    mark!(DROP_TAG, u64::from(tag), 0);
}

/// Everything goes, as by INVPCID of type 2.
pub(super) fn drop_all() {
    mark!(DROP_ALL, 0, 0);
}

/// Frames are free.
#[inline(always)]
pub(crate) fn note_free(first: Frame, count: u64) {
    if cfg!(debug_assertions) && is_served() {
        mark!(FREE, first.start().value(), count);
    }
}
