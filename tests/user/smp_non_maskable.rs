//! Interrupts that cannot be masked, at any instruction of programs and of the kernel: nobody's work is disturbed.
//! boot: options="machine=control"

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use conformance::{
    Claim, Failure, Routine, Verdict, claim, ensure_eq, needs_cpus, on_cpu, public_machine, run_on,
    the_kernel_passes_its_own_checks,
};
use core::sync::atomic::{AtomicBool, Ordering};
use libvas::layout::Provocation;
use libvas::raw::{self, SAVED_REGISTERS};
use libvas::{counters, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(calls_and_switches_are_not_disturbed),
        claim!(registers_and_bases_are_not_disturbed),
        claim!(each_is_counted),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_non_maskable", CLAIMS, 1)
}

fn routine(code: &[u8]) -> Result<Routine, Failure> {
    Routine::new(code, &[])?.ok_or_else(|| Failure::skip("this processor has no such interrupts".into()))
}

/// How often all CPUs are interrupted, at most: for threads that do nothing else, there would be no end.
const INTERRUPTS_MAX: usize = 2000;

/// Interrupts all CPUs again and again until `is_over`.
fn interrupt_until(is_over: impl Fn() -> bool) -> Verdict {
    for _ in (0..INTERRUPTS_MAX).take_while(|_| !is_over()) {
        public_machine()?.provoke(Provocation::NonMaskableInterrupt)?;
    }
    Ok(())
}

/// Does the same work on every other CPU, interrupted all the while; gives what each gave.
fn interrupted<T: Send + 'static>(work: impl Fn() -> T + Clone + Send + 'static) -> Result<Vec<T>, Failure> {
    let cpus = counters::cpus()?;
    let done: Arc<Vec<AtomicBool>> = Arc::new((1..cpus).map(|_| AtomicBool::new(false)).collect());
    let mut threads = Vec::new();
    for cpu in 1..cpus {
        let (work, done) = (work.clone(), Arc::clone(&done));
        threads.push(on_cpu(cpu).spawn(move || {
            let result = work();
            done[cpu as usize - 1].store(true, Ordering::Release);
            result
        })?);
    }
    interrupt_until(|| done.iter().all(|done| done.load(Ordering::Acquire)))?;
    Ok(threads.into_iter().map(|thread| thread.join()).collect::<Result<_, _>>()?)
}

/// Threads that make the shortest calls there are, as fast as they can, so that every instruction of the entry code is met
/// sometime: all succeed.
fn calls_and_switches_are_not_disturbed() -> Verdict {
    needs_cpus(2)?;
    // push rbx; push r12; mov rbx, rdi; mov r12d, 40000; 1: mov eax, 1 (space_switch); mov rdi, rbx; syscall;
    // test rax, rax; jnz 2f; xor eax, eax (null); syscall; dec r12d; jnz 1b; 2: pop r12; pop rbx; ret
    let switches = routine(&[
        0x53, 0x41, 0x54, 0x48, 0x89, 0xfb, 0x41, 0xbc, 0x40, 0x9c, 0x00, 0x00, 0xb8, 0x01, 0x00, 0x00, 0x00, 0x48,
        0x89, 0xdf, 0x0f, 0x05, 0x48, 0x85, 0xc0, 0x75, 0x09, 0x31, 0xc0, 0x0f, 0x05, 0x41, 0xff, 0xcc, 0x75, 0xe8,
        0x41, 0x5c, 0x5b, 0xc3,
    ])?;
    let (function, space) = (switches.function(), program().space().handle().bits());
    for status in interrupted(move || function(space))? {
        ensure_eq!(status, 0);
    }
    Ok(())
}

/// Threads that have something in every register, the GS base included, find it there.
fn registers_and_bases_are_not_disturbed() -> Verdict {
    needs_cpus(2)?;
    // wrgsbase rdi; mov ecx, 600000; 1: rdgsbase rax; cmp rax, rdi; jne 2f; dec ecx; jnz 1b; 2: ret
    let bases = routine(&[
        0xf3, 0x48, 0x0f, 0xae, 0xdf, 0xb9, 0xc0, 0x27, 0x09, 0x00, 0xf3, 0x48, 0x0f, 0xae, 0xc8, 0x48, 0x39, 0xf8,
        0x75, 0x04, 0xff, 0xc9, 0x75, 0xf2, 0xc3,
    ])?;
    let function = bases.function();
    let work = move || {
        let before: [u64; SAVED_REGISTERS] = core::array::from_fn(|index| 0x0101_0101_0101_0101 * (index as u64 + 1));
        let calls = [number::null, number::clock, number::yield_now];
        let lost = (0..3000).filter(|round| raw::call_with_registers(calls[round % 3], 0, before) != before).count();
        (lost, function(0x5a5a_5a5a_5000))
    };
    for result in interrupted(work)? {
        ensure_eq!(result, (0, 0x5a5a_5a5a_5000));
    }
    Ok(())
}

/// Each CPU counts what nobody can explain.
fn each_is_counted() -> Verdict {
    // ret
    let _ = routine(&[0xc3])?;
    let before = counters::total()?.spurious_interrupts;
    for _ in 0..100 {
        public_machine()?.provoke(Provocation::NonMaskableInterrupt)?;
    }
    // They are counted with the next interrupt.
    conformance::wait_until(|| {
        libvas::clock::sleep(core::time::Duration::from_millis(1));
        Ok(counters::total()?.spurious_interrupts >= before + 50)
    })?;
    Ok(())
}
