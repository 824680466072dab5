//! Registers of threads that move from CPU to CPU, and what a change of thread does to an exclusive access.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use conformance::{
    Claim, Failure, Room, Routine, Verdict, claim, ensure_eq, needs_cpus, on_cpu, run_on,
    the_kernel_passes_its_own_checks,
};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use libvas::{clock, counters, raw, thread};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(vector_registers_move_with_their_thread),
        claim!(the_thread_pointer_moves_with_its_thread),
        claim!(an_exclusive_access_ends_with_the_thread_s_turn),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run_on("smp_registers", CLAIMS, 1)
}

/// How often a thread is moved.
const MOVES: u64 = 60;

/// Moves a thread from CPU to CPU, wherever it is in `is_well`, which it asks again and again; gives how often the answer
/// was no. `begin` is called once in the thread before.
fn moved_about(
    begin: impl FnOnce() + Send + 'static,
    is_well: impl Fn() -> bool + Send + 'static,
) -> Result<u64, Failure> {
    let cpus = counters::cpus()?;
    let stop = Arc::new(AtomicBool::new(false));
    let watched = Arc::clone(&stop);
    let mover = on_cpu(0).spawn(move || {
        begin();
        let mut wrong = 0;
        while !watched.load(Ordering::Relaxed) {
            wrong += u64::from(!is_well());
        }
        wrong
    })?;
    for round in 0..MOVES {
        mover.thread().set_affinity(1 << (round % cpus))?;
        clock::sleep(Duration::from_millis(1));
    }
    stop.store(true, Ordering::Relaxed);
    Ok(mover.join()?)
}

/// A thread that is moved from CPU to CPU while it computes finds its vector registers as it left them. On each CPU another
/// thread has others.
fn vector_registers_move_with_their_thread() -> Verdict {
    const VALUES: [u64; 4] = [0x1111_2222_3333_4444, 0x5555, u64::MAX, 0x8000_0000_0000_0001];
    needs_cpus(2)?;
    for cpu in 0..counters::cpus()? {
        on_cpu(cpu).spawn(move || raw::set_vector_registers([cpu; 4]))?.join()?;
    }
    let wrong = moved_about(|| raw::set_vector_registers(VALUES), || raw::vector_registers() == VALUES)?;
    ensure_eq!(wrong, 0);
    Ok(())
}

/// A thread that is moved from CPU to CPU keeps its thread pointer.
fn the_thread_pointer_moves_with_its_thread() -> Verdict {
    static WORD: u64 = 0x5a5a_1234;
    needs_cpus(2)?;
    let begin = || {
        // Refused for addresses of the kernel's only.
        let _ = thread::set_pointer((&raw const WORD).expose_provenance() as u64);
    };
    // SAFETY: the pointer was just set to a static word.
    let wrong = moved_about(begin, || unsafe { raw::thread_pointer_word() } == WORD)?;
    ensure_eq!(wrong, 0);
    Ok(())
}

/// A store that is the second half of an exclusive access fails if another thread had a turn in between, so that what that
/// one stored is not lost.
fn an_exclusive_access_ends_with_the_thread_s_turn() -> Verdict {
    // A call loses what is in x0 to x17, so x19 and x20 hold address and value: stp x19, x20, [sp, #-16]!; mov x19, x0; ldxr x20, [x19];
    // mov x8, #3 (yield_now); svc #0; add x20, x20, #1; stxr w0, x20, [x19]; ldp x19, x20, [sp], #16; ret
    let across = [
        0xa9bf_53f3,
        0xaa00_03f3,
        0xc85f_7e74,
        0xd280_0068,
        0xd400_0001,
        0x9100_0694,
        0xc800_7e74,
        0xa8c1_53f3,
        0xd65f_03c0,
    ];
    // 1: ldxr x9, [x0]; add x9, x9, #1; stxr w10, x9, [x0]; cbnz w10, 1b; mov x0, #0; ret
    let at_once = [0xc85f_7c09, 0x9100_0529, 0xc80a_7c09, 0x35ff_ffaa, 0xd280_0000, 0xd65f_03c0];
    let skip = || Failure::skip("x86_64 has no accesses in two halves".into());
    let (across, at_once) =
        (Routine::new(&[], &across)?.ok_or_else(skip)?, Routine::new(&[], &at_once)?.ok_or_else(skip)?);
    let room = Room::new(1)?;
    room.word(0)?.set(0);
    let (address, across, at_once) = (room.address(), across.function(), at_once.function());
    let torn = on_cpu(0).spawn(move || (0..50).filter(|_| across(address) != 0).count())?;
    let whole = on_cpu(0).spawn(move || {
        (0..50).for_each(|_| {
            at_once(address);
            thread::yield_now();
        });
    })?;
    whole.join()?;
    ensure_eq!((torn.join()?, room.word(0)?.get()), (50, 50));
    Ok(())
}
