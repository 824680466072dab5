//! Guests: a thread runs other registers in another space, and comes out with whatever they want.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use conformance::{
    CLAIM_PRIORITY, Claim, GUEST_CALLS, GUEST_CODE, GUEST_DATA, GUEST_LAZY, GUEST_LOADS, GUEST_NOTHING, GUEST_STORES,
    GuestCode, GuestScene, KERNEL_ADDRESSES, Verdict, claim, ensure, ensure_eq, refused, run,
    the_kernel_passes_its_own_checks, wait_until,
};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use core::time::Duration;
use libvas::guest::{End, GuestContext, GuestException, state_bytes};
use libvas::raw::{self, GUEST_CALL};
use libvas::thread::{self, Builder};
use libvas::{Cap, Error, Guest, PAGE_BYTES as PAGE, Rights, Segment, Space, USER_END, View, clock, program};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(every_system_call_comes_out_and_none_is_served),
        claim!(a_call_has_its_arguments_and_gets_a_result),
        claim!(general_registers_are_the_guests_and_the_callers_are_kept),
        claim!(a_fault_comes_out_with_address_and_access),
        claim!(a_first_touch_is_resolved_inside),
        claim!(what_else_it_cannot_do_comes_out),
        claim!(a_breakpoint_comes_out),
        claim!(single_steps_come_out_one_by_one),
        claim!(a_kick_ends_an_endless_loop),
        claim!(a_kick_before_the_run_ends_it_at_once),
        claim!(a_deadline_ends_an_endless_loop),
        claim!(a_deadline_that_has_passed_ends_the_run_at_once),
        claim!(bad_addresses_are_refused_and_nothing_changes),
        claim!(flags_that_are_not_a_programs_do_not_survive),
        claim!(vector_registers_are_isolated_both_ways),
        claim!(the_thread_pointer_is_isolated_both_ways),
        claim!(a_guest_runs_in_a_view),
        claim!(a_guest_is_taken_off_its_cpu_and_goes_on),
        claim!(a_space_that_is_revoked_ends_the_run),
        claim!(a_guest_that_is_revoked_ends_the_run),
        claim!(state_that_is_revoked_ends_the_guest),
        claim!(a_thread_that_is_stopped_in_a_guest_ends),
        claim!(one_thread_at_a_time_runs_a_guest),
        claim!(guests_that_make_no_sense_are_not_made),
        claim!(runs_that_make_no_sense_are_refused),
        claim!(what_a_guest_costs_comes_back),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("guests", CLAIMS)
}

/// An endless loop.
const LOOP: GuestCode = (&[0xeb, 0xfe], &[0x1400_0000]);

const IS_X86_64: bool = raw::ELF_MACHINE == 62;

fn scene((x86_64, aarch64): GuestCode) -> Result<GuestScene, Error> {
    GuestScene::new(x86_64, aarch64)
}

/// A guest came out by a system call.
fn called(end: End) -> Verdict {
    ensure!(matches!(end, End::Call(_)), "it came out by {end:?}");
    Ok(())
}

/// Whatever its number, a guest's system call comes out, those that the kernel serves fastest included.
fn every_system_call_comes_out_and_none_is_served() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    for number in (0..80).chain([1 << 20, 1 << 63, u64::MAX]) {
        scene.context.set_general(GUEST_CALL.number, number);
        ensure_eq!(scene.run()?, End::Call(number));
    }
    Ok(())
}

/// The arguments are those that it had, and the result is what it finds.
fn a_call_has_its_arguments_and_gets_a_result() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    let arguments = [11, 12, 13, 14, 15, 16];
    for (number, value) in GUEST_CALL.arguments.into_iter().zip(arguments) {
        scene.context.set_general(number, value);
    }
    called(scene.run()?)?;
    ensure_eq!(scene.context.call_arguments(), arguments);
    scene.context.set_call_result(77);
    scene.run()?;
    ensure_eq!(scene.context.general(GUEST_CALL.result), 77);
    Ok(())
}

/// All general registers are loaded, and stored, but for those that the instruction itself changes.
fn general_registers_are_the_guests_and_the_callers_are_kept() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    let count = if IS_X86_64 { 15 } else { 31 };
    for round in 1..4 {
        let pattern = |number: usize| 0x0101_0101_0101_0101 * round + number as u64;
        (0..count).for_each(|number| scene.context.set_general(number, pattern(number)));
        scene.context.set_stack_pointer(GUEST_DATA + 8 * round);
        scene.run()?;
        // `syscall` puts the next instruction and the flags into rcx and r11.
        let is_changed = |number: usize| IS_X86_64 && [2, 10].contains(&number);
        for number in (0..count).filter(|number| !is_changed(*number)) {
            ensure_eq!((number, scene.context.general(number)), (number, pattern(number)));
        }
        ensure_eq!(scene.context.stack_pointer(), GUEST_DATA + 8 * round);
    }
    Ok(())
}

/// A fault comes out with where it was and what was tried, and the guest goes on there when that is mended.
fn a_fault_comes_out_with_address_and_access() -> Verdict {
    let reads = scene(GUEST_LOADS)?;
    reads.context.set_arguments([GUEST_NOTHING + 8, 0]);
    let fault = End::Fault { address: GUEST_NOTHING + 8, access: Rights::READ };
    ensure_eq!((reads.run()?, reads.run()?), (fault, fault));
    ensure_eq!(reads.context.instruction_pointer(), GUEST_CODE);
    let memory = Segment::new(program().account(), PAGE)?;
    memory.write(8, &[5])?;
    reads.space.map(GUEST_NOTHING, &memory, 0..PAGE, Rights::READ)?;
    called(reads.run()?)?;
    ensure_eq!(reads.context.general(GUEST_CALL.result), 5);
    let writes = scene(GUEST_STORES)?;
    for address in [GUEST_NOTHING, GUEST_CODE] {
        writes.context.set_instruction_pointer(GUEST_CODE);
        writes.context.set_arguments([address, 1]);
        ensure_eq!(writes.run()?, End::Fault { address, access: Rights::WRITE });
    }
    writes.context.set_instruction_pointer(GUEST_NOTHING);
    ensure_eq!(writes.run()?, End::Fault { address: GUEST_NOTHING, access: Rights::EXECUTE });
    for address in KERNEL_ADDRESSES {
        reads.context.set_instruction_pointer(GUEST_CODE);
        reads.context.set_arguments([address, 0]);
        let end = reads.run()?;
        ensure!(matches!(end, End::Fault { .. } | End::Exception { .. }), "{address:#x}: {end:?}");
    }
    Ok(())
}

/// A page that gets its memory on first touch gets it, and nobody is asked.
fn a_first_touch_is_resolved_inside() -> Verdict {
    let scene = scene(GUEST_STORES)?;
    scene.context.set_arguments([GUEST_LAZY + 16, 9]);
    called(scene.run()?)?;
    let mut bytes = [0; 8];
    scene.space.read(GUEST_LAZY + 16, &mut bytes)?;
    ensure_eq!(u64::from_le_bytes(bytes), 9);
    Ok(())
}

/// An instruction that does not exist, and one that is not for programs.
fn what_else_it_cannot_do_comes_out() -> Verdict {
    let codes: [GuestCode; 2] = [(&[0x0f, 0x0b], &[0]), (&[0xf4], &[0xd508_831f])];
    for code in codes {
        let scene = scene(code)?;
        let what = End::Exception { what: Ok(GuestException::Instruction), address: GUEST_CODE };
        ensure_eq!(scene.run()?, what);
        ensure_eq!(scene.context.instruction_pointer(), GUEST_CODE);
    }
    Ok(())
}

/// A breakpoint's instruction tells of itself.
fn a_breakpoint_comes_out() -> Verdict {
    let scene = scene((&[0xcc], &[0xd420_0000]))?;
    ensure_eq!(scene.run()?, End::Breakpoint);
    ensure_eq!(scene.context.instruction_pointer(), GUEST_CODE + u64::from(IS_X86_64));
    Ok(())
}

/// A guest that is stepped executes one instruction each time, and a run afterwards as many as it likes.
fn single_steps_come_out_one_by_one() -> Verdict {
    // Three that do nothing, then a call.
    let scene = scene((&[0x90, 0x90, 0x90, 0x0f, 0x05], &[0xd503_201f, 0xd503_201f, 0xd503_201f, 0xd400_0001]))?;
    let bytes = if IS_X86_64 { 1 } else { 4 };
    for count in 1..3 {
        ensure_eq!(scene.step()?, End::Step);
        ensure_eq!(scene.context.instruction_pointer(), GUEST_CODE + count * bytes);
        ensure_eq!(scene.context.flags() & (0x100 * u64::from(IS_X86_64)), 0);
    }
    called(scene.run()?)?;
    ensure_eq!(scene.context.instruction_pointer(), GUEST_CODE + 3 * bytes + if IS_X86_64 { 2 } else { 4 });
    Ok(())
}

/// Another thread, named by what it does while the first one runs a guest.
fn beside(
    scene: &GuestScene,
    work: impl FnOnce() -> Result<(), Error> + Send + 'static,
) -> Result<Result<End, Error>, Error> {
    let other = Builder::new().priority(CLAIM_PRIORITY).spawn(move || {
        thread::sleep(Duration::from_millis(5));
        work()
    })?;
    let end = scene.run();
    other.join()??;
    Ok(end)
}

fn named(guest: &Cap<Guest>) -> Cap<Guest> {
    Cap::from_handle(guest.handle())
}

/// A guest that never ends is brought out by whoever may kick it; it goes on from there.
fn a_kick_ends_an_endless_loop() -> Verdict {
    let scene = scene(LOOP)?;
    for _ in 0..3 {
        let guest = named(scene.context.guest());
        let end = beside(&scene, move || {
            let kicked = guest.kick();
            core::mem::forget(guest);
            kicked
        })?;
        ensure_eq!(end, Ok(End::Kick));
        ensure_eq!(scene.context.instruction_pointer(), GUEST_CODE);
    }
    Ok(())
}

/// A kick that comes too early is kept for the next run, once.
fn a_kick_before_the_run_ends_it_at_once() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    scene.context.guest().kick()?;
    scene.context.guest().kick()?;
    ensure_eq!(scene.run()?, End::Kick);
    ensure_eq!(scene.context.instruction_pointer(), GUEST_CODE);
    called(scene.run()?)?;
    Ok(())
}

/// A guest that never ends comes out when its time is over, not before.
fn a_deadline_ends_an_endless_loop() -> Verdict {
    let scene = scene(LOOP)?;
    for _ in 0..3 {
        let deadline_ns = clock::now().as_nanos() as u64 + 3_000_000;
        ensure_eq!(scene.run_until(deadline_ns)?, End::Deadline);
        ensure!(clock::now().as_nanos() as u64 >= deadline_ns, "it came too early");
    }
    Ok(())
}

/// What is over is over.
fn a_deadline_that_has_passed_ends_the_run_at_once() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    ensure_eq!((scene.run_until(0)?, scene.run_until(1)?), (End::Deadline, End::Deadline));
    ensure_eq!(scene.context.instruction_pointer(), GUEST_CODE);
    Ok(())
}

/// No pointer in the state leads out of user memory.
fn bad_addresses_are_refused_and_nothing_changes() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    let set: [fn(&GuestContext, u64); 3] =
        [GuestContext::set_instruction_pointer, GuestContext::set_stack_pointer, GuestContext::set_thread_pointer];
    for set in set {
        for address in [USER_END + 1, 1 << 47, 1 << 63, u64::MAX] {
            set(&scene.context, address);
            refused(scene.run(), Error::BadAddress)?;
        }
        set(&scene.context, GUEST_CODE);
    }
    called(scene.run()?)?;
    Ok(())
}

/// All flags are asked for; those that a program cannot set are not there.
fn flags_that_are_not_a_programs_do_not_survive() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    // But single steps, which would come out first.
    scene.context.set_flags(if IS_X86_64 { !0x100 } else { !0 });
    called(scene.run()?)?;
    let others = if IS_X86_64 { !0x24_0cd5 } else { !0xf300_1c00 };
    ensure_eq!(scene.context.flags() & others, 0);
    // The program's own are as they were.
    called(scene.run()?)?;
    Ok(())
}

/// The guest's are loaded and stored, and the program's own stay as they were.
fn vector_registers_are_isolated_both_ways() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    let mut words = scene.context.floating();
    // Of x86_64's, those behind the control words of x87 and SSE: registers.
    let registers = if IS_X86_64 { 20..52 } else { 0..64 };
    for (number, word) in words.iter_mut().enumerate().filter(|(number, _)| registers.contains(number)) {
        *word = 0x1111_1111_1111_1111 * (1 + number as u64 % 15);
    }
    scene.context.set_floating(&words);
    raw::set_vector_registers([3, 4, 5, 6]);
    scene.run()?;
    ensure_eq!(raw::vector_registers(), [3, 4, 5, 6]);
    let after = scene.context.floating();
    ensure_eq!(after[registers.clone()], words[registers]);
    Ok(())
}

/// Each has its own.
fn the_thread_pointer_is_isolated_both_ways() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    thread::set_pointer(0x5000)?;
    scene.context.set_thread_pointer(0x6000);
    scene.context.set_second_pointer(if IS_X86_64 { 0x7000 } else { 0 });
    for _ in 0..2 {
        scene.run()?;
        ensure_eq!(scene.context.thread_pointer(), 0x6000);
        ensure_eq!(scene.context.second_pointer(), if IS_X86_64 { 0x7000 } else { 0 });
    }
    Ok(())
}

/// A view shows what it shows: what it forbids, the guest cannot do.
fn a_guest_runs_in_a_view() -> Verdict {
    let scene = scene(GUEST_STORES)?;
    let view = View::new(program().account(), &scene.space, Rights::READ_EXECUTE)?;
    scene.context.set_arguments([GUEST_DATA, 1]);
    // SAFETY: the view has nothing of this program.
    let end = unsafe { scene.context.run(&view) }?;
    ensure_eq!(end, End::Fault { address: GUEST_DATA, access: Rights::WRITE });
    called(scene.run()?)?;
    Ok(())
}

/// While it runs, others of its priority take turns, and it goes on as it was.
fn a_guest_is_taken_off_its_cpu_and_goes_on() -> Verdict {
    // It counts in the register of the result until that is zero, then calls.
    let scene = scene((&[0x48, 0xff, 0xc8, 0x75, 0xfb, 0x0f, 0x05], &[0xf100_0400, 0x54ff_ffe1, 0xd400_0001]))?;
    let turns = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&turns);
    let other = Builder::new().priority(CLAIM_PRIORITY).spawn(move || {
        while count.load(SeqCst) < 3 {
            count.fetch_add(1, SeqCst);
            thread::sleep(Duration::from_millis(1));
        }
    })?;
    scene.context.set_call_result(3_000_000);
    called(scene.run()?)?;
    ensure_eq!(scene.context.general(GUEST_CALL.result), 0);
    wait_until(|| Ok(turns.load(SeqCst) >= 3))?;
    other.join()?;
    Ok(())
}

/// Whoever lends a space can throw a guest out of it; its registers are in its state, and it can go on elsewhere.
fn a_space_that_is_revoked_ends_the_run() -> Verdict {
    let mut scene = scene(LOOP)?;
    let lent = scene.space.derive(Rights::all(), 1)?;
    let space = core::mem::replace(&mut scene.space, lent);
    let owner: Cap<Space> = Cap::from_handle(space.handle());
    let end = beside(&scene, move || {
        let revoked = owner.revoke();
        core::mem::forget(owner);
        revoked
    })?;
    ensure_eq!(end, Err(Error::Gone));
    ensure_eq!((space.info()?.threads, scene.context.instruction_pointer()), (0, GUEST_CODE));
    refused(scene.run(), Error::BadHandle)?;
    core::mem::forget(core::mem::replace(&mut scene.space, space));
    let deadline_ns = clock::now().as_nanos() as u64 + 1_000_000;
    ensure_eq!(scene.run_until(deadline_ns)?, End::Deadline);
    Ok(())
}

/// A capability to the guest that is taken back while it runs ends the run.
fn a_guest_that_is_revoked_ends_the_run() -> Verdict {
    let scene = scene(LOOP)?;
    let (owner, lent) = (named(scene.context.guest()), scene.context.guest().derive(Rights::all(), 1)?);
    let space: Cap<Space> = Cap::from_handle(scene.space.handle());
    let runner = Builder::new().spawn(move || {
        let call = [lent.handle().bits(), space.handle().bits(), 0, u64::MAX, 0, 0];
        core::mem::forget((space, lent));
        conformance::attempt(tessera_abi::syscall::number::guest_run, call)
    })?;
    wait_until(|| Ok(scene.space.info()?.threads == 1))?;
    owner.revoke()?;
    core::mem::forget(owner);
    refused(runner.join()?, Error::Gone)?;
    ensure_eq!(scene.space.info()?.threads, 0);
    Ok(())
}

/// The state's memory can be taken back while the guest runs: that is its end for good.
fn state_that_is_revoked_ends_the_guest() -> Verdict {
    let scene = scene(LOOP)?;
    let segment = Segment::new(program().account(), PAGE)?;
    let lent = segment.derive(Rights::READ_WRITE, 1)?;
    let guest = Cap::<Guest>::new_guest(program().account(), &lent, 0)?;
    segment.write(8 * 36, &GUEST_CODE.to_le_bytes())?;
    let (by, space) = (named(&guest), Cap::<Space>::from_handle(scene.space.handle()));
    let call = move || {
        let call = [by.handle().bits(), space.handle().bits(), 0, u64::MAX, 0, 0];
        core::mem::forget((by, space));
        conformance::attempt(tessera_abi::syscall::number::guest_run, call)
    };
    let runner = Builder::new().spawn(call)?;
    wait_until(|| Ok(scene.space.info()?.threads == 1))?;
    segment.revoke()?;
    refused(runner.join()?, Error::Gone)?;
    refused(guest.kick(), Error::Gone)?;
    core::mem::forget(lent);
    Ok(())
}

/// A guest is nobody else's state: who runs one is stopped like anybody.
fn a_thread_that_is_stopped_in_a_guest_ends() -> Verdict {
    let scene = Arc::new(scene(LOOP)?);
    let inner = Arc::clone(&scene);
    let runner = Builder::new().spawn(move || inner.run().map(drop))?;
    wait_until(|| Ok(scene.space.info()?.threads == 1))?;
    runner.thread().stop()?;
    refused(runner.join(), Error::Gone)?;
    let deadline_ns = clock::now().as_nanos() as u64 + 1_000_000;
    ensure_eq!(scene.run_until(deadline_ns)?, End::Deadline);
    Ok(())
}

/// A second one is told to wait.
fn one_thread_at_a_time_runs_a_guest() -> Verdict {
    let scene = Arc::new(scene(LOOP)?);
    let inner = Arc::clone(&scene);
    let runner = Builder::new().spawn(move || inner.run())?;
    wait_until(|| Ok(scene.space.info()?.threads == 1))?;
    refused(scene.run(), Error::Busy)?;
    scene.context.guest().kick()?;
    ensure_eq!(runner.join()??, End::Kick);
    Ok(())
}

/// A guest needs a page that is there.
fn guests_that_make_no_sense_are_not_made() -> Verdict {
    let (account, segment) = (program().account(), Segment::new(program().account(), 2 * PAGE)?);
    ensure!(state_bytes()? <= PAGE, "a page holds it");
    refused(Cap::<Guest>::new_guest(account, &segment, 8), Error::Misaligned)?;
    for offset in [2 * PAGE, 1 << 40, !(PAGE - 1)] {
        refused(Cap::<Guest>::new_guest(account, &segment, offset), Error::BadArgument)?;
    }
    refused(Cap::<Guest>::new_guest(account, &Segment::new_lazy(account, PAGE)?, 0), Error::BadState)?;
    refused(Cap::<Guest>::new_guest(account, &segment.derive(Rights::READ, 0)?, 0), Error::MissingRight)?;
    let poor = account.split(PAGE)?;
    let used = poor.info()?.used_bytes;
    refused(
        Cap::<Guest>::new_guest(&poor, &segment, 0).map(drop).and(Cap::<Guest>::new_guest(&poor, &segment, 0)),
        Error::AccountExhausted,
    )
    .or_else(|_| refused(Segment::new(&poor, PAGE), Error::AccountExhausted))?;
    ensure_eq!(poor.info()?.used_bytes, used);
    Ok(())
}

/// A run needs rights, flags that there are, and a space.
fn runs_that_make_no_sense_are_refused() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    let (guest, space) = (scene.context.guest(), &scene.space);
    let run = |guest: u64, space: u64, flags: u64| {
        conformance::attempt(tessera_abi::syscall::number::guest_run, [guest, space, flags, u64::MAX, 0, 0])
    };
    let (by, to) = (guest.handle().bits(), space.handle().bits());
    refused(run(by, to, 2), Error::BadArgument)?;
    refused(run(by, to, 1 << 63), Error::BadArgument)?;
    refused(run(to, to, 0), Error::WrongObject)?;
    refused(run(by, by, 0), Error::WrongObject)?;
    refused(run(by, 0, 0), Error::BadHandle)?;
    refused(run(guest.derive(Rights::KICK, 0)?.handle().bits(), to, 0), Error::MissingRight)?;
    refused(run(by, space.derive(Rights::SWITCH, 0)?.handle().bits(), 0), Error::MissingRight)?;
    refused(guest.derive(Rights::RUN, 0)?.kick(), Error::MissingRight)?;
    called(scene.run()?)?;
    Ok(())
}

/// All of it comes back to the account, and nothing is left.
fn what_a_guest_costs_comes_back() -> Verdict {
    // A thread's first run makes room for its activations.
    scene(GUEST_CALLS)?.run()?;
    let used = program().account().info()?.used_bytes;
    for _ in 0..50 {
        let scene = scene(GUEST_CALLS)?;
        scene.run()?;
    }
    ensure_eq!(program().account().info()?.used_bytes, used);
    Ok(())
}
