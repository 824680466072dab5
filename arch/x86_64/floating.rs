//! Floating-point and SIMD registers: x87, MMX and SSE, in the format of FXSAVE (SDM volume 1, 10.5).
//!
//! AVX and newer state is not offered to programs: CR4.OSXSAVE stays off, so its instructions do not exist.

use core::arch::asm;
use core::mem::MaybeUninit;

/// x87 control word: all exceptions masked, 64-bit precision (System V ABI, 3.2.3).
const FIRST_CONTROL: u16 = 0x37f;
/// MXCSR: all exceptions masked, round to nearest.
const FIRST_MXCSR: u32 = 0x1f80;

/// The registers in memory.
#[repr(C, align(16))]
pub(super) struct State([u8; 512]);

/// What a thread starts with.
pub(super) static FIRST: State = {
    let mut bytes = [0; 512];
    [bytes[0], bytes[1]] = FIRST_CONTROL.to_le_bytes();
    [bytes[24], bytes[25], bytes[26], bytes[27]] = FIRST_MXCSR.to_le_bytes();
    State(bytes)
};

/// Stores the CPU's registers. What FXSAVE does not write, FXRSTOR does not read.
pub(super) fn save(state: &mut MaybeUninit<State>) {
    // SAFETY: 512 aligned bytes that are borrowed exclusively; CR0.TS and EM are clear, CR4.OSFXSR is set.
    unsafe { asm!("fxsave64 [{}]", in(reg) state.as_mut_ptr(), options(nostack, preserves_flags)) }
}

impl State {
    /// Loads the CPU's registers from here. The kernel itself is compiled without using any of them.
    pub(super) fn load(&self) {
        // SAFETY: as above; the content is `FIRST`, or came from `save`, so MXCSR has no reserved bit set. Emptying the
        // x87 state first keeps its last instruction's address, which AMD's FXRSTOR does not replace (APM
        // volume 2, 11.4.4), from passing from one thread to the next.
        unsafe { asm!("fninit", "fxrstor64 [{}]", in(reg) &raw const self.0, options(nostack, preserves_flags)) }
    }
}
