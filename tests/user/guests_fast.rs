//! Guests that make system calls all the time: neither side sees the other in any register, whatever is in the page of state, and whatever
//! other CPUs do to it, to the guest and to its space meanwhile.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use conformance::{
    CLAIM_PRIORITY, Claim, GUEST_CALLS, GUEST_CODE, GUEST_NOTHING, GuestCode, GuestScene, Verdict, claim, ensure,
    ensure_eq, needs_cpus, on_cpu, refused, run_on, the_kernel_passes_its_own_checks,
};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use libvas::guest::{End, GuestContext};
use libvas::raw::{self, EveryRegister, ExtraRegisters, KEPT_REGISTERS};
use libvas::thread::{self, Builder, JoinHandle};
use libvas::{Cap, Error, PAGE_BYTES as PAGE, Rights, Segment, USER_END, program};
use tessera_abi::guest::{GuestEnd, GuestState};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(neither_side_sees_or_loses_a_register),
        claim!(who_comes_out_by_a_fault_sees_nothing_either),
        claim!(a_thread_without_vector_registers_has_none_afterwards),
        claim!(a_control_word_that_cannot_be_is_masked),
        claim!(no_pointer_in_the_page_leads_the_kernel_astray),
        claim!(a_call_at_the_end_of_user_memory_comes_out),
        claim!(flags_are_a_programs_whatever_the_page_says),
        claim!(guests_of_several_threads_take_turns),
        claim!(the_page_may_change_at_any_moment),
        claim!(a_kick_from_another_cpu_comes_between_calls),
        claim!(what_is_revoked_on_another_cpu_ends_the_runs),
        claim!(the_kernel_passes_its_own_checks),
    ];
    // What others do, they do on another CPU.
    run_on("guests_fast", CLAIMS, 1)
}

/// A load from where the first argument says.
const LOADS: GuestCode = (&[0x48, 0x8b, 0x07], &[0xf940_0000]);

const IS_X86_64: bool = raw::ELF_MACHINE == 62;

/// What a program has in its registers, and its guest.
const PROGRAM: u64 = 0x0a11_ce00;
const GUEST: u64 = 0x0ca1_1ee0;

/// Where a call's fourth argument lies.
const FOURTH: usize = if IS_X86_64 { 9 } else { 3 };

/// Whether `syscall` itself puts something into a register.
fn is_changed(number: usize) -> bool {
    IS_X86_64 && [2, 10].contains(&number)
}

fn scene((x86_64, aarch64): GuestCode) -> Result<GuestScene, Error> {
    GuestScene::new(x86_64, aarch64)
}

/// Puts something that tells into every register of a guest.
fn fill(context: &GuestContext) {
    let every = EveryRegister::marked(GUEST);
    (0..if IS_X86_64 { 15 } else { 31 }).for_each(|number| context.set_general(number, every.general[number]));
    let words = every.extra.words();
    let mut floating = context.floating();
    let count = if IS_X86_64 { 52 } else { 66 };
    floating[..count].copy_from_slice(&words[..count]);
    context.set_floating(&floating);
    context.set_thread_pointer(GUEST << 8);
    context.set_second_pointer(if IS_X86_64 { GUEST << 9 } else { 0 });
}

/// Checks that all of it is there.
fn ensure_filled(context: &GuestContext) -> Verdict {
    let every = EveryRegister::marked(GUEST);
    for number in (0..if IS_X86_64 { 15 } else { 31 }).filter(|number| !is_changed(*number)) {
        ensure_eq!((number, context.general(number)), (number, every.general[number]));
    }
    let (words, mut floating) = (every.extra.words(), context.floating());
    if IS_X86_64 {
        floating[3] &= 0xffff_ffff;
        (5..20).step_by(2).for_each(|index| floating[index] &= 0xffff);
    }
    let count = if IS_X86_64 { 52 } else { 66 };
    ensure_eq!(floating[..count], words[..count]);
    ensure_eq!(context.thread_pointer(), GUEST << 8);
    ensure_eq!(context.second_pointer(), if IS_X86_64 { GUEST << 9 } else { 0 });
    Ok(())
}

/// Runs a guest with all registers of the program set; gives what they are behind that.
fn run_marked(scene: &GuestScene) -> EveryRegister {
    // SAFETY: the guests here have nothing of this program.
    unsafe { raw::probe_system_call(&before_run(scene)) }
}

fn before_run(scene: &GuestScene) -> EveryRegister {
    let (guest, space) = (scene.context.guest().handle().bits(), scene.space.handle().bits());
    let mut before = EveryRegister::marked(PROGRAM).calling([number::guest_run, guest, space, 0]);
    before.general[FOURTH] = u64::MAX;
    before
}

/// Checks that a program has all that a call keeps, and sees nothing in the registers that it may lose, but for the call's own arguments.
fn ensure_kept(after: &EveryRegister, scene: &GuestScene) -> Verdict {
    let before = before_run(scene);
    for number in KEPT_REGISTERS {
        ensure_eq!((number, after.general[number]), (number, before.general[number]));
    }
    ensure!(after.general.iter().all(|word| word >> 16 != GUEST), "a register of the guest's is seen");
    let lost = if IS_X86_64 { &[4, 5, 7, 8, 9][..] } else { &[2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17] };
    for number in lost {
        let (word, own) = (after.general[*number], before.general[*number]);
        ensure!(word == 0 || own == word, "register {number} holds {word:#x}");
    }
    ensure_eq!(after.extra.words(), before.extra.words());
    Ok(())
}

/// General registers, vectors, x87, control words and pointers: each side has its own, in both directions and again and again.
fn neither_side_sees_or_loses_a_register() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    fill(&scene.context);
    for _ in 0..5 {
        let after = run_marked(&scene);
        ensure_eq!(after.result(), (0, GuestEnd::Call as u64));
        ensure_kept(&after, &scene)?;
        ensure_filled(&scene.context)?;
    }
    Ok(())
}

/// The way back is another one then.
fn who_comes_out_by_a_fault_sees_nothing_either() -> Verdict {
    let scene = scene(LOADS)?;
    for _ in 0..3 {
        fill(&scene.context);
        scene.context.set_arguments([GUEST_NOTHING, GUEST << 16]);
        let after = run_marked(&scene);
        ensure_eq!(after.result(), (0, GuestEnd::Fault as u64));
        ensure_kept(&after, &scene)?;
        ensure_eq!(scene.context.instruction_pointer(), GUEST_CODE);
    }
    Ok(())
}

/// On aarch64 it is not said to have used any, and finds them empty when it does.
fn a_thread_without_vector_registers_has_none_afterwards() -> Verdict {
    let body = || -> Result<[bool; 2], Error> {
        let scene = scene(GUEST_CALLS)?;
        fill(&scene.context);
        let were_used = ExtraRegisters::are_vectors_used();
        (0..5).try_for_each(|_| scene.run().map(drop))?;
        let are_used = ExtraRegisters::are_vectors_used();
        let is_empty = raw::vector_registers() == [0; 4];
        ensure_filled(&scene.context).map_err(|_| Error::BadState)?;
        Ok([were_used == are_used, is_empty])
    };
    ensure_eq!(Builder::new().spawn(body)?.join()??, [true, true]);
    Ok(())
}

/// The kernel loads what the page says; it does not fault for that, and the guest has the bits that there are.
fn a_control_word_that_cannot_be_is_masked() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    scene.run()?;
    let at = if IS_X86_64 { 3 } else { 64 };
    let known = scene.context.floating()[at];
    let bits = if IS_X86_64 { known >> 32 } else { u64::MAX };
    for control in [0x1f80, 0xffff_ffff, 0x1_0000, 0x8000_1f80, 0x1f80, 0xffff_1f80] {
        let mut floating = scene.context.floating();
        floating[at] = control;
        floating[at + 1] = GUEST;
        scene.context.set_floating(&floating);
        ensure!(matches!(scene.run()?, End::Call(_)), "it comes out by its call");
        if IS_X86_64 {
            ensure_eq!(scene.context.floating()[at], known >> 32 << 32 | control & bits);
        }
    }
    Ok(())
}

/// Sets one of a guest's registers.
type Set = fn(&GuestContext, u64);

/// Addresses that are no user's are refused; those that are lead to a fault of the guest's.
fn no_pointer_in_the_page_leads_the_kernel_astray() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    scene.run()?;
    let set: [(Set, u64); 4] = [
        (GuestContext::set_instruction_pointer, GUEST_CODE),
        (GuestContext::set_stack_pointer, 0),
        (GuestContext::set_thread_pointer, 0),
        (GuestContext::set_second_pointer, 0),
    ];
    let bad = [USER_END + 8, 1 << 47, (1 << 47) - 8, 1 << 48, 1 << 63, 0xffff_8000_0000_0000, u64::MAX - 7, u64::MAX];
    for (set, usual) in set {
        for address in bad {
            set(&scene.context, address);
            refused(scene.run(), Error::BadAddress)?;
            ensure_eq!(run_marked(&scene).result(), (Error::BadAddress.status(), 0));
        }
        set(&scene.context, usual);
        ensure!(matches!(scene.run()?, End::Call(_)), "it comes out by its call");
        scene.context.set_instruction_pointer(GUEST_CODE);
    }
    for address in [0, 1 << 46, USER_END - PAGE, USER_END - 4] {
        scene.context.set_instruction_pointer(address);
        ensure_eq!(scene.run()?, End::Fault { address, access: Rights::EXECUTE });
        scene.context.set_instruction_pointer(GUEST_CODE);
        for set in [GuestContext::set_stack_pointer, GuestContext::set_thread_pointer, GuestContext::set_second_pointer]
        {
            set(&scene.context, address);
        }
        ensure!(matches!(scene.run()?, End::Call(_)), "it comes out by its call");
        ensure_eq!((scene.context.stack_pointer(), scene.context.thread_pointer()), (address, address));
    }
    scene.context.set_stack_pointer(USER_END);
    ensure!(matches!(scene.run()?, End::Call(_)), "a stack may end where user memory does");
    Ok(())
}

/// What is behind its instruction is no user address: it comes out, and cannot go on there.
fn a_call_at_the_end_of_user_memory_comes_out() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    let code = Segment::new(program().account(), PAGE)?;
    let (bytes, length): (&[u8], u64) = if IS_X86_64 { (&[0x0f, 0x05], 2) } else { (&[1, 0, 0, 0xd4], 4) };
    code.write(PAGE - length, bytes)?;
    scene.space.map(USER_END - PAGE, &code, 0..PAGE, Rights::READ_EXECUTE)?;
    for _ in 0..3 {
        scene.context.set_instruction_pointer(USER_END - length);
        ensure!(matches!(scene.run()?, End::Call(_)), "it comes out by its call");
        ensure_eq!(scene.context.instruction_pointer(), USER_END);
        refused(scene.run(), Error::BadAddress)?;
    }
    Ok(())
}

/// Interrupts stay on, and nothing of the privilege that the page asks for is there.
fn flags_are_a_programs_whatever_the_page_says() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    let own = if IS_X86_64 { 0x24_0cd5 } else { 0xf300_1c00 };
    for flags in [0, !0x100, 0x3000, 0x2_0000, 0x200, 0x4000, 5, 0x2c5, 0xf000_0000, 1 << 20] {
        scene.context.set_flags(flags);
        ensure!(matches!(scene.run()?, End::Call(_)), "{flags:#x}: it comes out by its call");
        ensure_eq!(scene.context.flags() & !own, 0);
    }
    if IS_X86_64 {
        // One that traps behind each instruction comes out by that.
        scene.context.set_instruction_pointer(GUEST_CODE + 2);
        scene.context.set_flags(0x100);
        ensure_eq!(scene.run()?, End::Step);
    }
    Ok(())
}

/// Two threads on one CPU, each with a guest, change places between a run and its end and within runs.
fn guests_of_several_threads_take_turns() -> Verdict {
    let body = || -> Result<(), Error> {
        let scene = scene(GUEST_CALLS)?;
        fill(&scene.context);
        for round in 0..200 {
            let after = run_marked(&scene);
            if after.result() != (0, GuestEnd::Call as u64) || ensure_kept(&after, &scene).is_err() {
                return Err(Error::BadState);
            }
            ensure_filled(&scene.context).map_err(|_| Error::BadState)?;
            if round % 3 == 0 {
                thread::yield_now();
            }
        }
        Ok(())
    };
    let other = Builder::new().priority(CLAIM_PRIORITY).cpus(1).spawn(body)?;
    body()?;
    other.join()??;
    Ok(())
}

/// A thread on another CPU that does something again and again until it is told to stop.
fn beside(mut work: impl FnMut() -> Result<(), Error> + Send + 'static) -> Result<Beside, Error> {
    let (is_over, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (told, counted) = (Arc::clone(&is_over), Arc::clone(&turns));
    let thread = on_cpu(1).spawn(move || {
        while !told.load(SeqCst) {
            work()?;
            counted.fetch_add(1, SeqCst);
        }
        Ok(())
    })?;
    Ok(Beside { thread, is_over, turns })
}

struct Beside {
    thread: JoinHandle<Result<(), Error>>,
    is_over: Arc<AtomicBool>,
    turns: Arc<AtomicU64>,
}

impl Beside {
    fn stop(self) -> Result<(), Error> {
        self.is_over.store(true, SeqCst);
        self.thread.join()?
    }
}

/// Whatever another CPU writes there while it is loaded from, used and stored to.
fn the_page_may_change_at_any_moment() -> Verdict {
    needs_cpus(2)?;
    let scene = Arc::new(scene(GUEST_CALLS)?);
    let (inner, mut state) = (Arc::clone(&scene), 0x2545_f491_4f6c_dd1d_u64);
    let changes = beside(move || {
        let mut words = inner.context.floating();
        let at = if IS_X86_64 { 3 } else { 64 };
        for _ in 0..50 {
            for value in [u64::MAX, 0x1f80] {
                words[at] = value;
                inner.context.set_floating(&words);
                inner.context.set_flags(value);
            }
            state = state.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            inner.context.set_general((state >> 60) as usize, state);
            inner.context.set_thread_pointer(state);
            inner.context.set_stack_pointer(state >> 20);
            inner.context.set_instruction_pointer(if state % 2 == 0 { state } else { GUEST_CODE });
            inner.context.set_thread_pointer(0x1000);
            inner.context.set_instruction_pointer(GUEST_CODE);
            inner.context.set_flags(0);
        }
        Ok(())
    })?;
    let (mut called, mut rounds) = (0, 0);
    while called < 500 || changes.turns.load(SeqCst) < 20 {
        let after = run_marked(&scene);
        ensure_kept(&after, &scene)?;
        called += u64::from(after.result() == (0, GuestEnd::Call as u64));
        ensure!(after.result().0 == 0 || after.result().0 == Error::BadAddress.status(), "another result");
        rounds += 1;
        ensure!(rounds < 10_000_000, "it never comes out by a call");
    }
    changes.stop()?;
    Ok(())
}

/// Kicks end a run or the next one, and none is lost or seen twice in a row without a cause.
fn a_kick_from_another_cpu_comes_between_calls() -> Verdict {
    needs_cpus(2)?;
    let scene = Arc::new(scene(GUEST_CALLS)?);
    fill(&scene.context);
    let inner = Arc::clone(&scene);
    let mut pause = 0;
    let kicks = beside(move || {
        // Runs of several lengths fit between them. An emulator that runs one CPU after the other would go on to the next at each
        // `relax`.
        pause = (pause + 701) % 5000;
        (0..pause).for_each(|round| _ = core::hint::black_box(round));
        inner.context.guest().kick()
    })?;
    let (mut called, mut kicked) = (0, 0);
    while called < 500 || kicked < 50 {
        match scene.run()? {
            End::Call(_) => called += 1,
            End::Kick => kicked += 1,
            end => ensure!(false, "it came out by {end:?}"),
        }
        ensure_filled(&scene.context)?;
    }
    kicks.stop()?;
    // One may be left.
    scene.run()?;
    ensure!(matches!(scene.run()?, End::Call(_)), "no kick is left");
    Ok(())
}

/// The space, the guest and its state: a thread that runs the guest all the time sees that it is gone, and goes on.
fn what_is_revoked_on_another_cpu_ends_the_runs() -> Verdict {
    needs_cpus(2)?;
    for round in 0..12 {
        let scene = scene(GUEST_CALLS)?;
        let segment = Segment::new(program().account(), PAGE)?;
        let lent = segment.derive(Rights::READ_WRITE, 1)?;
        let guest = Cap::new_guest(program().account(), &lent, 0)?;
        let at = core::mem::offset_of!(GuestState, instruction_pointer) as u64;
        segment.write(at, &GUEST_CODE.to_le_bytes())?;
        let (by, into) = (guest.derive(Rights::all(), 1)?, scene.space.derive(Rights::all(), 1)?);
        let call = [by.handle().bits(), into.handle().bits(), 0, u64::MAX, 0, 0];
        let runs = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&runs);
        let runner = on_cpu(1).spawn(move || {
            loop {
                conformance::attempt(number::guest_run, call)?;
                counted.fetch_add(1, SeqCst);
            }
        })?;
        while runs.load(SeqCst) < 50 + round {
            thread::yield_now();
        }
        match round % 3 {
            0 => scene.space.revoke()?,
            1 => guest.revoke()?,
            _ => segment.revoke()?,
        }
        let ended: Result<(), Error> = runner.join()?;
        ensure!(matches!(ended, Err(Error::Gone | Error::BadHandle)), "round {round}: {ended:?}");
        ensure_eq!(scene.space.info()?.threads, 0);
        if round % 3 == 2 {
            core::mem::forget(lent);
        } else if round % 3 == 1 {
            core::mem::forget(by);
        } else {
            core::mem::forget(into);
        }
    }
    Ok(())
}
