//! How a CPU comes from the firmware into the kernel: translation off, at EL2 or EL1, with one word in x0.
//!
//! The code runs at its physical address until translation is on, and a little longer through a lower half that maps
//! it there (`paging::entry_root`).

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{MAIR_EL1, Readable, TCR_EL1, TTBR1_EL1};

use crate::CPUS_MAX;

use super::{features, memory, paging, stacks};

/// What one CPU loads before it can do anything; the order is known to the assembly below.
#[repr(C, align(64))]
struct Start([AtomicU64; 8]);

/// One for each CPU, so that one that comes late finds its own.
static STARTS: [Start; CPUS_MAX] = [const { Start([const { AtomicU64::new(0) }; 8]) }; CPUS_MAX];

/// Two physical addresses for the firmware.
pub(super) struct Entry {
    /// Where the CPU begins.
    pub(super) code: u64,
    /// What it finds in x0.
    pub(super) argument: u64,
}

/// Makes ready for CPU number `cpu` to come; it goes on in `enter`, on its own empty kernel stack, with its number.
pub(super) fn prepare(cpu: usize, enter: extern "C" fn(u64) -> !) -> Entry {
    let start = &STARTS[cpu];
    let words = [
        paging::entry_root(),
        TTBR1_EL1.get(),
        TCR_EL1.get(),
        MAIR_EL1.get(),
        features::system_control(),
        stacks::empty_stack_pointer(cpu),
        enter as usize as u64,
        cpu as u64,
    ];
    for (place, word) in start.0.iter().zip(words) {
        place.store(word, Ordering::Relaxed);
    }
    let code = code_address();
    let code_end = (&raw const secondary_entry_end).addr() as u64;
    let argument = start.0.as_ptr().addr() as u64;
    // With translation off the CPU sees what is in memory, not what is in caches.
    memory::clean_to_coherency(code, code_end);
    memory::clean_to_coherency(argument, argument + size_of::<Start>() as u64);
    Entry { code: paging::physical_address_of_image(code), argument: paging::physical_address_of_image(argument) }
}

/// Where the code begins in the kernel's image.
pub(super) fn code_address() -> u64 {
    (&raw const secondary_entry).addr() as u64
}

unsafe extern "C" {
    /// Where a CPU begins; only its address is of use.
    static secondary_entry: u8;
    static secondary_entry_end: u8;
}

// x0: physical address of the CPU's `Start`. No instruction below the label 1 depends on its own address.
global_asm!(
    ".pushsection .text.trampoline, \"ax\"",
    ".balign 512",
    ".global secondary_entry",
    "secondary_entry:",
    "    msr daifset, #15",
    "    mrs x1, CurrentEL",
    "    cmp x1, #(2 << 2)",
    "    b.ne 1f",
    // EL2: AArch64 below (HCR_EL2.RW), no traps but for SVE and SME, timers and counters for EL1 without an offset.
    "    mov x1, #(1 << 31)",
    "    msr hcr_el2, x1",
    "    mov x1, #0x33ff",
    "    msr cptr_el2, x1",
    "    msr hstr_el2, xzr",
    "    msr vttbr_el2, xzr",
    // MDCR_EL2: nothing but HPMN, how many event counters EL1 may use.
    "    mrs x1, mdcr_el2",
    "    and x1, x1, #0x1f",
    "    msr mdcr_el2, x1",
    "    mov x1, #3",
    "    msr cnthctl_el2, x1",
    "    msr cntvoff_el2, xzr",
    "    mrs x1, midr_el1",
    "    msr vpidr_el2, x1",
    "    mrs x1, mpidr_el1",
    "    msr vmpidr_el2, x1",
    // Fine-grained traps, where there are any: HFGRTR_EL2, HFGWTR_EL2, HFGITR_EL2, HDFGRTR_EL2, HDFGWTR_EL2 with FEAT_FGT
    // (ID_AA64MMFR0_EL1, bits 59 to 56), HAFGRTR_EL2 if FEAT_AMU is there too (ID_AA64PFR0_EL1, bits 47 to 44);
    // HDFGRTR2_EL2, HDFGWTR2_EL2, HFGRTR2_EL2, HFGWTR2_EL2, HFGITR2_EL2 with FEAT_FGT2.
    "    mrs x1, id_aa64mmfr0_el1",
    "    ubfx x1, x1, #56, #4",
    "    cbz x1, 3f",
    "    msr s3_4_c1_c1_4, xzr",
    "    msr s3_4_c1_c1_5, xzr",
    "    msr s3_4_c1_c1_6, xzr",
    "    msr s3_4_c3_c1_4, xzr",
    "    msr s3_4_c3_c1_5, xzr",
    "    mrs x2, id_aa64pfr0_el1",
    "    ubfx x2, x2, #44, #4",
    "    cbz x2, 2f",
    "    msr s3_4_c3_c1_6, xzr",
    "2:  cmp x1, #2",
    "    b.lo 3f",
    "    msr s3_4_c3_c1_0, xzr",
    "    msr s3_4_c3_c1_1, xzr",
    "    msr s3_4_c3_c1_2, xzr",
    "    msr s3_4_c3_c1_3, xzr",
    "    msr s3_4_c3_c1_7, xzr",
    // HCRX_EL2 with FEAT_HCX (ID_AA64MMFR1_EL1, bits 43 to 40): the extensions that it lets EL1 have are not used.
    "3:  mrs x1, id_aa64mmfr1_el1",
    "    ubfx x1, x1, #40, #4",
    "    cbz x1, 4f",
    "    msr s3_4_c1_c2_2, xzr",
    // ICC_SRE_EL2: SRE and Enable, interrupt controller by registers.
    "4:  mov x1, #9",
    "    msr s3_4_c12_c9_5, x1",
    "    isb",
    // SCTLR_EL1: bits that are 1 in AArch64, translation off.
    "    mov x1, #0x0800",
    "    movk x1, #0x30d0, lsl #16",
    "    msr sctlr_el1, x1",
    // EL1 with its own stack pointer, all exceptions masked.
    "    mov x1, #0x3c5",
    "    msr spsr_el2, x1",
    "    adr x1, 1f",
    "    msr elr_el2, x1",
    "    eret",
    // At EL1, from there or from the firmware: SCTLR_EL1 as above, whatever it was.
    "1:  mov x1, #0x0800",
    "    movk x1, #0x30d0, lsl #16",
    "    msr sctlr_el1, x1",
    "    isb",
    "    ldp x1, x2, [x0]",
    "    ldp x3, x4, [x0, #16]",
    "    ldp x5, x6, [x0, #32]",
    "    ldp x7, x8, [x0, #48]",
    "    msr ttbr0_el1, x1",
    "    msr ttbr1_el1, x2",
    "    msr tcr_el1, x3",
    "    msr mair_el1, x4",
    "    ic iallu",
    "    tlbi vmalle1",
    "    dsb nsh",
    "    isb",
    "    msr sctlr_el1, x5",
    "    isb",
    "    msr spsel, #1",
    "    mov sp, x6",
    "    mov x29, xzr",
    "    mov x30, xzr",
    "    mov x0, x8",
    "    br x7",
    ".global secondary_entry_end",
    "secondary_entry_end:",
    // It must fit in what it is aligned to, so that it lies in one page.
    "    .org secondary_entry + 512",
    ".popsection",
);
