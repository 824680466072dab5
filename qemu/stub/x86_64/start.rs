//! The first code in long mode, the tables that are in use then, and the way into the kernel.

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering};

use tessera_stub::memory::Span;

use crate::steps;

/// CR0: paging, write protection, x87 errors as exceptions, and the bits that go with protection.
pub(crate) const PAGING_BITS: u32 = 1 << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1;
/// Selectors of 64-bit code and data, as the Limine protocol prescribes them.
pub(crate) const CODE_SELECTOR: u16 = 0x28;
const DATA_SELECTOR: u16 = 0x30;

/// Bytes of the stack that the stub uses and the kernel starts on; the Limine protocol promises 64 KiB.
const STACK_BYTES: usize = 64 * 1024;
/// The first tables map this much, below at its own address and above as direct map.
pub(crate) const MAPPED_BYTES: u64 = 4 << 30;

unsafe extern "C" {
    static stub_start: u8;
    static stub_end: u8;
    static stub_root: [AtomicU64; 512];
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
}

/// Enters the kernel as the Limine protocol prescribes: interrupts off, a stack with a return address of zero, general
/// registers zero.
pub(crate) fn enter_kernel(entry: u64) -> ! {
    let stack = steps::DIRECT_MAP + (&raw const stub_stack_top).addr() as u64;
    // SAFETY: the kernel is loaded, mapped and answered; nothing of the stub runs after this. The stack that is in use
    // here is handed over empty, but for the entry address, which `ret` takes off.
    unsafe {
        asm!(
            "mov rsp, rdi",
            "push 0",
            "push rsi",
            "xor eax, eax",
            "xor ebx, ebx",
            "xor ecx, ecx",
            "xor edx, edx",
            "xor esi, esi",
            "xor edi, edi",
            "xor ebp, ebp",
            "xor r8d, r8d",
            "xor r9d, r9d",
            "xor r10d, r10d",
            "xor r11d, r11d",
            "xor r12d, r12d",
            "xor r13d, r13d",
            "xor r14d, r14d",
            "xor r15d, r15d",
            "ret",
            in("rdi") stack,
            in("rsi") entry,
            options(noreturn)
        )
    }
}

global_asm!(
    r#"
.pushsection .text.entry, "ax", @progbits
/* edi is the end of the memory map. */
.global stub_entry
stub_entry:
    mov eax, {data_selector}
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    mov esp, offset stub_stack_top
    mov edi, edi
    xor ebp, ebp
    call {run}
    ud2
.popsection

/* Entries: present, writable, accessed; large and dirty. The segments of the Limine protocol: none, 16-bit code and
   data, 32-bit code and data, 64-bit code and data. */
.pushsection .data.tables, "aw", @progbits
.balign 4096
.global stub_root
stub_root:
    .quad stub_low + 0x23
    .zero 255 * 8
    .quad stub_low + 0x23
    .zero 255 * 8
stub_low:
    .quad stub_megabytes + 0x23, stub_megabytes + 0x1023, stub_megabytes + 0x2023, stub_megabytes + 0x3023
    .zero 508 * 8
stub_megabytes:
.set number, 0
.rept 4 * 512
    .quad (number << 21) | 0xe3
.set number, number + 1
.endr
.global stub_segments
stub_segments:
    .quad 0, 0x00009b000000ffff, 0x000093000000ffff, 0x00cf9b000000ffff, 0x00cf93000000ffff
    .quad 0x00af9b000000ffff, 0x00cf93000000ffff
.popsection
.pushsection .bss.stack, "aw", @nobits
.balign 4096
    .zero {stack_bytes}
.global stub_stack_top
stub_stack_top:
.popsection
"#,
    data_selector = const DATA_SELECTOR,
    run = sym steps::run,
    stack_bytes = const STACK_BYTES,
);
