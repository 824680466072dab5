//! Registers: what a thread has in them is its own, across calls, preemption and switches.

#![no_std]
#![no_main]

extern crate alloc;

use conformance::{
    CLAIM_PRIORITY, Claim, KERNEL_ADDRESSES, Room, Verdict, claim, ensure, ensure_eq, refused, run, run_at,
    the_kernel_passes_its_own_checks,
};
use core::time::Duration;
use libvas::raw::{self, SAVED_REGISTERS};
use libvas::thread::{self, Builder, JoinHandle};
use libvas::{Error, PAGE_BYTES, Rights, Segment, clock, program};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(general_registers_survive_calls),
        claim!(no_call_leaves_anything_of_the_kernels_in_registers),
        claim!(general_registers_survive_another_threads_turn),
        claim!(computations_survive_preemption),
        claim!(vector_registers_survive_calls),
        claim!(vector_registers_survive_preemption),
        claim!(vector_registers_survive_a_switch_of_space),
        claim!(a_new_thread_finds_no_others_vector_registers),
        claim!(the_thread_pointer_is_each_threads_own),
        claim!(the_thread_pointer_must_be_a_user_address),
        claim!(a_base_that_is_no_address_is_the_threads_own_trouble),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("registers", CLAIMS)
}

/// A pattern for each register that a call keeps.
fn patterns(seed: u64) -> [u64; SAVED_REGISTERS] {
    core::array::from_fn(|index| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (index as u64 + 1) << 56)
}

/// Two threads of one priority, both started before either runs.
fn both<T: Send + 'static>(body: fn(u64) -> T) -> Result<[T; 2], Error> {
    let start = |seed| -> Result<JoinHandle<T>, Error> {
        Builder::new().priority(CLAIM_PRIORITY - 1).spawn(move || body(seed))
    };
    let (first, second) = (start(1)?, start(2)?);
    Ok([first.join()?, second.join()?])
}

/// The registers that the ABI says a call keeps are kept: by fast calls, common calls and refused ones.
fn general_registers_survive_calls() -> Verdict {
    let space = program().space().handle().bits();
    let calls = [
        (number::null, 0),
        (number::space_switch, space),
        (number::space_switch, 0),
        (number::clock, 0),
        (number::yield_now, 0),
        (number::sleep, 100_000),
        (number::capability_delete, u64::MAX),
        (u64::MAX, 0),
    ];
    for (seed, (call, argument)) in calls.into_iter().enumerate() {
        let before = patterns(seed as u64 + 1);
        let after = raw::call_with_registers(call, argument, before);
        ensure!(after == before, "call {call} changed {before:x?} to {after:x?}");
    }
    Ok(())
}

/// What a call does not keep holds what the caller had there, or nothing: after calls that the kernel serves at once, that
/// leave it something to do, that give way to another thread, that it refuses, and that there are not.
fn no_call_leaves_anything_of_the_kernels_in_registers() -> Verdict {
    const FILLER: u64 = 0x0074_6573_7365_7261;
    fn ensure_clean(call: u64, argument: u64) -> Verdict {
        let lost = raw::lost_registers(call, argument, FILLER);
        let is_own = |word: &u64| [0, FILLER, argument, call].contains(word);
        ensure!(lost.iter().all(is_own), "call {call} leaves {lost:x?}");
        Ok(())
    }
    let segment = || -> Result<u64, Error> {
        Ok(core::mem::ManuallyDrop::new(Segment::new(program().account(), PAGE_BYTES)?).handle().bits())
    };
    let space = program().space().handle().bits();
    for (call, argument) in [
        (number::null, 0),
        (number::space_switch, space),
        (number::space_switch, 0),
        (number::clock, 0),
        (number::yield_now, 0),
        (number::sleep, 100_000),
        (number::capability_delete, segment()?),
        (number::capability_delete, u64::MAX),
        (number::table_stop_threads, u64::MAX),
        (u64::MAX, 0),
    ] {
        ensure_clean(call, argument)?;
    }
    // With somebody of the same priority to give way to.
    let [first, second] = both(|_| (0..50).try_for_each(|_| ensure_clean(number::yield_now, 0)))?;
    first.and(second)
}

/// Registers are kept while another thread, with others in them, has its turn.
fn general_registers_survive_another_threads_turn() -> Verdict {
    fn exchange(seed: u64) -> u64 {
        let kept = |round: u64| {
            let before = patterns(seed * 1000 + round);
            let call = if round.is_multiple_of(2) { (number::yield_now, 0) } else { (number::sleep, 1000) };
            raw::call_with_registers(call.0, call.1, before) == before
        };
        (0..200).filter(|round| kept(*round)).count() as u64
    }
    ensure_eq!(both(exchange)?, [200, 200]);
    Ok(())
}

/// Two long computations that share the CPU by the timer give what each gives alone.
fn computations_survive_preemption() -> Verdict {
    fn mix(seed: u64, rounds: u64) -> u64 {
        (0..rounds).fold(seed, |word, round| {
            core::hint::black_box(word.rotate_left(7).wrapping_mul(0x2545_f491_4f6c_dd1d) ^ round)
        })
    }
    fn mix_for_a_while(seed: u64) -> (u64, u64) {
        let (end, mut word, mut rounds) = (clock::now() + Duration::from_millis(60), seed, 0);
        while clock::now() < end {
            word = mix(word, 10_000);
            rounds += 1;
        }
        (word, rounds)
    }
    for (seed, (word, rounds)) in (1..).zip(both(mix_for_a_while)?) {
        let alone = (0..rounds).fold(seed, |word, _| mix(word, 10_000));
        ensure_eq!(word, alone);
    }
    Ok(())
}

const VECTORS: [u64; 4] = [0x1111_2222_3333_4444, 0x5555, u64::MAX, 0x8000_0000_0000_0001];

/// Vector registers are kept by calls, also by those that copy much memory or fail.
fn vector_registers_survive_calls() -> Verdict {
    let room = Room::new(1)?;
    raw::set_vector_registers(VECTORS);
    let mut bytes = [0; 600];
    program().space().read(room.address(), &mut bytes)?;
    refused(program().space().read(0, &mut bytes), Error::BadAddress)?;
    drop(program().new_space()?);
    thread::yield_now();
    ensure_eq!(raw::vector_registers(), VECTORS);
    Ok(())
}

/// Two spinning threads with different vector registers never see each other's.
fn vector_registers_survive_preemption() -> Verdict {
    fn hold(seed: u64) -> u64 {
        let mine = VECTORS.map(|value| value ^ seed << 40);
        raw::set_vector_registers(mine);
        let end = clock::now() + Duration::from_millis(80);
        let mut strange = 0;
        while clock::now() < end {
            strange += (0..1000).filter(|_| raw::vector_registers() != mine).count() as u64;
        }
        strange
    }
    ensure_eq!(both(hold)?, [0, 0]);
    Ok(())
}

/// Vector registers are the thread's, whatever space it is in.
fn vector_registers_survive_a_switch_of_space() -> Verdict {
    let space = program().new_space()?;
    raw::set_vector_registers(VECTORS);
    let inside = space.enter(raw::vector_registers)?;
    ensure_eq!((inside, raw::vector_registers()), (VECTORS, VECTORS));
    Ok(())
}

/// A thread begins with empty vector registers, not with what another left there.
fn a_new_thread_finds_no_others_vector_registers() -> Verdict {
    raw::set_vector_registers([u64::MAX; 4]);
    let found = thread::spawn(raw::vector_registers)?.join()?;
    ensure_eq!(found, [0; 4]);
    Ok(())
}

/// Each thread's thread pointer leads to its own word, across turns.
fn the_thread_pointer_is_each_threads_own() -> Verdict {
    static WORDS: [u64; 2] = [111, 222];
    fn follow(seed: u64) -> Result<u64, Error> {
        let word = &WORDS[seed as usize - 1];
        thread::set_pointer((&raw const *word).expose_provenance() as u64)?;
        for _ in 0..100 {
            // SAFETY: this thread's pointer was just set to a static word.
            if unsafe { raw::thread_pointer_word() } != *word {
                return Ok(0);
            }
            thread::yield_now();
        }
        Ok(*word)
    }
    let [first, second] = both(follow)?;
    ensure_eq!((first?, second?), (111, 222));
    Ok(())
}

/// The thread pointer cannot be set to the kernel's half or to no address at all.
fn the_thread_pointer_must_be_a_user_address() -> Verdict {
    for address in KERNEL_ADDRESSES.into_iter().chain([1 << 47, 1 << 48, 1 << 63, u64::MAX]) {
        refused(thread::set_pointer(address), Error::BadAddress)?;
    }
    thread::set_pointer(0)?;
    Ok(())
}

/// A thread that sets its thread pointer, or x86_64's GS base, to what is no address of any half faults at most: others
/// run, and it goes on when its turn comes.
fn a_base_that_is_no_address_is_the_threads_own_trouble() -> Verdict {
    // x86_64: `mov rax, imm64; wrfsbase rax; ret`, and the same with `wrgsbase`. aarch64: `mov x0, imm16, lsl; msr
    // tpidr_el0, x0; ret`.
    let codes: [alloc::vec::Vec<u8>; 2] = if raw::ELF_MACHINE == 62 {
        [0xd0, 0xd8].map(|which| {
            let mut code = alloc::vec![0x48, 0xb8];
            code.extend((1_u64 << 63).to_le_bytes());
            code.extend([0xf3, 0x48, 0x0f, 0xae, which, 0xc3]);
            code
        })
    } else {
        [0xd2f0_0000_u32, 0xd2d5_5560]
            .map(|load| [load, 0xd51b_d040, 0xd65f_03c0].map(u32::to_le_bytes).as_flattened().to_vec())
    };
    for code in codes {
        let segment = Segment::new(program().account(), PAGE_BYTES)?;
        segment.write(0, &code)?;
        let room = Room::with(segment, 1, Rights::READ_EXECUTE)?;
        let address = room.address();
        let thread = thread::spawn(move || {
            run_at(address);
            (0..10).for_each(|_| thread::sleep(Duration::from_micros(200)));
        })?;
        (0..10).for_each(|_| thread::sleep(Duration::from_micros(300)));
        // Where the hardware refuses the value, or the instruction, the thread has faulted.
        ensure!(matches!(thread.join(), Ok(()) | Err(Error::Faulted)), "the thread was stopped otherwise");
    }
    Ok(())
}
