//! Fallbacks: where a thread lands when its space is destroyed under it, and that it stops without one.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, Failure, KERNEL_ADDRESSES, Routine, SpareStack, UNMAPPED, Verdict, attempt, claim, ensure, ensure_eq,
    refused, run, run_at, set_fallback, the_kernel_passes_its_own_checks, value_at, wait_for_state, wait_until,
};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use libvas::layout::FallbackReason;
use libvas::thread::{self, JoinHandle, ThreadState};
use libvas::{Cap, CapTable, Error, PAGE_BYTES, Rights, Segment, Space, Thread, program, raw};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(a_sleeping_thread_lands_at_its_fallback),
        claim!(a_ready_thread_lands_at_its_fallback),
        claim!(a_joining_thread_lands_at_its_fallback),
        claim!(a_thread_that_destroys_its_own_space_lands),
        claim!(without_a_fallback_the_thread_stops),
        claim!(without_a_fallback_who_destroys_the_own_space_stops),
        claim!(a_fallback_that_was_taken_away_does_not_count),
        claim!(a_fallback_into_the_space_that_goes_does_not_count),
        claim!(a_fallback_is_not_used_while_its_space_lives),
        claim!(a_landing_finds_fresh_flags_and_control_words),
        claim!(a_landing_can_allocate_and_copy),
        claim!(a_landing_finds_empty_vector_registers_and_keeps_its_own),
        claim!(a_thread_that_has_not_started_goes_with_its_space),
        claim!(a_fallback_needs_a_right_and_user_addresses),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("fallback", CLAIMS)
}

const LONG: Duration = Duration::from_secs(3600);

/// The exit code of a thread that landed.
const LANDED: u64 = 55;

/// The reason code that the last landing got.
static REASON: AtomicU64 = AtomicU64::new(0);

extern "C" fn landing(reason: u64, _: u64) -> ! {
    REASON.store(reason, Ordering::Relaxed);
    thread::exit(LANDED)
}

/// Starts a thread that has the home space as fallback, enters `space` by a capability that it does not own, and
/// goes on with `body` there.
fn thread_in(space: &Cap<Space>, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    thread_to_land(space, landing, body)
}

/// The same for one that lands elsewhere.
fn thread_to_land(
    space: &Cap<Space>,
    landing: extern "C" fn(u64, u64) -> !,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    REASON.store(0, Ordering::Relaxed);
    let handle = space.handle();
    thread::spawn(move || {
        let space = core::mem::ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        if set_fallback(program().space(), landing, SpareStack::new()).is_ok() && space.switch().is_ok() {
            body();
        }
    })
}

/// Fails unless the thread has landed at its fallback because its space was destroyed.
#[track_caller]
fn has_landed(thread: &JoinHandle<()>) -> Verdict {
    ensure_eq!(thread.thread().join(), Ok(LANDED));
    ensure_eq!(REASON.load(Ordering::Relaxed), FallbackReason::SpaceDestroyed as u64);
    Ok(())
}

/// A thread that sleeps in a space lands when the space goes, long before its time.
fn a_sleeping_thread_lands_at_its_fallback() -> Verdict {
    let space = program().new_space()?;
    let thread = thread_in(&space, || thread::sleep(LONG))?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    ensure_eq!(space.info()?.threads, 1);
    drop(space);
    has_landed(&thread)
}

/// A thread that is ready to run in a space lands when the space goes.
fn a_ready_thread_lands_at_its_fallback() -> Verdict {
    let space = program().new_space()?;
    let thread = thread_in(&space, || {
        loop {
            thread::yield_now();
        }
    })?;
    wait_until(|| Ok(space.info()?.threads == 1))?;
    drop(space);
    has_landed(&thread)
}

/// A thread that waits for another lands when its space goes; the one it waited for is not disturbed.
fn a_joining_thread_lands_at_its_fallback() -> Verdict {
    let space = program().new_space()?;
    let target = thread::spawn(|| thread::sleep(LONG))?;
    let to_join = target.thread().derive(Rights::WAIT, 0)?;
    let thread = thread_in(&space, move || assert!(to_join.join().is_ok()))?;
    wait_for_state(thread.thread(), ThreadState::Joining)?;
    // On a busy machine it may not have got there yet.
    wait_for_state(target.thread(), ThreadState::Sleeping)?;
    drop(space);
    has_landed(&thread)?;
    ensure_eq!(target.thread().info()?.state, ThreadState::Sleeping as u64);
    target.thread().stop()?;
    refused(target.join(), Error::Gone)
}

/// A thread that gives up the last capability to the space it is in lands, instead of coming back.
fn a_thread_that_destroys_its_own_space_lands() -> Verdict {
    let space = program().new_space()?;
    let handle = space.handle();
    let thread = thread_in(&space, move || drop(Cap::<Space>::from_handle(handle)))?;
    has_landed(&thread)?;
    refused(space.delete(), Error::BadHandle)
}

/// A thread without a fallback, asleep or ready, is stopped with its space.
fn without_a_fallback_the_thread_stops() -> Verdict {
    for asleep in [true, false] {
        let space = program().new_space()?;
        let wait = if asleep { || thread::sleep(LONG) } else { || thread::yield_now() };
        let thread = thread::spawn_in(&space, move || {
            loop {
                wait();
            }
        })?;
        wait_for_state(thread.thread(), if asleep { ThreadState::Sleeping } else { ThreadState::Ready })?;
        drop(space);
        ensure_eq!(thread.join(), Err::<(), _>(Error::Gone));
    }
    Ok(())
}

/// A thread without a fallback that destroys the space it is in is stopped at that moment.
fn without_a_fallback_who_destroys_the_own_space_stops() -> Verdict {
    static WENT_ON: AtomicU64 = AtomicU64::new(0);
    let handle = program().new_space()?.into_handle();
    let thread = thread::spawn(move || {
        let space = Cap::<Space>::from_handle(handle);
        if space.switch().is_ok() {
            drop(space);
            WENT_ON.store(1, Ordering::Relaxed);
        }
    })?;
    ensure_eq!(thread.join(), Err(Error::Gone));
    ensure_eq!(WENT_ON.load(Ordering::Relaxed), 0);
    Ok(())
}

/// After a thread has taken its fallback away, it is stopped with its space.
fn a_fallback_that_was_taken_away_does_not_count() -> Verdict {
    let space = program().new_space()?;
    let thread = thread_in(&space, || {
        thread::clear_fallback();
        thread::sleep(LONG);
    })?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    drop(space);
    ensure_eq!(thread.join(), Err(Error::Gone));
    ensure_eq!(REASON.load(Ordering::Relaxed), 0);
    Ok(())
}

/// A fallback into the very space that goes is none.
fn a_fallback_into_the_space_that_goes_does_not_count() -> Verdict {
    let space = program().new_space()?;
    let handle = space.handle();
    let thread = thread_in(&space, move || {
        let space = core::mem::ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        if set_fallback(&space, landing, SpareStack::new()).is_ok() {
            thread::sleep(LONG);
        }
    })?;
    wait_for_state(thread.thread(), ThreadState::Sleeping)?;
    drop(space);
    ensure_eq!(thread.join(), Err(Error::Gone));
    Ok(())
}

/// Where a landing finds the code that reads flags and control words.
static PROBE: AtomicU64 = AtomicU64::new(0);

extern "C" fn landing_that_reads(_: u64, _: u64) -> ! {
    thread::exit(value_at(PROBE.load(Ordering::Relaxed)))
}

/// Moves a vector of bytes by one within itself, backwards through memory, and copies it: what code that was compiled
/// does with string instructions, or with vectors.
extern "C" fn landing_that_copies(_: u64, _: u64) -> ! {
    let mut bytes: Vec<u8> = (0..100_000_u32).map(|index| index as u8).collect();
    bytes.copy_within(0..99_999, 1);
    let copy = bytes.clone();
    let is_right = copy[0] == 0 && copy[1..].iter().zip(0..99_999_u32).all(|(byte, index)| *byte == index as u8);
    thread::exit(if is_right { LANDED } else { 0 })
}

/// Lets a thread land that is in the middle of arithmetic with flags and control words of its own; gives its exit code.
fn land_disturbed(landing: extern "C" fn(u64, u64) -> !) -> Result<u64, Failure> {
    // x86_64: `fninit; push 0x340; fldcw [rsp]; fld1; fld1; push 0x6000; ldmxcsr [rsp]; pushfq; or dword ptr [rsp],
    // DF|NT|AC; popfq; jmp .`: backwards through strings, alignment checked, every exception unmasked, rounding towards
    // zero, the x87 stack not empty.
    let x86_64 = [
        0xdb, 0xe3, 0x68, 0x40, 0x03, 0x00, 0x00, 0xd9, 0x2c, 0x24, 0xd9, 0xe8, 0xd9, 0xe8, 0x68, 0x00, 0x60, 0x00,
        0x00, 0x0f, 0xae, 0x14, 0x24, 0x9c, 0x81, 0x0c, 0x24, 0x00, 0x44, 0x04, 0x00, 0x9d, 0xeb, 0xfe,
    ];
    // aarch64: `movz x0, #0xc0, lsl #16; msr fpcr, x0; b .`: rounding towards zero.
    let code = Segment::new(program().account(), PAGE_BYTES)?;
    if raw::ELF_MACHINE == X86_64 {
        code.write(0, &x86_64)?;
    } else {
        code.write(0, [0xd2a0_1800_u32, 0xd51b_4400, 0x1400_0000].map(u32::to_le_bytes).as_flattened())?;
    }
    let (space, address) = (program().new_space()?, conformance::fresh_address());
    space.map(address, &code, 0..PAGE_BYTES, Rights::READ_EXECUTE)?;
    let handle = space.handle();
    let thread = thread::spawn(move || {
        let space = core::mem::ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        if set_fallback(program().space(), landing, SpareStack::new()).is_ok() && space.switch().is_ok() {
            run_at(address);
        }
    })?;
    wait_until(|| Ok(space.info()?.threads == 1))?;
    thread::sleep(Duration::from_millis(30));
    drop(space);
    Ok(thread.thread().join()?)
}

/// What an ELF file for x86_64 says of its machine.
const X86_64: u16 = 62;

/// A thread that is in the middle of arithmetic with flags and control words of its own finds those of a new thread where
/// it lands: what a function expects at its entry.
fn a_landing_finds_fresh_flags_and_control_words() -> Verdict {
    // x86_64: `sub rsp, 8; stmxcsr [rsp]; mov eax, [rsp]; fnstcw [rsp]; movzx ecx, word ptr [rsp]; shl rcx, 48; or rax, rcx;
    // add rsp, 8; pushfq; pop rdx; and edx, TF|DF|NT|AC; shl rdx, 16; or rax, rdx; ret`: MXCSR, then the flags, and the x87
    // control word in the upper 16 bits. aarch64: `mrs x0, fpcr; ret`.
    let x86_64 = [
        0x48, 0x83, 0xec, 0x08, 0x0f, 0xae, 0x1c, 0x24, 0x8b, 0x04, 0x24, 0xd9, 0x3c, 0x24, 0x0f, 0xb7, 0x0c, 0x24,
        0x48, 0xc1, 0xe1, 0x30, 0x48, 0x09, 0xc8, 0x48, 0x83, 0xc4, 0x08, 0x9c, 0x5a, 0x81, 0xe2, 0x00, 0x45, 0x04,
        0x00, 0x48, 0xc1, 0xe2, 0x10, 0x48, 0x09, 0xd0, 0xc3,
    ];
    let probe = Routine::new(&x86_64, &[0xd53b_4400, 0xd65f_03c0])?.ok_or(Error::BadState)?;
    PROBE.store(probe.function() as usize as u64, Ordering::Relaxed);
    let fresh = if raw::ELF_MACHINE == X86_64 { 0x37f << 48 | 0x1f80 } else { 0 };
    ensure_eq!(land_disturbed(landing_that_reads)?, fresh);
    Ok(())
}

/// A thread that is interrupted while it goes backwards through strings can allocate and copy where it lands.
fn a_landing_can_allocate_and_copy() -> Verdict {
    ensure_eq!(land_disturbed(landing_that_copies)?, LANDED);
    Ok(())
}

/// What a landed thread holds in vector registers.
const OWN: [u64; 4] = [7, 8, 9, 10];

extern "C" fn landing_with_vectors(_: u64, _: u64) -> ! {
    let is_empty = raw::vector_registers() == [0; 4];
    raw::set_vector_registers(OWN);
    // Others that use the registers run meanwhile.
    (0..4).for_each(|_| thread::sleep(Duration::from_millis(1)));
    thread::exit(if is_empty && raw::vector_registers() == OWN { LANDED } else { 0 })
}

/// A thread that uses vector registers lands with empty ones, and keeps what it then puts there, whatever it was doing.
fn a_landing_finds_empty_vector_registers_and_keeps_its_own() -> Verdict {
    let sleeps = || thread::sleep(LONG);
    let spins = || loop {
        core::hint::spin_loop();
    };
    let yields = || loop {
        thread::yield_now();
    };
    for body in [sleeps as fn(), spins, yields] {
        let space = program().new_space()?;
        let thread = thread_to_land(&space, landing_with_vectors, move || {
            raw::set_vector_registers([u64::MAX; 4]);
            body();
        })?;
        wait_until(|| Ok(space.info()?.threads == 1))?;
        thread::sleep(Duration::from_millis(5));
        drop(space);
        while thread.thread().info()?.state == ThreadState::Ready as u64
            || thread.thread().info()?.state == ThreadState::Sleeping as u64
        {
            raw::set_vector_registers([u64::MAX; 4]);
            thread::yield_now();
        }
        ensure_eq!(thread.thread().join(), Ok(LANDED));
    }
    Ok(())
}

/// A space that a thread is not in can go without the thread noticing, even if it was there before.
fn a_fallback_is_not_used_while_its_space_lives() -> Verdict {
    let (space, other) = (program().new_space()?, program().new_space()?);
    let other_handle = other.handle();
    let thread = thread_in(&space, move || {
        let other = Cap::<Space>::from_handle(other_handle);
        let visited = other.enter(|| ()).is_ok();
        drop(other);
        thread::exit(u64::from(visited));
    })?;
    ensure_eq!(thread.thread().join(), Ok(1));
    ensure_eq!(REASON.load(Ordering::Relaxed), 0);
    refused(other.delete(), Error::BadHandle)
}

/// A thread made for a space that went before it was started can never be started.
fn a_thread_that_has_not_started_goes_with_its_space() -> Verdict {
    let space = program().new_space()?;
    let table = CapTable::new(program().account(), 1)?;
    let thread = Thread::new(program().account(), &table, &space, 0)?;
    drop(space);
    refused(thread.join(), Error::Gone)?;
    let words = [thread.handle().bits(), UNMAPPED, UNMAPPED, 0, 0, 0];
    refused(attempt(number::thread_start, words), Error::BadState)
}

/// A fallback is refused without the right to switch, and where no user code or stack can be.
fn a_fallback_needs_a_right_and_user_addresses() -> Verdict {
    let space = program().new_space()?;
    let inspect = space.derive(Rights::all() - Rights::SWITCH, 0)?;
    refused(set_fallback(&inspect, landing, SpareStack::new()), Error::MissingRight)?;
    for bad in KERNEL_ADDRESSES.into_iter().chain([1 << 47, 1 << 63]) {
        for (ip, sp) in [(bad, UNMAPPED), (UNMAPPED, bad + 16)] {
            let words = [space.handle().bits(), ip, sp, 0, 0, 0];
            let result = attempt(number::thread_set_fallback, words);
            ensure!(result == Err(Error::BadAddress), "fallback to {ip:#x}, {sp:#x}: {result:?}");
        }
    }
    Ok(())
}
