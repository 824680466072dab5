//! Guests whose registers and code make no sense, in large numbers: each comes out, or is refused, and the kernel stays in order.
//!
//! All boots of both architectures together run more than a million of them.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use conformance::{
    Census, Claim, GUEST_CODE, GUEST_DATA, GUEST_LAZY, GUEST_NOTHING, GuestScene, KERNEL_ADDRESSES, Random, Verdict,
    claim, ensure, ensure_eq, needs_cpus, on_cpu, run_on, the_kernel_passes_its_own_checks,
};
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use libvas::guest::{End, GuestContext};
use libvas::{Error, PAGE_BYTES as PAGE, USER_END, clock, raw};
use tessera_abi::guest::GuestState;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(random_registers_come_out_or_are_refused),
        claim!(random_code_comes_out),
        claim!(a_page_that_changes_all_the_time_leads_nowhere),
        claim!(the_kernel_passes_its_own_checks),
    ];
    // Who changes the page is on another CPU.
    run_on("guest_fuzz", CLAIMS, 1)
}

/// Runs of each claim, in each boot.
const REGISTER_FILES: u64 = 120_000;
const CODES: u64 = 60_000;
const CHANGES: u64 = 60_000;

/// Runs between two pages of other code.
const RUNS_OF_A_CODE: u64 = 500;

/// How long random code may go on, nanoseconds.
const RUN_NS: u64 = 20_000;

const IS_X86_64: bool = raw::ELF_MACHINE == 62;

/// General registers that there are.
const GENERAL: usize = if IS_X86_64 { 15 } else { 31 };

/// Two rounds of: a system call; and behind that: a load, a store, a jump to where a register says, a breakpoint, something that is no
/// instruction. None of them leads back, so that every run ends.
const PIECES: (&[u8], &[u32]) = (
    &[
        0x0f, 0x05, 0x48, 0x8b, 0x07, 0x0f, 0x05, 0x48, 0x89, 0x1e, 0x0f, 0x05, 0xdd, 0x07, 0x0f, 0xae, 0x17, 0x0f,
        0x05, 0xcc, 0xf4, 0x0f, 0x05, 0xff, 0xe2, 0x0f, 0x0b,
    ],
    &[
        0xd400_0001,
        0xf940_0000,
        0xd400_0001,
        0xf900_0022,
        0xd400_0001,
        0x3dc0_0060,
        0xd51b_4404,
        0xd400_0001,
        0xd420_0000,
        0xd503_207f,
        0xd400_0001,
        0xd61f_0040,
        0x0000_0000,
    ],
);

/// A word that a page may have: any, or one at which something ends or begins.
fn word(random: &mut Random) -> u64 {
    const PLACES: [u64; 8] =
        [0, GUEST_CODE, GUEST_DATA, GUEST_LAZY, GUEST_NOTHING, USER_END, u64::MAX, GUEST_DATA + PAGE];
    match random.below(6) {
        0 => random.next_word(),
        1 => 1 << random.below(64),
        2 => random.one_of(&KERNEL_ADDRESSES).wrapping_add(random.below(64)),
        3 => random.next_word() >> (16 + random.below(48)),
        _ => random.one_of(&PLACES).wrapping_add(random.below(17)).wrapping_sub(8),
    }
}

/// An address at which a guest can go on, mostly.
fn pointer(random: &mut Random, usual: u64) -> u64 {
    if random.below(8) == 0 { word(random) } else { usual }
}

/// A page of which every word is random.
fn state(random: &mut Random, code_bytes: u64) -> GuestState {
    let step = if IS_X86_64 { 1 } else { 4 };
    let at = GUEST_CODE + random.below(code_bytes / step) * step;
    let usual = word(random) % USER_END;
    GuestState {
        end: 0,
        number: 0,
        address: 0,
        access: 0,
        general: core::array::from_fn(|_| word(random)),
        stack_pointer: pointer(random, GUEST_DATA + PAGE),
        instruction_pointer: pointer(random, at),
        flags: if random.below(4) == 0 { word(random) } else { 0 },
        thread_pointer: pointer(random, usual),
        second_pointer: pointer(random, usual),
        floating: core::array::from_fn(|_| random.next_word()),
    }
}

/// Whether all pointers of a page are a user's, so that the guest is run.
fn can_be_run(state: &GuestState) -> bool {
    let GuestState { instruction_pointer, stack_pointer, thread_pointer, second_pointer, .. } = *state;
    let below = [instruction_pointer, thread_pointer, second_pointer].iter().all(|pointer| *pointer < USER_END);
    below && stack_pointer <= USER_END
}

/// What came out is a guest's: addresses are where it can have been, and it has all registers that a system call at once leaves.
fn ensure_sound(context: &GuestContext, before: &GuestState, end: End) -> Verdict {
    let after = context.state();
    let is_at_once = after.instruction_pointer == before.instruction_pointer + if IS_X86_64 { 2 } else { 4 };
    if matches!(end, End::Call(_)) && is_at_once {
        let is_changed = |number: usize| IS_X86_64 && [2, 10].contains(&number);
        for number in (0..GENERAL).filter(|number| !is_changed(*number)) {
            ensure_eq!((number, after.general[number]), (number, before.general[number]));
        }
        ensure_eq!(after.stack_pointer, before.stack_pointer);
        ensure_eq!(after.thread_pointer, before.thread_pointer);
        let vectors = if IS_X86_64 { 20..52 } else { 0..64 };
        ensure_eq!(after.floating[vectors.clone()], before.floating[vectors]);
    }
    let program_can_set = if IS_X86_64 { 0x24_0dd5 } else { 0xf300_1c00 };
    ensure_eq!(after.flags & !program_can_set, 0);
    Ok(())
}

/// Each register file is refused, or the guest comes out behind a few instructions; a plain system call loses nothing of it.
fn random_registers_come_out_or_are_refused() -> Verdict {
    let (scene, mut random) = (GuestScene::new(PIECES.0, PIECES.1)?, Random::new(0x9_e57));
    let code_bytes = if IS_X86_64 { PIECES.0.len() as u64 } else { 4 * PIECES.1.len() as u64 };
    // It has its memory from here on, and what is promised for the first run.
    scene.data.write(0, &[0; 8])?;
    let (_, before) = (scene.run(), Census::take()?);
    let mut refused = 0;
    for _ in 0..REGISTER_FILES {
        let state = state(&mut random, code_bytes);
        scene.context.set_state(&state);
        let result = if random.below(16) == 0 { scene.step() } else { scene.run() };
        match result {
            Ok(end) => ensure_sound(&scene.context, &state, end)?,
            Err(error) => {
                ensure_eq!((error, can_be_run(&state)), (Error::BadAddress, false));
                refused += 1;
            }
        }
    }
    ensure!(refused > REGISTER_FILES / 20 && refused < REGISTER_FILES / 2, "{refused} are refused");
    // The lazy page may have got its memory.
    ensure_eq!(Census::take()?.settled().machine.capabilities, before.settled().machine.capabilities);
    Ok(())
}

/// Code of which each instruction is random, or one that has to do with the kernel.
fn code(random: &mut Random) -> Vec<u8> {
    if IS_X86_64 {
        let mut bytes: Vec<u8> = (0..PAGE).map(|_| random.next_word().to_le_bytes()[3]).collect();
        for _ in 0..PAGE / 8 {
            let at = random.below(PAGE - 1) as usize;
            bytes[at] = random.one_of(&[0x0f, 0x0f, 0xf0, 0x48, 0xcd, 0xf3, 0x66]);
        }
        leave_out_far_transfers(&mut bytes);
        return bytes;
    }
    let instruction = |random: &mut Random| match random.below(4) {
        // Those of the system: its registers, caches, waiting, exceptions.
        0 => 0xd500_0000 | random.next_word() as u32 & 0x00ff_ffff,
        1 => 0xd400_0000 | random.next_word() as u32 & 0x00ff_ffff,
        _ => random.next_word() as u32,
    };
    (0..PAGE / 4).flat_map(|_| instruction(random).to_le_bytes()).collect()
}

/// QEMU 10 executes some of these where a CPU would not, and gives up ("invalid tss") over others. What a kernel can do about them is
/// claimed in `privileges`.
fn leave_out_far_transfers(bytes: &mut [u8]) {
    const NOP: u8 = 0x90;
    for at in 0..bytes.len() {
        // Of the byte behind an opcode, what says which of its instructions it is.
        let which = bytes.get(at + 1).map_or(0, |next| next >> 3 & 7);
        let is_far = match bytes[at] {
            // retf imm, retf, iret
            0xca | 0xcb | 0xcf => true,
            // mov to cs, and to what is no segment register: it takes those for LDTR and TR
            0x8e => [1, 6, 7].contains(&which),
            // call far, jmp far
            0xff => [3, 5].contains(&which),
            _ => false,
        };
        if is_far {
            bytes[at] = NOP;
        }
    }
}

/// Whatever it does, it ends by itself or when its time is over, and does nothing to anybody.
fn random_code_comes_out() -> Verdict {
    let (scene, mut random) = (GuestScene::new(PIECES.0, PIECES.1)?, Random::new(0xc0de));
    let mut ends = [0_u64; 2];
    for round in 0..CODES {
        if round % RUNS_OF_A_CODE == 0 {
            scene.code.write(0, &code(&mut random))?;
        }
        scene.context.set_state(&state(&mut random, PAGE));
        let deadline_ns = clock::now().as_nanos() as u64 + RUN_NS;
        let result = if random.below(8) == 0 { scene.step() } else { scene.run_until(deadline_ns) };
        match result {
            Ok(End::Deadline) => ends[0] += 1,
            Ok(_) => ends[1] += 1,
            Err(error) => ensure_eq!(error, Error::BadAddress),
        }
    }
    ensure!(ends[1] > CODES / 10, "{ends:?}: many come out by themselves");
    Ok(())
}

/// The page is read and written by the kernel while another CPU writes to it.
fn a_page_that_changes_all_the_time_leads_nowhere() -> Verdict {
    needs_cpus(2)?;
    let scene = Arc::new(GuestScene::new(PIECES.0, PIECES.1)?);
    let is_over = Arc::new(AtomicBool::new(false));
    let (changed, ends) = (Arc::clone(&scene), Arc::clone(&is_over));
    let other = on_cpu(1).spawn(move || {
        let mut random = Random::new(0xbad);
        while !ends.load(SeqCst) {
            let state = state(&mut random, PAGE / 64);
            changed.context.set_state(&state);
        }
    })?;
    let mut random = Random::new(0x600d);
    let mut runs = 0_u64;
    for _ in 0..CHANGES {
        scene.context.set_instruction_pointer(GUEST_CODE);
        let result = if random.below(16) == 0 { scene.step() } else { scene.run() };
        match result {
            Ok(_) => runs += 1,
            Err(error) => ensure_eq!(error, Error::BadAddress),
        }
    }
    is_over.store(true, SeqCst);
    other.join()?;
    ensure!(runs > 0, "some are run");
    Ok(())
}
