//! The Image header, the way to EL1 and to virtual memory, and the way into the kernel.
//!
//! Sources: Linux `Documentation/arch/arm64/booting.rst` (header, registers); DDI 0487 (everything else).

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering};

use tessera_stub::memory::Span;

use crate::steps;

/// Bytes of the stack that the stub uses and the kernel starts on; the Limine protocol promises 64 KiB.
const STACK_BYTES: usize = 64 * 1024;
/// Bytes that one entry of the first tables maps.
const GIGABYTE: u64 = 1 << 30;

unsafe extern "C" {
    static stub_start: u8;
    static stub_end: u8;
    /// The root for both halves: entry 0 maps the first 512 GiB, below at their own address, above as direct map.
    static stub_root: [AtomicU64; 512];
    /// Entries of 1 GiB each: the first for devices, the others for RAM.
    static stub_gigabytes: [AtomicU64; 512];
    static stub_stack_top: u8;
}

/// The stub's own memory: file, tables, stack, answers.
pub(crate) fn own_image() -> Span {
    let start = (&raw const stub_start).addr() as u64;
    Span::new(start, (&raw const stub_end).addr() as u64 - start)
}

/// Sets an entry of the root table.
pub(crate) fn set_root_entry(index: usize, entry: u64) {
    // SAFETY: the table exists for the whole run, and its entries are only reached as atomics.
    unsafe { stub_root[index].store(entry, Ordering::Relaxed) };
    flush();
}

/// Unmaps every whole GiB beyond the end of RAM, so that the CPU does not read ahead where there is nothing.
pub(crate) fn limit_direct_map(memory_end: u64) {
    // SAFETY: as in `set_root_entry`.
    let entries = unsafe { &stub_gigabytes };
    for entry in entries.iter().skip(memory_end.div_ceil(GIGABYTE) as usize) {
        entry.store(0, Ordering::Relaxed);
    }
    flush();
}

/// Makes changed tables take effect.
fn flush() {
    // SAFETY: barriers and dropping translations change no value.
    unsafe { asm!("dsb ishst", "tlbi vmalle1", "dsb ish", "isb", options(nostack, preserves_flags)) };
}

/// Enters the kernel as the Limine protocol prescribes: EL1 with SP_EL0 as stack pointer, all exceptions masked,
/// general registers zero.
pub(crate) fn enter_kernel(entry: u64) -> ! {
    /// PSTATE: D, A, I and F masked, EL1t.
    const STATE: u64 = 0b1111 << 6 | 0b00100;
    let stack = steps::DIRECT_MAP + (&raw const stub_stack_top).addr() as u64;
    // SAFETY: the kernel is loaded, mapped and answered; nothing of the stub runs after this. The stack that is in use
    // here is handed over empty.
    unsafe {
        asm!(
            "msr elr_el1, {entry}",
            "msr spsr_el1, {state}",
            "msr spsel, #1",
            "msr sp_el0, {stack}",
            ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "mov x\\number, xzr",
            ".endr",
            ".irp number, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30",
            "mov x\\number, xzr",
            ".endr",
            "eret",
            entry = in(reg) entry,
            state = in(reg) STATE,
            stack = in(reg) stack,
            options(noreturn)
        )
    }
}

global_asm!(
    ".pushsection .text.header, \"ax\"",
    ".global image_header",
    "image_header:",
    "    b stub_entry",
    "    .long 0",
    // Load at the machine's choice of a 2 MiB boundary: offset 0.
    "    .quad 0",
    "    .quad stub_image_bytes",
    // Little-endian, 4 KiB pages, anywhere in memory.
    "    .quad 0b1010",
    "    .quad 0, 0, 0",
    "    .ascii \"ARM\\x64\"",
    "    .long 0",
    "stub_entry:",
    "    msr daifset, #15",
    "    mov x20, x0",
    "    mrs x1, CurrentEL",
    "    cmp x1, #(1 << 2)",
    "    b.eq stub_at_el1",
    // EL2: AArch64 below (HCR_EL2.RW), no traps, timers and counters for EL1, interrupt controller by registers.
    "    mov x1, #(1 << 31)",
    "    msr hcr_el2, x1",
    "    mov x1, #0x33ff",
    "    msr cptr_el2, x1",
    "    msr hstr_el2, xzr",
    "    msr vttbr_el2, xzr",
    "    mov x1, #3",
    "    msr cnthctl_el2, x1",
    "    msr cntvoff_el2, xzr",
    "    mrs x1, midr_el1",
    "    msr vpidr_el2, x1",
    "    mrs x1, mpidr_el1",
    "    msr vmpidr_el2, x1",
    // MDCR_EL2: nothing but HPMN, how many event counters EL1 may use.
    "    mrs x1, mdcr_el2",
    "    and x1, x1, #0x1f",
    "    msr mdcr_el2, x1",
    // Fine-grained traps, where there are any: HFGRTR_EL2, HFGWTR_EL2, HFGITR_EL2, HDFGRTR_EL2, HDFGWTR_EL2 with FEAT_FGT
    // (ID_AA64MMFR0_EL1, bits 59 to 56), HAFGRTR_EL2 if FEAT_AMU is there too (ID_AA64PFR0_EL1, bits 47 to 44);
    // HDFGRTR2_EL2, HDFGWTR2_EL2, HFGRTR2_EL2, HFGWTR2_EL2, HFGITR2_EL2 with FEAT_FGT2.
    "    mrs x1, id_aa64mmfr0_el1",
    "    ubfx x1, x1, #56, #4",
    "    cbz x1, 5f",
    "    msr s3_4_c1_c1_4, xzr",
    "    msr s3_4_c1_c1_5, xzr",
    "    msr s3_4_c1_c1_6, xzr",
    "    msr s3_4_c3_c1_4, xzr",
    "    msr s3_4_c3_c1_5, xzr",
    "    mrs x2, id_aa64pfr0_el1",
    "    ubfx x2, x2, #44, #4",
    "    cbz x2, 4f",
    "    msr s3_4_c3_c1_6, xzr",
    "4:  cmp x1, #2",
    "    b.lo 5f",
    "    msr s3_4_c3_c1_0, xzr",
    "    msr s3_4_c3_c1_1, xzr",
    "    msr s3_4_c3_c1_2, xzr",
    "    msr s3_4_c3_c1_3, xzr",
    "    msr s3_4_c3_c1_7, xzr",
    // HCRX_EL2 with FEAT_HCX (ID_AA64MMFR1_EL1, bits 43 to 40): the extensions that it lets EL1 have are not used.
    "5:  mrs x1, id_aa64mmfr1_el1",
    "    ubfx x1, x1, #40, #4",
    "    cbz x1, 6f",
    "    msr s3_4_c1_c2_2, xzr",
    "6:  mrs x1, id_aa64pfr0_el1",
    "    ubfx x1, x1, #24, #4",
    "    cbz x1, 1f",
    // ICC_SRE_EL2: SRE and Enable.
    "    mov x1, #9",
    "    msr s3_4_c12_c9_5, x1",
    "    isb",
    // SCTLR_EL1: bits that are 1 in AArch64, translation off.
    "1:  mov x1, #0x0800",
    "    movk x1, #0x30d0, lsl #16",
    "    msr sctlr_el1, x1",
    "    mov x1, #0x3c5",
    "    msr spsr_el2, x1",
    "    adr x1, stub_at_el1",
    "    msr elr_el2, x1",
    "    eret",
    "stub_at_el1:",
    // Attribute 0: write-back memory; attribute 1: device registers.
    "    mov x1, #0x00ff",
    "    msr mair_el1, x1",
    // Two halves of 48 bits, 4 KiB granule, tables cached and inner shareable, physical size as the CPU has it.
    "    ldr x1, =0xb5103510",
    "    mrs x2, id_aa64mmfr0_el1",
    "    and x2, x2, #0xf",
    "    mov x3, #5",
    "    cmp x2, x3",
    "    csel x2, x2, x3, lo",
    "    orr x1, x1, x2, lsl #32",
    "    msr tcr_el1, x1",
    "    adrp x1, stub_root",
    "    msr ttbr0_el1, x1",
    "    msr ttbr1_el1, x1",
    "    isb",
    "    tlbi vmalle1",
    "    dsb nsh",
    "    isb",
    // RES1 bits, SA0, SA, and M, C, I.
    "    ldr x1, =0x30d0181d",
    "    msr sctlr_el1, x1",
    "    isb",
    "    adrp x1, stub_file_end",
    "    add x1, x1, :lo12:stub_file_end",
    "    adrp x2, stub_end",
    "2:  cmp x1, x2",
    "    b.hs 3f",
    "    stp xzr, xzr, [x1], #16",
    "    b 2b",
    "3:  adrp x1, stub_stack_top",
    "    add x1, x1, :lo12:stub_stack_top",
    "    mov sp, x1",
    "    mov x29, xzr",
    "    mov x30, xzr",
    "    mov x0, x20",
    "    b {run}",
    ".popsection",
    // The first tables. Entries: valid block, accessed; RAM inner shareable, devices attribute 1 and no execution.
    ".pushsection .data.tables, \"aw\"",
    ".balign 4096",
    ".global stub_root",
    "stub_root:",
    "    .quad stub_gigabytes + 3",
    "    .zero 4096 - 8",
    ".global stub_gigabytes",
    "stub_gigabytes:",
    "    .quad 0x0060000000000405",
    ".set gigabyte, 1",
    ".rept 511",
    "    .quad (gigabyte << 30) | 0x701",
    ".set gigabyte, gigabyte + 1",
    ".endr",
    ".popsection",
    ".pushsection .bss.stack, \"aw\", %nobits",
    ".balign 4096",
    "    .zero {stack_bytes}",
    ".global stub_stack_top",
    "stub_stack_top:",
    ".popsection",
    run = sym steps::run,
    stack_bytes = const STACK_BYTES,
);
