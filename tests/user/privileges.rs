//! What x86_64 keeps from user mode, and what it leaves to it: instructions, flags, segments, control words.

#![no_std]
#![no_main]

extern crate alloc;

use conformance::{
    Claim, Failure, Routine, SpareStack, Verdict, claim, ends_in_fault, ensure, ensure_eq, run,
    the_kernel_passes_its_own_checks,
};
use core::sync::atomic::{AtomicU64, Ordering};
use libvas::{PAGE_BYTES, Rights, Segment, USER_END, program, thread};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(instructions_of_the_kernel_are_out_of_reach),
        claim!(flags_are_kept_by_calls),
        claim!(flags_are_kept_by_interrupts),
        claim!(a_jump_clears_flags),
        claim!(a_single_step_stops_its_thread_alone),
        claim!(segments_are_the_few_for_programs),
        claim!(control_words_are_kept),
        claim!(control_words_that_cannot_be_are_no_harm),
        claim!(an_exception_of_arithmetic_is_its_threads_own),
        claim!(a_stack_pointer_that_is_no_address_is_kept),
        claim!(an_address_that_is_none_stops_the_thread),
        claim!(a_call_at_the_end_of_memory_stops_there),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("privileges", CLAIMS)
}

/// The routine, or the end of the claim where the processor is another one.
fn routine(code: &[u8]) -> Result<Routine, Failure> {
    Routine::new(code, &[])?.ok_or_else(|| Failure::skip("this processor has nothing of the kind".into()))
}

/// Fails unless the routine, called with this argument, stops its thread.
#[track_caller]
fn stops(name: &str, code: &[u8], argument: u64) -> Verdict {
    let routine = routine(code)?;
    let function = routine.function();
    ensure!(ends_in_fault(program().space(), move || function(argument))?, "{name} with {argument:#x} was executed");
    Ok(())
}

/// Lets a thread call the routine, which may stop it or not: emulators do not check all that CPUs do. The kernel goes on.
fn tries(code: &[u8], argument: u64) -> Verdict {
    let routine = routine(code)?;
    let function = routine.function();
    ends_in_fault(program().space(), move || function(argument))?;
    Ok(())
}

/// Ports, control, debug and model-specific registers, descriptor tables, halting, software interrupts other than the
/// breakpoint, state that is not offered, and returns into the kernel's privilege: each stops the thread.
fn instructions_of_the_kernel_are_out_of_reach() -> Verdict {
    const FORBIDDEN: &[(&str, &[u8])] = &[
        ("in al, 0x60", &[0xe4, 0x60]),
        ("mov edx, 0x60; in al, dx", &[0xba, 0x60, 0x00, 0x00, 0x00, 0xec]),
        ("mov edx, 0xcf8; in eax, dx", &[0xba, 0xf8, 0x0c, 0x00, 0x00, 0xed]),
        ("out 0x80, al", &[0xe6, 0x80]),
        ("mov edx, 0x3f8; out dx, al", &[0xba, 0xf8, 0x03, 0x00, 0x00, 0xee]),
        ("mov edx, 0x60; mov rdi, rsp; insb", &[0xba, 0x60, 0x00, 0x00, 0x00, 0x48, 0x89, 0xe7, 0x6c]),
        ("mov edx, 0x3f8; mov rsi, rsp; outsb", &[0xba, 0xf8, 0x03, 0x00, 0x00, 0x48, 0x89, 0xe6, 0x6e]),
        ("hlt", &[0xf4]),
        ("cli", &[0xfa]),
        ("sti", &[0xfb]),
        ("mov rax, cr0", &[0x0f, 0x20, 0xc0]),
        ("mov rax, cr2", &[0x0f, 0x20, 0xd0]),
        ("mov rax, cr3", &[0x0f, 0x20, 0xd8]),
        ("mov rax, cr4", &[0x0f, 0x20, 0xe0]),
        ("mov rax, cr8", &[0x44, 0x0f, 0x20, 0xc0]),
        ("mov cr0, rax", &[0x0f, 0x22, 0xc0]),
        ("mov cr3, rax", &[0x0f, 0x22, 0xd8]),
        ("mov cr8, rax", &[0x44, 0x0f, 0x22, 0xc0]),
        ("mov rax, dr7", &[0x0f, 0x21, 0xf8]),
        ("mov dr7, rax", &[0x0f, 0x23, 0xf8]),
        ("mov ecx, 0xc0000102; rdmsr", &[0xb9, 0x02, 0x01, 0x00, 0xc0, 0x0f, 0x32]),
        ("mov ecx, 0xc0000102; wrmsr", &[0xb9, 0x02, 0x01, 0x00, 0xc0, 0x0f, 0x30]),
        ("xor ecx, ecx; rdpmc", &[0x31, 0xc9, 0x0f, 0x33]),
        ("clts", &[0x0f, 0x06]),
        ("invlpg [rsp]", &[0x0f, 0x01, 0x3c, 0x24]),
        ("lgdt [rsp-16]", &[0x0f, 0x01, 0x54, 0x24, 0xf0]),
        ("lidt [rsp-16]", &[0x0f, 0x01, 0x5c, 0x24, 0xf0]),
        ("xor eax, eax; lldt ax", &[0x31, 0xc0, 0x0f, 0x00, 0xd0]),
        ("mov eax, 0x28; ltr ax", &[0xb8, 0x28, 0x00, 0x00, 0x00, 0x0f, 0x00, 0xd8]),
        ("lmsw ax", &[0x0f, 0x01, 0xf0]),
        ("swapgs", &[0x0f, 0x01, 0xf8]),
        ("mov rcx, [rsp]; sysretq", &[0x48, 0x8b, 0x0c, 0x24, 0x48, 0x0f, 0x07]),
        ("sysexit", &[0x48, 0x0f, 0x35]),
        ("sysenter", &[0x0f, 0x34]),
        ("xor ecx, ecx; xgetbv", &[0x31, 0xc9, 0x0f, 0x01, 0xd0]),
        ("xor ecx, ecx; xsetbv", &[0x31, 0xc9, 0x0f, 0x01, 0xd1]),
        ("xsave [rsp-1024]", &[0x0f, 0xae, 0xa4, 0x24, 0x00, 0xfc, 0xff, 0xff]),
        ("xor ecx, ecx; rdpkru", &[0x31, 0xc9, 0x0f, 0x01, 0xee]),
        ("vzeroupper", &[0xc5, 0xf8, 0x77]),
        ("vmcall", &[0x0f, 0x01, 0xc1]),
        ("xor eax, eax; invpcid rax, [rsp-16]", &[0x31, 0xc0, 0x66, 0x0f, 0x38, 0x82, 0x44, 0x24, 0xf0]),
        (
            "mov rax, rsp; xor ecx, ecx; xor edx, edx; monitor",
            &[0x48, 0x89, 0xe0, 0x31, 0xc9, 0x31, 0xd2, 0x0f, 0x01, 0xc8],
        ),
        ("mwait", &[0x0f, 0x01, 0xc9]),
        ("ud2", &[0x0f, 0x0b]),
        ("int3", &[0xcc]),
        ("int1", &[0xf1]),
        ("int 2", &[0xcd, 0x02]),
        ("int 8", &[0xcd, 0x08]),
        ("int 0x20", &[0xcd, 0x20]),
        ("int 0x40", &[0xcd, 0x40]),
        ("int 0x80", &[0xcd, 0x80]),
        (
            "push 0x10; push rsp; pushfq; push 8; call 1f; 1: iretq",
            &[0x6a, 0x10, 0x54, 0x9c, 0x6a, 0x08, 0xe8, 0x00, 0x00, 0x00, 0x00, 0x48, 0xcf],
        ),
        ("push 8; call 1f; 1: retfq", &[0x6a, 0x08, 0xe8, 0x00, 0x00, 0x00, 0x00, 0x48, 0xcb]),
    ];
    for (name, code) in FORBIDDEN {
        stops(name, &[code, &[0xc3][..]].concat(), 0)?;
    }
    // invd; ret, and wbinvd; ret: QEMU takes no notice of who executes them.
    tries(&[0x0f, 0x08, 0xc3], 0)?;
    tries(&[0x0f, 0x09, 0xc3], 0)
}

const DIRECTION: u64 = 1 << 10;
const INTERRUPTS: u64 = 1 << 9;
const PRIVILEGE: u64 = 3 << 12;
const NESTED_TASK: u64 = 1 << 14;
const ALIGNMENT_CHECK: u64 = 1 << 18;
const VIRTUAL_INTERRUPTS: u64 = 3 << 19;
const IDENTIFICATION: u64 = 1 << 21;
/// Flags that a program may set as it likes.
const OWN: u64 = DIRECTION | NESTED_TASK | ALIGNMENT_CHECK | IDENTIFICATION;
/// Flags that it may not; interrupts are on in user mode, always.
const FOREIGN: u64 = INTERRUPTS | PRIVILEGE | VIRTUAL_INTERRUPTS;

/// Flags that a thread sets are as it set them after each kind of call, and those of the kernel never change.
fn flags_are_kept_by_calls() -> Verdict {
    // push rbx; mov rax, rdi; shr rax, 32; mov edx, edi; pushfq; pop rbx; or rdx, rbx; push rdx; popfq; xor edi, edi;
    // syscall; pushfq; pop rax; push rbx; popfq; pop rbx; ret
    let call = routine(&[
        0x53, 0x48, 0x89, 0xf8, 0x48, 0xc1, 0xe8, 0x20, 0x89, 0xfa, 0x9c, 0x5b, 0x48, 0x09, 0xda, 0x52, 0x9d, 0x31,
        0xff, 0x0f, 0x05, 0x9c, 0x58, 0x53, 0x9d, 0x5b, 0xc3,
    ])?;
    for kind in [number::null, number::space_switch, number::clock, number::yield_now, 0xffff] {
        for own in [0, DIRECTION, NESTED_TASK, ALIGNMENT_CHECK, IDENTIFICATION, OWN] {
            let after = call.call(kind << 32 | own | PRIVILEGE | VIRTUAL_INTERRUPTS);
            ensure_eq!((kind, after & OWN, after & FOREIGN), (kind, own, INTERRUPTS));
        }
    }
    Ok(())
}

/// The same for interrupts, and other threads' turns between.
fn flags_are_kept_by_interrupts() -> Verdict {
    // pushfq; pop rdx; mov eax, edi; or rax, rdx; push rax; popfq; mov ecx, 60000000; 1: dec ecx; jnz 1b; pushfq; pop rax;
    // push rdx; popfq; ret
    let spin = routine(&[
        0x9c, 0x5a, 0x89, 0xf8, 0x48, 0x09, 0xd0, 0x50, 0x9d, 0xb9, 0x00, 0x87, 0x93, 0x03, 0xff, 0xc9, 0x75, 0xfc,
        0x9c, 0x58, 0x52, 0x9d, 0xc3,
    ])?;
    for own in [0, OWN] {
        let after = spin.call(own | PRIVILEGE | VIRTUAL_INTERRUPTS);
        ensure_eq!((after & OWN, after & FOREIGN), (own, INTERRUPTS));
    }
    Ok(())
}

/// What the function that [`arrival`] calls is.
static PROBE: AtomicU64 = AtomicU64::new(0);

extern "C" fn arrival(_: u64, _: u64) -> ! {
    thread::exit(conformance::value_at(PROBE.load(Ordering::Relaxed)))
}

/// A thread that jumps arrives with the flags of a new thread, whatever it had set.
fn a_jump_clears_flags() -> Verdict {
    // pushfq; pop rax; ret
    let probe = routine(&[0x9c, 0x58, 0xc3])?;
    PROBE.store(probe.function() as usize as u64, Ordering::Relaxed);
    // pushfq; or dword ptr [rsp], 0x44400; popfq; mov rsi, [rdi+8]; mov rdx, [rdi+16]; xor r10d, r10d; mov rdi, [rdi];
    // mov eax, 2 (space_jump); syscall; ret
    let jump = routine(&[
        0x9c, 0x81, 0x0c, 0x24, 0x00, 0x44, 0x04, 0x00, 0x9d, 0x48, 0x8b, 0x77, 0x08, 0x48, 0x8b, 0x57, 0x10, 0x45,
        0x31, 0xd2, 0x48, 0x8b, 0x3f, 0xb8, 0x02, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xc3,
    ])?;
    let (function, space) = (jump.function(), program().space().handle().bits());
    let thread = thread::spawn(move || {
        let words = [space, arrival as *const () as usize as u64, SpareStack::new().top()];
        function((&raw const words).expose_provenance() as u64);
    })?;
    ensure_eq!(thread.thread().join()? & (OWN | FOREIGN), INTERRUPTS);
    Ok(())
}

/// A thread that sets the flag for single steps stops at its next instruction, or at the one behind a call, also where the
/// CPU puts the step off because a stack segment was loaded; the kernel takes no harm.
fn a_single_step_stops_its_thread_alone() -> Verdict {
    // pushfq; or dword ptr [rsp], 0x100; popfq; nop; ret
    stops("a step", &[0x9c, 0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00, 0x9d, 0x90, 0xc3], 0)?;
    for kind in [number::null, number::space_switch, number::clock, number::yield_now] {
        // mov rax, rdi; pushfq; or dword ptr [rsp], 0x100; popfq; syscall; nop; ret
        stops(
            "a step and a call",
            &[0x48, 0x89, 0xf8, 0x9c, 0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00, 0x9d, 0x0f, 0x05, 0x90, 0xc3],
            kind,
        )?;
        // mov rax, rdi; mov edx, ss; xor edi, edi; pushfq; or dword ptr [rsp], 0x100; popfq; mov ss, edx; syscall; nop; ret
        stops(
            "a step put off to a call",
            &[
                0x48, 0x89, 0xf8, 0x8c, 0xd2, 0x31, 0xff, 0x9c, 0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00, 0x9d, 0x8e,
                0xd2, 0x0f, 0x05, 0x90, 0xc3,
            ],
            kind,
        )?;
    }
    // mov edx, ss; pushfq; or dword ptr [rsp], 0x100; popfq; mov ss, edx; int3; ret
    stops(
        "a step put off to a breakpoint",
        &[0x8c, 0xd2, 0x9c, 0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00, 0x9d, 0x8e, 0xd2, 0xcc, 0xc3],
        0,
    )
}

/// A program may load its own two segments, and none. They do it no harm, nor the kernel; after another thread's turn they
/// may be gone. All other selectors stop the thread, those of a local table included. Whatever comes of a code segment that an emulator
/// lets a program load, the kernel goes on.
fn segments_are_the_few_for_programs() -> Verdict {
    // mov ds, edi; mov es, edi; mov fs, edi; mov gs, edi; push rdi; mov eax, 3; syscall; pop rdi; mov ds, edi;
    // mov eax, edi; ret
    let load = routine(&[
        0x8e, 0xdf, 0x8e, 0xc7, 0x8e, 0xe7, 0x8e, 0xef, 0x57, 0xb8, 0x03, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x5f, 0x8e,
        0xdf, 0x89, 0xf8, 0xc3,
    ])?;
    for selector in [0, 3, 0x1b, 0x23] {
        ensure_eq!(load.call(selector), selector);
    }
    for selector in [0x08, 0x10, 0x18 | 4, 0x28, 0x2b, 0x33, 0x07, 0xffff, 0x1000] {
        // mov ds, edi; ret
        stops("loading ds", &[0x8e, 0xdf, 0xc3], selector)?;
    }
    for selector in [0, 3, 0x10, 0x18, 0x23, 0x1f] {
        // mov edx, ss; mov ss, edi; mov ss, edx; ret
        stops("loading ss", &[0x8c, 0xd2, 0x8e, 0xd7, 0x8e, 0xd2, 0xc3], selector)?;
    }
    for selector in [0, 1, 2, 3, 8, 0x10, 0x1b, 0x20, 0x21, 0x22, 0x23, 0x24, 0x28] {
        // mov ecx, 0x200000; mov cs, edi (no instruction at all; QEMU 10 executes it); 1: loop 1b; int3
        tries(&[0xb9, 0x00, 0x00, 0x20, 0x00, 0x8e, 0xcf, 0xe2, 0xfe, 0xcc], selector)?;
    }
    for flags in [0x2_0202, 0x2_3202, 0x1a_3202] {
        // sub rsp, 0x40; mov dword [rsp], 0; mov dword [rsp + 4], 0x1000; mov [rsp + 8], edi; iretd (there is no such code segment, but
        // QEMU 10 enters virtual 8086 mode)
        let bytes = [
            0x48, 0x83, 0xec, 0x40, 0xc7, 0x04, 0x24, 0, 0, 0, 0, 0xc7, 0x44, 0x24, 0x04, 0, 0x10, 0, 0, 0x89, 0x7c,
            0x24, 0x08, 0xcf,
        ];
        tries(&bytes, flags)?;
    }
    Ok(())
}

/// The control words of SIMD and of the x87 unit are the thread's, whatever others do meanwhile.
fn control_words_are_kept() -> Verdict {
    // push rdi; ldmxcsr [rsp]; mov eax, 4 (sleep); mov edi, 100000; syscall; stmxcsr [rsp]; pop rax; push 0x1f80;
    // ldmxcsr [rsp]; pop rdx; mov eax, eax; ret
    let simd = routine(&[
        0x57, 0x0f, 0xae, 0x14, 0x24, 0xb8, 0x04, 0x00, 0x00, 0x00, 0xbf, 0xa0, 0x86, 0x01, 0x00, 0x0f, 0x05, 0x0f,
        0xae, 0x1c, 0x24, 0x58, 0x68, 0x80, 0x1f, 0x00, 0x00, 0x0f, 0xae, 0x14, 0x24, 0x5a, 0x89, 0xc0, 0xc3,
    ])?;
    for word in [0x1f80, 0, 0x7f80, 0x1fbf, 0x9fc0] {
        ensure_eq!(simd.call(word), word);
    }
    // push rdi; fldcw [rsp]; mov eax, 4 (sleep); mov edi, 100000; syscall; fnstcw [rsp]; pop rax; movzx eax, ax; fninit; ret
    let x87 = routine(&[
        0x57, 0xd9, 0x2c, 0x24, 0xb8, 0x04, 0x00, 0x00, 0x00, 0xbf, 0xa0, 0x86, 0x01, 0x00, 0x0f, 0x05, 0xd9, 0x3c,
        0x24, 0x58, 0x0f, 0xb7, 0xc0, 0xdb, 0xe3, 0xc3,
    ])?;
    for word in [0x37f, 0x340, 0xc7f, 0x27f] {
        ensure_eq!(x87.call(word), word);
    }
    Ok(())
}

/// Reserved bits of the SIMD control word stop the thread where the CPU checks them (SDM volume 1, 11.6.6; QEMU does not), and
/// never the kernel, that stores and loads them for it.
fn control_words_that_cannot_be_are_no_harm() -> Verdict {
    tries(
        &[
            0x57, 0x0f, 0xae, 0x14, 0x24, 0xb8, 0x04, 0x00, 0x00, 0x00, 0xbf, 0xa0, 0x86, 0x01, 0x00, 0x0f, 0x05, 0x0f,
            0xae, 0x1c, 0x24, 0x58, 0x68, 0x80, 0x1f, 0x00, 0x00, 0x0f, 0xae, 0x14, 0x24, 0x5a, 0x89, 0xc0, 0xc3,
        ],
        0xffff_0000,
    )?;
    // mov rdx, rsp; sub rsp, 1024; and rsp, -64; fxsave64 [rsp]; mov [rsp+24], edi; fxrstor64 [rsp]; mov rsp, rdx;
    // xor eax, eax; ret
    tries(
        &[
            0x48, 0x89, 0xe2, 0x48, 0x81, 0xec, 0x00, 0x04, 0x00, 0x00, 0x48, 0x83, 0xe4, 0xc0, 0x48, 0x0f, 0xae, 0x04,
            0x24, 0x89, 0x7c, 0x24, 0x18, 0x48, 0x0f, 0xae, 0x0c, 0x24, 0x48, 0x89, 0xd4, 0x31, 0xc0, 0xc3,
        ],
        0xffff_0000,
    )
}

/// An exception of the x87 unit that waits to be reported, over calls and turns, stops the thread that caused it when it asks,
/// and one of SIMD at once (in QEMU, never); others compute on.
fn an_exception_of_arithmetic_is_its_threads_own() -> Verdict {
    // push 0x37b; fldcw [rsp]; fld1; fldz; fdivp; mov eax, 3; syscall; fwait; pop rax; ret
    stops(
        "a division by zero",
        &[
            0x68, 0x7b, 0x03, 0x00, 0x00, 0xd9, 0x2c, 0x24, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0xb8, 0x03, 0x00, 0x00,
            0x00, 0x0f, 0x05, 0x9b, 0x58, 0xc3,
        ],
        0,
    )?;
    // push 0x1d80; ldmxcsr [rsp]; mov eax, 3; syscall; mov eax, 0x3f800000; movd xmm0, eax; xorps xmm1, xmm1;
    // divss xmm0, xmm1; pop rax; ret
    tries(
        &[
            0x68, 0x80, 0x1d, 0x00, 0x00, 0x0f, 0xae, 0x14, 0x24, 0xb8, 0x03, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xb8, 0x00,
            0x00, 0x80, 0x3f, 0x66, 0x0f, 0x6e, 0xc0, 0x0f, 0x57, 0xc9, 0xf3, 0x0f, 0x5e, 0xc1, 0x58, 0xc3,
        ],
        0,
    )
}

/// Whatever is in the stack pointer, calls and interrupts leave it alone: the kernel has no use for it.
fn a_stack_pointer_that_is_no_address_is_kept() -> Verdict {
    // push rbx; mov rbx, rsp; mov rsp, rdi; mov eax, 3; xor edi, edi; syscall; mov eax, 1; xor edi, edi; syscall;
    // mov ecx, 60000000; 1: dec ecx; jnz 1b; mov rax, rsp; mov rsp, rbx; pop rbx; ret
    let odd = routine(&[
        0x53, 0x48, 0x89, 0xe3, 0x48, 0x89, 0xfc, 0xb8, 0x03, 0x00, 0x00, 0x00, 0x31, 0xff, 0x0f, 0x05, 0xb8, 0x01,
        0x00, 0x00, 0x00, 0x31, 0xff, 0x0f, 0x05, 0xb9, 0x00, 0x87, 0x93, 0x03, 0xff, 0xc9, 0x75, 0xfc, 0x48, 0x89,
        0xe0, 0x48, 0x89, 0xdc, 0x5b, 0xc3,
    ])?;
    for sp in [0, 1 << 47, 1 << 63, 0xffff_8000_0000_0000, u64::MAX] {
        ensure_eq!(odd.call(sp), sp);
    }
    Ok(())
}

/// Jumping, returning and pushing to where no address is stops the thread.
fn an_address_that_is_none_stops_the_thread() -> Verdict {
    for address in [1 << 47, 1 << 63, 0x7fff_8000_0000_0000, 0xffff_8000_0000_0000, u64::MAX] {
        stops("jmp rdi", &[0xff, 0xe7], address)?;
        stops("push rdi; ret", &[0x57, 0xc3], address)?;
        stops("mov rsp, rdi; push rax; ret", &[0x48, 0x89, 0xfc, 0x50, 0xc3], address)?;
    }
    Ok(())
}

/// A call in the last bytes that can be mapped comes back to where nothing can be: the thread stops there.
fn a_call_at_the_end_of_memory_stops_there() -> Verdict {
    // mov eax, 5 (clock); syscall
    const CALL: [u8; 7] = [0xb8, 0x05, 0x00, 0x00, 0x00, 0x0f, 0x05];
    // The routine that is not used says whether this is an x86_64.
    let _ = routine(&CALL)?;
    let start = USER_END - CALL.len() as u64;
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    segment.write(PAGE_BYTES - CALL.len() as u64, &CALL)?;
    let space = program().space();
    space.map(USER_END - PAGE_BYTES, &segment, 0..PAGE_BYTES, Rights::READ_EXECUTE)?;
    let stopped = ends_in_fault(space, move || conformance::run_at(start))?;
    space.unmap(USER_END - PAGE_BYTES..USER_END)?;
    ensure!(stopped, "it went on behind the end");
    Ok(())
}
