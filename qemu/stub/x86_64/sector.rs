//! The boot sector: what the BIOS loads and starts, in real mode. It loads the rest and goes to long mode.
//!
//! Behind the jump that it begins with are two numbers that the maker of the disk image fills in: how many chunks
//! of 32 KiB follow on the disk, and how many bytes the boot archive has.

use core::arch::global_asm;

use crate::start::{CODE_SELECTOR, PAGING_BITS};

/// Where the BIOS loads the boot sector.
const SECTOR: usize = 0x7c00;
/// Where the BIOS's memory map goes: entries of 20 bytes, of base, length and kind (ACPI 6.5, 15.1).
pub(crate) const MEMORY_MAP: usize = 0x8000;
/// Bytes of an entry.
pub(crate) const MEMORY_MAP_ENTRY_BYTES: usize = 20;

/// Bytes of the boot archive, which lies right after the stub's own image.
pub(crate) fn archive_bytes() -> u64 {
    // SAFETY: the boot sector is still where the BIOS put it, and mapped there; the number is aligned.
    u64::from(unsafe { ((SECTOR + 8) as *const u32).read() })
}

global_asm!(
    r#"
.pushsection .sector, "ax", @progbits
.code16
.global sector
sector:
    jmp sector_start
.balign 4
sector_chunks:
    .long 0
    .long 0

sector_start:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, {sector}
    cld
    sti
    ljmp 0, offset sector_begin
sector_begin:
    mov [sector_drive], dl

    /* Read 64 sectors to below 1 MiB (INT 13h, 42h: extended read), let the BIOS copy them up (INT 15h, 87h). */
1:  mov si, offset sector_packet
    mov ah, 0x42
    mov dl, [sector_drive]
    int 0x13
    jc sector_failed
    mov si, offset sector_copy
    mov cx, 64 * 256
    mov ah, 0x87
    int 0x15
    jc sector_failed
    add dword ptr [sector_packet + 8], 64
    add word ptr [sector_copy_goal + 2], 64 * 512
    adc byte ptr [sector_copy_goal + 4], 0
    adc byte ptr [sector_copy_goal + 7], 0
    dec dword ptr [sector_chunks]
    jnz 1b

    /* The memory map (INT 15h, E820h). */
    xor ebx, ebx
    mov di, {memory_map}
2:  mov eax, 0xe820
    mov edx, 0x534d4150
    mov ecx, {entry_bytes}
    int 0x15
    jc 3f
    add di, {entry_bytes}
    test ebx, ebx
    jnz 2b
3:  movzx edi, di

    /* All of memory within reach (A20), which it is already on any machine of today. */
    push di
    mov ax, 0x2401
    int 0x15
    pop di

    cli
    /* The prefix makes offsets and addresses 32 bits long, here and at the jump. */
    .byte 0x66
    lgdt [sector_segments]
    mov eax, 1 << 5
    mov cr4, eax
    mov eax, offset stub_root
    mov cr3, eax
    mov ecx, 0xc0000080
    mov eax, 1 << 11 | 1 << 8
    xor edx, edx
    wrmsr
    mov eax, {paging}
    mov cr0, eax
    .byte 0x66
    ljmp fword ptr [sector_entry]

sector_failed:
    mov si, offset sector_message
    mov dx, 0x3f8
4:  lodsb
    test al, al
    jz 5f
    out dx, al
    jmp 4b
5:  hlt
    jmp 5b

sector_drive:
    .byte 0
sector_message:
    .asciz "[stub] error: the BIOS cannot read the disk\n"
.balign 8
sector_entry:
    .long stub_entry
    .word {code}
sector_segments:
    .word 7 * 8 - 1
    .long stub_segments
.balign 8
/* Size, sectors, offset, segment, first sector. */
sector_packet:
    .byte 16, 0
    .word 64, 0, 0x1000
    .quad 1
/* Descriptors for the BIOS: two for itself, source, goal, two for itself. */
sector_copy:
    .quad 0, 0
    .quad 0x000093010000ffff
sector_copy_goal:
    .quad 0x000093100000ffff
    .quad 0, 0
.org 510
    .word 0xaa55
.code64
.popsection
"#,
    sector = const SECTOR,
    memory_map = const MEMORY_MAP,
    entry_bytes = const MEMORY_MAP_ENTRY_BYTES,
    paging = const PAGING_BITS,
    code = const CODE_SELECTOR,
);
