//! Instructions and registers that user mode has and the kernel does not mediate: waiting, caches, and what can be set to
//! anything at all.

#![no_std]
#![no_main]

extern crate alloc;

use conformance::{
    Claim, Code, Failure, KERNEL_ADDRESSES, Room, Routine, UNMAPPED, Verdict, claim, ends_in_fault, ensure, ensure_eq,
    fresh_address, run, the_kernel_passes_its_own_checks, value_at,
};
use libvas::{PAGE_BYTES, Rights, Segment, code, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(waiting_for_an_interrupt_is_yielding),
        claim!(code_written_elsewhere_runs_when_it_was_published),
        claim!(publishing_reaches_no_further_than_reading),
        claim!(clearing_by_cache_block_needs_the_right_to_write),
        claim!(any_thread_pointer_is_kept),
        claim!(floating_point_control_is_kept),
        claim!(a_stack_pointer_that_is_not_aligned_is_kept),
        claim!(registers_of_the_machine_are_out_of_reach),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("instructions", CLAIMS)
}

/// The routine, or the end of the claim where the processor has nothing of the kind.
fn routine(x86_64: &[u8], aarch64: &[u32]) -> Result<Routine, Failure> {
    Routine::new(x86_64, aarch64)?.ok_or_else(|| Failure::skip("this processor has nothing of the kind".into()))
}

/// A thread that waits for interrupts, though none is due, comes to its end.
fn waiting_for_an_interrupt_is_yielding() -> Verdict {
    // 1: pause; dec rdi; jnz 1b; xor eax, eax; ret
    let x86_64 = [0xf3, 0x90, 0x48, 0xff, 0xcf, 0x75, 0xf9, 0x31, 0xc0, 0xc3];
    // 1: wfi; wfe; subs x0, x0, #1; b.ne 1b; ret
    let wait = routine(&x86_64, &[0xd503_207f, 0xd503_205f, 0xf100_0400, 0x54ff_ffa1, 0xd65f_03c0])?;
    ensure_eq!(wait.call(1000), 0);
    Ok(())
}

/// Code that is changed through one mapping runs changed through another one after `code::publish`.
fn code_written_elsewhere_runs_when_it_was_published() -> Verdict {
    let (writable, executable) = (fresh_address(), fresh_address());
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    let space = program().space();
    space.map(writable, &segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    space.map(executable, &segment, 0..PAGE_BYTES, Rights::READ_EXECUTE)?;
    for value in 0..200_u32 {
        let bytes = returning(value);
        for (index, byte) in (0..).zip(bytes) {
            conformance::poke(writable + index, byte);
        }
        code::publish(executable..executable + bytes.len() as u64);
        let result = value_at(executable);
        ensure!(result == u64::from(value), "{result} instead of {value}: code from before was run");
    }
    space.unmap(writable..writable + PAGE_BYTES)?;
    space.unmap(executable..executable + PAGE_BYTES)?;
    Ok(())
}

/// A function that gives a number below 65,536.
fn returning(value: u32) -> [u8; 8] {
    let [low, high, ..] = value.to_le_bytes();
    if Code::Return.bytes()[0] == 0xc3 {
        // mov eax, value; ret
        [0xb8, low, high, 0, 0, 0xc3, 0xc3, 0xc3]
    } else {
        // movz x0, value; ret
        let [a, b, c, d] = (0xd280_0000 | value << 5).to_le_bytes();
        let [e, f, g, h] = Code::Return.bytes();
        [a, b, c, d, e, f, g, h]
    }
}

/// Publishing what cannot be read stops the thread, or does nothing where the hardware takes no notice; the kernel goes on,
/// and what can be read is as it was.
fn publishing_reaches_no_further_than_reading() -> Verdict {
    for address in KERNEL_ADDRESSES.into_iter().chain([0, UNMAPPED, 1 << 47, 1 << 63]) {
        ends_in_fault(program().space(), move || code::publish(address..address.saturating_add(64)))?;
    }
    let room = Room::new(1)?;
    room.segment().write(8, &[1, 2, 3])?;
    code::publish(room.address() + 1..room.end());
    code::publish(room.end()..room.address());
    let mut bytes = [0; 3];
    room.segment().read(8, &mut bytes)?;
    ensure_eq!(bytes, [1, 2, 3]);
    Ok(())
}

/// The instruction that clears a cache block is a write: it stops the thread at the kernel's addresses, where nothing is
/// mapped, and where memory is read-only.
fn clearing_by_cache_block_needs_the_right_to_write() -> Verdict {
    // dc zva, x0; ret
    let clear = routine(&[], &[0xd50b_7420, 0xd65f_03c0])?;
    let read_only = Room::with(Segment::new(program().account(), PAGE_BYTES)?, 1, Rights::READ)?;
    for address in KERNEL_ADDRESSES.into_iter().chain([0, UNMAPPED, read_only.address()]) {
        let function = clear.function();
        ensure!(ends_in_fault(program().space(), move || function(address))?, "{address:#x} was cleared");
    }
    let own = Room::new(1)?;
    own.segment().write(0, &[7])?;
    clear.call(own.address());
    let mut byte = [9];
    own.segment().read(0, &mut byte)?;
    ensure_eq!(byte, [0]);
    Ok(())
}

/// Words that no address and no register of control has.
const STRANGE: [u64; 6] = [0, 1, 1 << 47, 1 << 63, 0xffff_8000_0000_0000, u64::MAX];

/// A thread may write to its thread pointer what it likes, by instruction: a call and a turn of others leave it alone.
fn any_thread_pointer_is_kept() -> Verdict {
    // msr tpidr_el0, x0; mov x8, #3 (yield_now); svc #0; mrs x0, tpidr_el0; msr tpidr_el0, xzr; ret
    let set = routine(&[], &[0xd51b_d040, 0xd280_0068, 0xd400_0001, 0xd53b_d040, 0xd51b_d05f, 0xd65f_03c0])?;
    for value in STRANGE {
        ensure_eq!(set.call(value), value);
    }
    Ok(())
}

/// Whatever a thread writes to the floating-point control register, a call leaves it what the processor made of it.
fn floating_point_control_is_kept() -> Verdict {
    // stp x19, x30, [sp, #-16]!; msr fpcr, x0; mrs x19, fpcr; mov x8, #3 (yield_now); svc #0; mrs x0, fpcr;
    // eor x0, x0, x19; msr fpcr, xzr; ldp x19, x30, [sp], #16; ret
    let set = routine(
        &[],
        &[
            0xa9bf_7bf3,
            0xd51b_4400,
            0xd53b_4413,
            0xd280_0068,
            0xd400_0001,
            0xd53b_4400,
            0xca13_0000,
            0xd51b_441f,
            0xa8c1_7bf3,
            0xd65f_03c0,
        ],
    )?;
    for value in STRANGE.into_iter().chain([0x07c0_9f00, 3 << 22]) {
        ensure_eq!(set.call(value), 0);
    }
    Ok(())
}

/// A call with a stack pointer that is not aligned is a call like others: only its use for an access faults.
fn a_stack_pointer_that_is_not_aligned_is_kept() -> Verdict {
    // stp x19, x20, [sp, #-16]!; mov x19, sp; sub x20, x19, x0; mov sp, x20; mov x8, #3 (yield_now); svc #0; mov x20, sp;
    // mov sp, x19; sub x0, x19, x20; ldp x19, x20, [sp], #16; ret
    let aarch64 = [
        0xa9bf_53f3,
        0x9100_03f3,
        0xcb00_0274,
        0x9100_029f,
        0xd280_0068,
        0xd400_0001,
        0x9100_03f4,
        0x9100_027f,
        0xcb14_0260,
        0xa8c1_53f3,
        0xd65f_03c0,
    ];
    // push rbx; mov rbx, rsp; sub rsp, rdi; mov eax, 3; syscall; mov rax, rbx; sub rax, rsp; mov rsp, rbx; pop rbx; ret
    let x86_64 = [
        0x53, 0x48, 0x89, 0xe3, 0x48, 0x29, 0xfc, 0xb8, 3, 0, 0, 0, 0x0f, 0x05, 0x48, 0x89, 0xd8, 0x48, 0x29, 0xe0,
        0x48, 0x89, 0xdc, 0x5b, 0xc3,
    ];
    let shift = routine(&x86_64, &aarch64)?;
    for bytes in [0, 1, 3, 7, 8, 9, 4095] {
        ensure_eq!(shift.call(bytes), bytes);
    }
    Ok(())
}

/// What tells of the machine, stops it or changes it for others stops the thread that tries it; the virtual counter and
/// the cache type are there for all.
fn registers_of_the_machine_are_out_of_reach() -> Verdict {
    const RETURN: u32 = 0xd65f_03c0;
    let forbidden = [
        // mrs x0: cntpct_el0, cntv_ctl_el0, cntp_tval_el0, pmccntr_el0, midr_el1, daif, scxtnum_el0, currentel
        0xd53b_e020,
        0xd53b_e320,
        0xd53b_e200,
        0xd53b_9d00,
        0xd538_0000,
        0xd53b_4220,
        0xd53b_d0e0,
        0xd538_4240,
        // msr daifset, #2; tlbi vmalle1; ic iallu; dc isw, x0; dc ivac, x0; msr tpidrro_el0, x0
        0xd503_42df,
        0xd508_871f,
        0xd508_751f,
        0xd508_7640,
        0xd508_7620,
        0xd51b_d060,
        // eret; hvc #0; smc #0
        0xd69f_03e0,
        0xd400_0002,
        0xd400_0003,
    ];
    for instruction in forbidden {
        let tried = routine(&[], &[instruction, RETURN])?;
        let function = tried.function();
        ensure!(ends_in_fault(program().space(), move || function(0))?, "{instruction:#x} was executed");
    }
    // mrs x0: ctr_el0, cntvct_el0, dczid_el0, tpidrro_el0
    for instruction in [0xd53b_0020, 0xd53b_e040, 0xd53b_00e0, 0xd53b_d060] {
        routine(&[], &[instruction, RETURN])?.call(0);
    }
    Ok(())
}
