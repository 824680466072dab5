//! The first instructions of every CPU but the boot CPU: from real mode to the kernel.
//!
//! They run from a copy in a frame below 1 MiB, where the startup interrupt makes a CPU begin: in real mode, at
//! offset 0 of a segment that begins with the frame (SDM volume 3, 10.4.4). The copy is followed by
//! [`Parameters`]. The way goes to long mode in one step, by switching protection and paging on at once, as
//! nothing of protected mode is wanted in between (APM volume 2, 14.6.1).

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::Ordering;

use super::format::{ACCESSED, PRESENT, WRITABLE};
use super::memory::{self, clear_frames, table, write_physical};
use super::tlb;
use crate::{Frame, PhysAddr, VirtAddr};

/// Where the parameters lie in the frame; the code is shorter.
const PARAMETERS: usize = 256;

/// Frames that starting takes: one for the code, one for each level of tables.
pub(super) const FRAMES: usize = 5;

/// What the code finds in memory.
#[repr(C)]
struct Parameters {
    /// Physical address of the root table, below 4 GiB.
    root: u64,
    /// Where the CPU's stack begins.
    stack: u64,
    /// Passed on to `function`.
    cpu: u64,
    /// Where the way leads.
    function: u64,
    /// The null segment and 64-bit code.
    segments: [u64; 2],
    /// Target of the jump to 64-bit code, in the form of a far pointer.
    jump_offset: u32,
    jump_selector: u16,
    /// Where the segments lie, in the form that LGDT wants: offset of the last byte, address.
    limit: u16,
    base: u32,
    _end: u32,
}

/// Ring 0, 64 bits, accessed (so that the CPU need not write that).
const CODE_SEGMENT: u64 = 0x00af_9b00_0000_ffff;
const CODE_SELECTOR: u16 = 8;

global_asm!(
    r#"
.pushsection .rodata.trampoline, "a", @progbits
.code16
.global tessera_trampoline
tessera_trampoline:
    cli
    cld
    xor edi, edi
    mov di, cs
    mov ds, di
    shl edi, 4
    lgdt [{limit}]
    mov eax, {cr4}
    mov cr4, eax
    mov eax, [{root}]
    mov cr3, eax
    mov ecx, 0xc0000080
    mov eax, {efer}
    xor edx, edx
    wrmsr
    mov eax, {cr0}
    mov cr0, eax
    /* The prefix for 32-bit offsets, which the assembler has no other way to say here. */
    .byte 0x66
    ljmp fword ptr [{jump}]
.code64
.global tessera_trampoline_long_mode
tessera_trampoline_long_mode:
    mov eax, edi
    mov rsp, [rax + {stack}]
    mov rdi, [rax + {cpu}]
    xor ebp, ebp
    call [rax + {function}]
    ud2
.global tessera_trampoline_end
tessera_trampoline_end:
.popsection
"#,
    limit = const PARAMETERS + offset_of!(Parameters, limit),
    root = const PARAMETERS + offset_of!(Parameters, root),
    jump = const PARAMETERS + offset_of!(Parameters, jump_offset),
    stack = const PARAMETERS + offset_of!(Parameters, stack),
    cpu = const PARAMETERS + offset_of!(Parameters, cpu),
    function = const PARAMETERS + offset_of!(Parameters, function),
    // PAE; no-execute and long mode; paging, write protection, x87 errors as exceptions and the bits that go with
    // protection. Caching is on: after INIT it is off (SDM volume 3, table 10-1).
    cr4 = const 1 << 5,
    efer = const 1 << 11 | 1 << 8,
    cr0 = const 1u32 << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1,
);

unsafe extern "C" {
    static tessera_trampoline: u8;
    static tessera_trampoline_long_mode: u8;
    static tessera_trampoline_end: u8;
}

/// Puts the code into the first of some frames below 1 MiB that nobody uses, and into the others tables that map
/// the first at its own address, besides everything that the kernel maps.
pub(super) fn prepare(frames: [Frame; FRAMES]) {
    let [code, root, rest @ ..] = frames;
    let address = VirtAddr::new(code.start().value());
    frames.iter().for_each(|frame| clear_frames(*frame, 1));
    tlb::prepare_root(root);
    let mut above = root;
    for (below, level) in rest.into_iter().zip((1..=3).rev()) {
        let entry = below.start().value() | PRESENT | ACCESSED | WRITABLE;
        table(above)[address.table_index(level)].store(entry, Ordering::Relaxed);
        above = below;
    }
    let entry = code.start().value() | PRESENT | ACCESSED;
    table(above)[address.table_index(0)].store(entry, Ordering::Relaxed);
    let (start, end) = (&raw const tessera_trampoline, &raw const tessera_trampoline_end);
    let length_bytes = end.addr() - start.addr();
    assert!(length_bytes <= PARAMETERS, "the code ends where its parameters begin");
    // SAFETY: the two symbols enclose constants of the image.
    write_physical(code.start(), unsafe { core::slice::from_raw_parts(start, length_bytes) });
}

/// Sets where the next CPU goes: to `function(cpu)`, on the stack that begins at `stack`.
pub(super) fn direct(frames: [Frame; FRAMES], stack: u64, cpu: usize, function: extern "C" fn(u64) -> !) {
    let [code, root, ..] = frames;
    let base = code.start().value() as u32;
    let long_mode = (&raw const tessera_trampoline_long_mode).addr() - (&raw const tessera_trampoline).addr();
    let segments = base + (PARAMETERS + offset_of!(Parameters, segments)) as u32;
    let parameters = Parameters {
        root: root.start().value(),
        stack,
        cpu: cpu as u64,
        function: function as *const () as u64,
        segments: [0, CODE_SEGMENT],
        jump_offset: base + long_mode as u32,
        jump_selector: CODE_SELECTOR,
        limit: size_of::<[u64; 2]>() as u16 - 1,
        base: segments,
        _end: 0,
    };
    let place = memory::direct_map(PhysAddr::new(code.start().value() + PARAMETERS as u64));
    // SAFETY: the frame is the trampoline's, and no CPU is on its way there; frames are aligned.
    unsafe { place.cast::<Parameters>().write_volatile(parameters) };
}
