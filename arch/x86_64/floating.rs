//! Floating-point and SIMD registers: x87, MMX and SSE, in the format of FXSAVE (SDM volume 1, 10.5).
//!
//! AVX and newer state is not offered to programs: CR4.OSXSAVE stays off, so its instructions do not exist.

use core::arch::asm;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

/// x87 control word: all exceptions masked, 64-bit precision (System V ABI, 3.2.3).
const FIRST_CONTROL: u64 = 0x37f;
/// MXCSR: all exceptions masked, round to nearest.
const FIRST_MXCSR: u64 = 0x1f80;

/// The registers in memory.
#[derive(Clone)]
#[repr(C, align(16))]
pub(super) struct State([u64; WORDS]);

/// Words of it.
pub(super) const WORDS: usize = 64;

/// Where MXCSR lies in it.
pub(super) const MXCSR_BYTE: usize = 24;

/// What a thread starts with.
pub(super) static FIRST: State = {
    let mut words = [0; WORDS];
    (words[0], words[3]) = (FIRST_CONTROL, FIRST_MXCSR);
    State(words)
};

/// Bits that MXCSR does not have on this machine; one set would be a fault of the kernel when it is loaded (SDM volume 1, 11.6.6).
pub(super) static FORBIDDEN_CONTROL: AtomicU32 = AtomicU32::new(u32::MAX);

/// Finds out which bits MXCSR has; where the CPU does not say, those that the first had. All CPUs of a machine are alike.
pub(super) fn note_control_bits() {
    const FIRST_CPUS: u32 = 0xffbf;
    let mut state = MaybeUninit::new(State([0; WORDS]));
    save(&mut state);
    // SAFETY: it was initialised before anything was saved there.
    let bits = (unsafe { state.assume_init_ref() }.0[3] >> 32) as u32;
    FORBIDDEN_CONTROL.store(!if bits == 0 { FIRST_CPUS } else { bits }, Relaxed);
}

/// The bits of MXCSR that may be set.
pub(super) fn control_bits() -> u64 {
    u64::from(!FORBIDDEN_CONTROL.load(Relaxed))
}

/// Stores the CPU's registers. What FXSAVE does not write, FXRSTOR does not read.
pub(super) fn save(state: &mut MaybeUninit<State>) {
    // SAFETY: 512 aligned bytes that are borrowed exclusively; CR0.TS and EM are clear, CR4.OSFXSR is set.
    unsafe { asm!("fxsave64 [{}]", in(reg) state.as_mut_ptr(), options(nostack, preserves_flags)) }
}

impl State {
    /// As words.
    pub(super) fn words(&self) -> &[u64; WORDS] {
        &self.0
    }

    /// The same, to be changed.
    pub(super) fn words_mut(&mut self) -> &mut [u64; WORDS] {
        &mut self.0
    }

    /// Loads the CPU's registers from here. The kernel itself is compiled without using any of them.
    pub(super) fn load(&self) {
        // SAFETY: as above; the content is `FIRST`, or came from `save`, so MXCSR has no reserved bit set. Emptying the
        // x87 state first keeps its last instruction's address, which AMD's FXRSTOR does not replace (APM
        // volume 2, 11.4.4), from passing from one thread to the next.
        unsafe { asm!("fninit", "fxrstor64 [{}]", in(reg) &raw const self.0, options(nostack, preserves_flags)) }
    }
}
