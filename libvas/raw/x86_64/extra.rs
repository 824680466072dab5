//! The registers of x86_64 beside the general ones: x87, MMX and SSE with their control, and the bases of FS and GS. AVX is
//! not offered to programs.
//!
//! The data segment registers are no part of a thread (the kernel makes them null where threads change), but they can be seen. They
//! are made null here.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tessera_abi::syscall::number;

/// Words of [`ExtraRegisters`].
pub const EXTRA_WORDS: usize = 66;

/// The registers in memory: as FXSAVE writes them (SDM volume 1, 10.5.1), then the bases of FS, the thread pointer, and of GS.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct ExtraRegisters([u64; EXTRA_WORDS]);

/// Where the bases lie.
const BASES: usize = 64;

/// MXCSR as a function wants it (System V ABI, 3.2.3): all exceptions masked, round to nearest.
static FIRST_MXCSR: u32 = 0x1f80;

impl ExtraRegisters {
    /// What a new thread finds: all zero, but for the control words, which are as functions want them.
    pub const FIRST: ExtraRegisters = {
        let mut words = [0; EXTRA_WORDS];
        (words[0], words[3]) = (0x37f, 0x1f80);
        ExtraRegisters(words)
    };

    /// Values that tell a number from others, wherever they lie, and control words that are not those of a new thread. For tests
    /// of the kernel.
    pub fn marked(mark: u64) -> ExtraRegisters {
        let mut words: [u64; EXTRA_WORDS] = core::array::from_fn(|index| mark << 16 | index as u64);
        // Control: another rounding, single precision. Status: the top is register 7. All eight hold something.
        words[..4].copy_from_slice(&[0xff_3800_0c7f, 0, 0, 0x7f80]);
        // FXSAVE leaves alone what is behind the registers of SSE.
        words[52..BASES].fill(0);
        ExtraRegisters(words)
    }

    /// As words, of which each says something. For tests of the kernel.
    pub fn words(&self) -> [u64; EXTRA_WORDS] {
        let mut words = self.0;
        // Which bits of MXCSR there are is the processor's to say.
        words[3] &= 0xffff_ffff;
        // An x87 register has 80 bits; whether those behind it are written as well is left to the processor.
        (5..20).step_by(2).for_each(|index| words[index] &= 0xffff);
        words[52..BASES].fill(0);
        words
    }

    /// What leads or decides something: control, status, pointers. For tests of the kernel.
    pub fn control(&self) -> [u64; 4] {
        [self.0[0], self.0[3] & 0xffff_ffff, self.0[BASES], self.0[BASES + 1]]
    }

    /// Writes the CPU's registers to memory.
    pub fn save(to: &mut MaybeUninit<ExtraRegisters>) -> &mut ExtraRegisters {
        let place = to.as_mut_ptr();
        // SAFETY: the memory is borrowed exclusively, as long and as aligned as FXSAVE wants it. What that leaves alone (behind the
        // registers of SSE, and 48 bits behind each of x87) is of no type that knows bits it must not have, and says nothing.
        unsafe {
            asm!("fxsave64 [{}]", in(reg) place, options(nostack, preserves_flags));
            [(*place).0[BASES], (*place).0[BASES + 1]] = ExtraRegisters::pointers();
            to.assume_init_mut()
        }
    }

    /// Loads the CPU's registers. Nobody is to miss what they held: user programs are compiled for integer registers only.
    pub fn load(&self) {
        // SAFETY: the content is `FIRST`, `marked`, or came from `save`, so MXCSR has no reserved bit set. Emptying the x87
        // state first drops its last instruction's address, which AMD's FXRSTOR does not replace (APM volume 2, 11.4.4).
        // Nothing is reached by the data segment registers but by FS and GS, whose bases are set behind that.
        unsafe {
            asm!(
                "fninit", "fxrstor64 [{}]", "mov ds, {null:e}", "mov es, {null:e}", "mov fs, {null:e}", "mov gs, {null:e}",
                in(reg) self.0.as_ptr(), null = in(reg) 0, options(nostack, preserves_flags),
            );
        }
        ExtraRegisters::set_pointers([self.0[BASES], self.0[BASES + 1]]);
    }

    /// Makes those registers what a function relies on that lead or decide something: control, status, thread pointer. Others
    /// stay.
    pub fn reset_control() {
        // SAFETY: as above; the address is that of four bytes.
        unsafe {
            asm!("fninit", "ldmxcsr [{}]", in(reg) &raw const FIRST_MXCSR, options(nostack, readonly, preserves_flags));
        }
        ExtraRegisters::set_pointers([0; 2]);
    }
    /// Whether the thread has ever used floating point or vectors: here that is all the same.
    #[inline(always)]
    pub fn are_vectors_used() -> bool {
        true
    }

    /// The bases of FS, the thread pointer, and of GS. Without instructions for them the kernel tells that of FS, which it then makes
    /// zero, and nobody can set that of GS.
    #[inline(always)]
    pub fn pointers() -> [u64; 2] {
        if !has_base_instructions() {
            return [exchange_thread_pointer(0), 0];
        }
        let (fs, gs);
        // SAFETY: reads registers, by instructions that were found to be there.
        unsafe {
            asm!("rdfsbase {}", "rdgsbase {}", out(reg) fs, out(reg) gs, options(nomem, nostack, preserves_flags));
        }
        [fs, gs]
    }

    /// Sets them.
    #[inline(always)]
    pub fn set_pointers([fs, gs]: [u64; 2]) {
        if !has_base_instructions() {
            exchange_thread_pointer(fs);
            return;
        }
        // SAFETY: the values were read from there, and compiled code uses neither.
        unsafe { asm!("wrfsbase {}", "wrgsbase {}", in(reg) fs, in(reg) gs, options(nostack, preserves_flags)) };
    }
}

/// Sets the base of FS; gives what it was.
#[cold]
fn exchange_thread_pointer(value: u64) -> u64 {
    // SAFETY: the call changes one register more than others, which compiled code does not use.
    unsafe { super::call_short(number::thread_set_pointer, value) }.1
}

/// Whether programs may read and set the bases (CR4.FSGSBASE): the kernel lets them where the CPU can.
#[inline(always)]
fn has_base_instructions() -> bool {
    match KNOWN.load(Relaxed) {
        UNKNOWN => look(),
        known => known == CAN,
    }
}

/// What is known of that: looking takes long.
static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const CAN: u8 = 1;
const CANNOT: u8 = 2;

#[cold]
fn look() -> bool {
    // SDM volume 2, CPUID: leaf 7, EBX bit 0.
    let can = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).ebx & 1 != 0;
    KNOWN.store(if can { CAN } else { CANNOT }, Relaxed);
    can
}
