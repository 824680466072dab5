//! The system control registers: what the CPU offers, what the kernel switches on, what users may touch.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use aarch64_cpu::registers::{
    CPACR_EL1, ID_AA64DFR0_EL1, ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1, ID_AA64PFR0_EL1, MDSCR_EL1,
    MIDR_EL1, Readable, SCTLR_EL1, TCR_EL1, TPIDRRO_EL0, Writeable,
};
use spin::Once;

use super::errata::Errata;
use super::memory;

/// What this machine's CPUs offer of what the kernel uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    /// Bits in an ASID, 8 or 16.
    pub(super) tag_bits: u32,
    /// FEAT_PAN: the kernel faults if it touches memory that users may access.
    pub(super) privileged_access_never: bool,
    /// FEAT_E0PD: user accesses to the kernel's half fault before any table is looked at.
    pub(super) kernel_half_hidden: bool,
}

/// MDSCR_EL1.TDCC: the debugger's channel is not for users.
const TRAP_DEBUG_CHANNEL: u64 = 1 << 12;

/// MDSCR_EL1.SS: instructions of user mode are executed one by one, where its PSTATE says so.
const STEP_INSTRUCTIONS: u64 = 1 << 0;

static FEATURES: Once<Features> = Once::new();

/// Whether any CPU is among those on which a broadcast invalidation is done twice ([`Errata`]).
static REPEATS_INVALIDATION: AtomicBool = AtomicBool::new(false);

/// Whether users may read the cycle counter.
static CYCLES_ARE_OPEN: AtomicBool = AtomicBool::new(false);

/// What the CPUs offer. All CPUs are taken to be alike in this (`docs/caveats.md`).
pub(super) fn features() -> &'static Features {
    FEATURES.call_once(|| Features {
        tag_bits: if ID_AA64MMFR0_EL1.matches_all(ID_AA64MMFR0_EL1::ASIDBits::Bits_16) { 16 } else { 8 },
        privileged_access_never: field(ID_AA64MMFR1_EL1.get(), 20) != 0,
        kernel_half_hidden: field(ID_AA64MMFR2_EL1.get(), 60) != 0,
    })
}

/// Whether every broadcast invalidation is to be done twice. A CPU that needs it says so before it runs a thread.
#[inline(always)]
pub(super) fn repeats_invalidation() -> bool {
    REPEATS_INVALIDATION.load(Ordering::Relaxed)
}

/// A four-bit field of an identification register.
fn field(register: u64, shift: u32) -> u64 {
    (register >> shift) & 0xf
}

/// Whether user accesses to the kernel's half are to be looked up in its tables.
static IS_KERNEL_HALF_SHOWN: AtomicBool = AtomicBool::new(false);

/// From here on, what the kernel's tables let user mode see is seen, on each CPU whose TCR_EL1 is set anew.
pub(super) fn show_kernel_half() {
    IS_KERNEL_HALF_SHOWN.store(true, Ordering::Relaxed);
}

/// The value of TCR_EL1: two halves of 48 bits, 4 KiB granule, tables cached and coherent, ASID from TTBR0_EL1 (A1
/// clear), no address tags (TBI clear), hierarchical permissions in force (HPD clear: subtree bounds rely on them).
pub(super) fn translation_control() -> u64 {
    /// TCR_EL1.E0PD1.
    const HIDE_KERNEL_HALF: u64 = 1 << 56;
    /// 48 bits, the most that 4 KiB pages address without FEAT_LPA2.
    const PHYSICAL_SIZE_MAX: u64 = 0b101;
    let physical_size = field(ID_AA64MMFR0_EL1.get(), 0).min(PHYSICAL_SIZE_MAX);
    let lower = TCR_EL1::T0SZ.val(16)
        + TCR_EL1::TG0::KiB_4
        + TCR_EL1::SH0::Inner
        + TCR_EL1::ORGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable
        + TCR_EL1::IRGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable;
    let upper = TCR_EL1::T1SZ.val(16)
        + TCR_EL1::TG1::KiB_4
        + TCR_EL1::SH1::Inner
        + TCR_EL1::ORGN1::WriteBack_ReadAlloc_WriteAlloc_Cacheable
        + TCR_EL1::IRGN1::WriteBack_ReadAlloc_WriteAlloc_Cacheable;
    let mut value = (lower + upper + TCR_EL1::IPS.val(physical_size)).value;
    if features().tag_bits == 16 {
        value |= TCR_EL1::AS::ASID16Bits.value;
    }
    if features().kernel_half_hidden && !IS_KERNEL_HALF_SHOWN.load(Ordering::Relaxed) {
        value |= HIDE_KERNEL_HALF;
    }
    value
}

/// The value of SCTLR_EL1 (DDI 0487, D24.2.175).
pub(super) fn system_control() -> u64 {
    /// Bits 29 and 28, LSMAOE and nTLSMD: 1 in AArch64. Bits 22 and 11, EIS and EOS: exception entry and return
    /// synchronize the context; `tlb::activate` relies on it.
    const FIXED: u64 = 1 << 29 | 1 << 28 | 1 << 22 | 1 << 11;
    /// Bit 20, TSCXT: SCXTNUM_EL0 is not for users, as no context switch keeps it.
    const TRAP_CONTEXT_NUMBER: u64 = 1 << 20;
    /// Bit 23, SPAN: set, an exception leaves PSTATE.PAN as it is; clear, it sets it.
    const PAN_STAYS: u64 = 1 << 23;
    let translation = SCTLR_EL1::M::Enable + SCTLR_EL1::C::Cacheable + SCTLR_EL1::I::Cacheable;
    // Misaligned stack pointers fault, misaligned data do not. What is writable is never executable (WXN), whatever
    // its entry says.
    let checks = SCTLR_EL1::SA::Enable + SCTLR_EL1::SA0::Enable + SCTLR_EL1::WXN::Enable;
    // Users may maintain caches by address (UCI), read the cache type (UCT) and clear by block (DZE): programs that
    // write code need the first two, and all act on memory that the user can access anyway. WFI and WFE trap (nTWI and
    // nTWE are clear): a thread that is alone on its CPU has no timer set, so nothing need ever wake it; the kernel takes
    // either as a yield. DAIF (UMA) is the kernel's.
    let user = SCTLR_EL1::UCI::DontTrap + SCTLR_EL1::UCT::DontTrap + SCTLR_EL1::DZE::DontTrap;
    let pan = if features().privileged_access_never { 0 } else { PAN_STAYS };
    (translation + checks + user).value | FIXED | TRAP_CONTEXT_NUMBER | pan
}

/// Lets user programs read the cycle counter (PMCCNTR_EL0), on this CPU and on those that start later. Returns whether there
/// is one.
pub(super) fn open_cycle_counter() -> bool {
    CYCLES_ARE_OPEN.store(true, Ordering::Relaxed);
    set_user_counters()
}

/// Gives users the cycle counter or none: performance counters are not for them, unless that one was asked for. Returns
/// whether there are counters.
fn set_user_counters() -> bool {
    /// PMCR_EL0: counters are on; the cycle counter begins at zero, and has 64 bits.
    const COUNT: u64 = 1 | 1 << 2 | 1 << 6;
    /// PMCNTENSET_EL0.C, and PMUSERENR_EL0.CR: users read the cycle counter and nothing else.
    const CYCLES: u64 = 1 << 31;
    const USERS_READ_CYCLES: u64 = 1 << 2;
    // PMUVer is 0 or 15 where there are none of this kind.
    if matches!(field(ID_AA64DFR0_EL1.get(), 8), 0 | 0xf) {
        return false;
    }
    if !CYCLES_ARE_OPEN.load(Ordering::Relaxed) {
        // SAFETY: the register exists, as just checked; it only restricts user mode.
        unsafe { asm!("msr pmuserenr_el0, xzr", options(nomem, nostack, preserves_flags)) };
        return true;
    }
    // SAFETY: the registers exist, as just checked. A counter runs that the kernel does not use, it interrupts nobody
    // (PMINTENSET_EL1 is left clear), and users can do nothing but read it.
    unsafe {
        asm!(
            "msr pmccfiltr_el0, xzr", "msr pmcntenset_el0, {cycles}", "msr pmcr_el0, {count}", "msr pmuserenr_el0, {read}",
            cycles = in(reg) CYCLES, count = in(reg) COUNT, read = in(reg) USERS_READ_CYCLES,
            options(nomem, nostack, preserves_flags),
        );
    }
    true
}

/// Sets what is not about translation, on the CPU that runs this, before it runs any thread.
pub(super) fn enable() {
    let errata = Errata::of(MIDR_EL1.get());
    if errata.repeat_invalidation {
        REPEATS_INVALIDATION.store(true, Ordering::Relaxed);
    }
    if errata.ignore_instruction_coherence {
        memory::ignore_instruction_coherence();
    }
    // Floating point and vectors until the first thread goes on (`context.rs`); SVE and SME stay trapped, so a user sees
    // an instruction that does not exist.
    CPACR_EL1.write(CPACR_EL1::FPEN::TrapNothing);
    MDSCR_EL1.set(TRAP_DEBUG_CHANNEL);
    // What comes out of a reset locked, and would keep single steps from user mode (DDI 0487, D2.12.2).
    // SAFETY: nothing but debugging of user mode depends on it.
    unsafe { asm!("msr oslar_el1, xzr", options(nomem, nostack, preserves_flags)) };
    TPIDRRO_EL0.set(1);
    set_user_counters();
    // Nor is the activity monitor (FEAT_AMU; AMUSERENR_EL0 is S3_3_C13_C2_3).
    if field(ID_AA64PFR0_EL1.get(), 44) != 0 {
        // SAFETY: as above.
        unsafe { asm!("msr s3_3_c13_c2_3, xzr", options(nomem, nostack, preserves_flags)) };
    }
    if features().privileged_access_never {
        // SAFETY: the kernel never means to touch user memory by a user address.
        unsafe { asm!(".arch_extension pan", "msr pan, #1", options(nomem, nostack, preserves_flags)) };
    }
}

/// Has user mode execute one instruction at a time on this CPU, or not; the return there makes that hold.
pub(super) fn set_stepping(steps: bool) {
    MDSCR_EL1.set(TRAP_DEBUG_CHANNEL | if steps { STEP_INSTRUCTIONS } else { 0 });
}
