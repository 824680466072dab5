//! `process_vm_exec` and `unprivilege`, with the examples of the posts that asked for them.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use conformance::{
    Claim, GUEST_CALLS, GUEST_CODE, GUEST_DATA, GUEST_LOADS, GUEST_NOTHING, GuestCode, GuestScene, Verdict, claim,
    ensure, ensure_eq, refused, run, the_kernel_passes_its_own_checks,
};
use libvas::guest::{End, state_bytes};
use libvas::process_vm_exec::{Executor, Signal, arguments_of, context_bytes, set_result_of};
use libvas::raw::{self, GUEST_CALL};
use libvas::{Cap, Error, PAGE_BYTES as PAGE, Rights, Segment, Space, USER_END, program, unprivilege};
use tessera_abi::syscall::number;

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(the_size_of_a_context_is_asked_for),
        claim!(code_is_executed_elsewhere_until_it_makes_a_call),
        claim!(a_context_is_the_callers_and_goes_on_with_any_executor),
        claim!(a_supervisor_copies_on_write),
        claim!(signals_tell_what_code_did),
        claim!(what_is_refused_leaves_the_context_as_it_was),
        claim!(a_kernel_in_user_mode_serves_an_unprivileged_context),
        claim!(a_tracer_sees_calls_and_lets_them_happen),
        claim!(a_fault_is_mended_and_the_context_goes_on),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("seed_guests", CLAIMS)
}

/// A store of the second argument to where the first says, then a call.
const STORES: GuestCode = (&[0x48, 0x89, 0x37, 0x0f, 0x05], &[0xf900_0001, 0xd400_0001]);

const IS_X86_64: bool = raw::ELF_MACHINE == 62;

fn scene((x86_64, aarch64): GuestCode) -> Result<GuestScene, Error> {
    GuestScene::new(x86_64, aarch64)
}

/// Nothing that was built for one size need be wrong with another kernel: both posts ask the kernel.
fn the_size_of_a_context_is_asked_for() -> Verdict {
    let sizes = [unprivilege::bufsize()?, context_bytes()?, state_bytes()?];
    ensure_eq!(sizes, [size_of::<libvas::process_vm_exec::Context>() as u64; 3]);
    Ok(())
}

/// The post's own test: the code makes system calls, which come back and are the caller's to serve.
fn code_is_executed_elsewhere_until_it_makes_a_call() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    let executor = Executor::new(program().account())?;
    let mut context = executor.first_context();
    context.instruction_pointer = GUEST_CODE;
    for (register, value) in GUEST_CALL.arguments.into_iter().zip(1..) {
        context.general[register] = value;
    }
    for call in 0..100 {
        context.general[GUEST_CALL.number] = call;
        // SAFETY: the space has nothing of this program.
        let signal = unsafe { executor.process_vm_exec(&scene.space, &mut context) }?;
        ensure_eq!(signal, Signal::Sys(call));
        ensure_eq!(arguments_of(&context)[1..], [2, 3, 4, 5, 6]);
        set_result_of(&mut context, call + 1);
        ensure_eq!(context.general[GUEST_CALL.result], call + 1);
    }
    Ok(())
}

/// Two executions take turns in one executor, and one of them in two, each with registers of its own.
fn a_context_is_the_callers_and_goes_on_with_any_executor() -> Verdict {
    let (one, other) = (scene(GUEST_CALLS)?, scene(GUEST_CALLS)?);
    let executors = [Executor::new(program().account())?, Executor::new(program().account())?];
    let mut contexts = [executors[0].first_context(), executors[0].first_context()];
    // A register that no call changes: rbx; x19.
    let own = if IS_X86_64 { 1 } else { 19 };
    for (context, value) in contexts.iter_mut().zip([100, 200]) {
        (context.instruction_pointer, context.general[own]) = (GUEST_CODE, value);
        context.thread_pointer = 0x1000 + value;
    }
    for round in 0..20 {
        let executor = &executors[round / 2 % 2];
        for (context, (space, value)) in contexts.iter_mut().zip([(&one.space, 100), (&other.space, 200)]) {
            context.general[GUEST_CALL.number] = value + round as u64;
            // SAFETY: the spaces have nothing of this program.
            let signal = unsafe { executor.process_vm_exec(space, context) }?;
            ensure_eq!(signal, Signal::Sys(value + round as u64));
            ensure_eq!((context.general[own], context.thread_pointer), (value, 0x1000 + value));
        }
    }
    Ok(())
}

/// The discussion's answer to how memory is copied on write: both spaces have the page without `WRITE`, and the supervisor sees to the
/// fault of whoever writes.
fn a_supervisor_copies_on_write() -> Verdict {
    let (parent, child) = (scene(STORES)?, scene(GUEST_LOADS)?);
    let executor = Executor::new(program().account())?;
    let shared = Segment::new(program().account(), PAGE)?;
    shared.write(0, &7_u64.to_le_bytes())?;
    for space in [&parent.space, &child.space] {
        space.map(GUEST_NOTHING, &shared, 0..PAGE, Rights::READ)?;
    }
    let mut writer = executor.first_context();
    writer.instruction_pointer = GUEST_CODE;
    (writer.general[GUEST_CALL.arguments[0]], writer.general[GUEST_CALL.arguments[1]]) = (GUEST_NOTHING, 8);
    // SAFETY: the space has nothing of this program.
    let signal = unsafe { executor.process_vm_exec(&parent.space, &mut writer) }?;
    ensure_eq!(signal, Signal::Segv { address: GUEST_NOTHING, access: Rights::WRITE });
    let copy = Segment::new(program().account(), PAGE)?;
    let mut bytes = [0; 8];
    shared.read(0, &mut bytes)?;
    copy.write(0, &bytes)?;
    parent.space.unmap(GUEST_NOTHING..GUEST_NOTHING + PAGE)?;
    parent.space.map(GUEST_NOTHING, &copy, 0..PAGE, Rights::READ_WRITE)?;
    // SAFETY: as above.
    let signal = unsafe { executor.process_vm_exec(&parent.space, &mut writer) }?;
    ensure!(matches!(signal, Signal::Sys(_)), "it came back by {signal:?}");
    let mut reader = executor.first_context();
    reader.instruction_pointer = GUEST_CODE;
    reader.general[GUEST_CALL.arguments[0]] = GUEST_NOTHING;
    // SAFETY: as above.
    unsafe { executor.process_vm_exec(&child.space, &mut reader) }?;
    copy.read(0, &mut bytes)?;
    ensure_eq!((reader.general[GUEST_CALL.result], u64::from_le_bytes(bytes)), (7, 8));
    Ok(())
}

/// What Linux would have sent as signals.
fn signals_tell_what_code_did() -> Verdict {
    let executor = Executor::new(program().account())?;
    let mut cases: Vec<(GuestCode, Signal)> = Vec::new();
    cases.push(((&[0x0f, 0x0b], &[0]), Signal::Ill(GUEST_CODE)));
    cases.push(((&[0xcc], &[0xd420_0000]), Signal::Trap));
    let access = Rights::READ;
    cases.push((GUEST_LOADS, Signal::Segv { address: 0, access }));
    if IS_X86_64 {
        // `div` by a register that is zero.
        cases.push(((&[0x48, 0xf7, 0xf1], &[]), Signal::Fpe(GUEST_CODE)));
    }
    for (code, expected) in cases {
        let scene = scene(code)?;
        let mut context = executor.first_context();
        context.instruction_pointer = GUEST_CODE;
        // SAFETY: the space has nothing of this program.
        let signal = unsafe { executor.process_vm_exec(&scene.space, &mut context) }?;
        ensure_eq!(signal, expected);
    }
    let scene = scene(GUEST_CALLS)?;
    let mut context = executor.first_context();
    context.instruction_pointer = GUEST_CODE;
    executor.guest().kick()?;
    // SAFETY: as above.
    ensure_eq!(unsafe { executor.process_vm_exec(&scene.space, &mut context) }?, Signal::Int);
    Ok(())
}

/// No pointer leads out of user memory, and a space without the right is not run in; nothing has changed then.
fn what_is_refused_leaves_the_context_as_it_was() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    let executor = Executor::new(program().account())?;
    let mut context = executor.first_context();
    for address in [USER_END, 1 << 63, u64::MAX] {
        context.instruction_pointer = address;
        let before = context.clone();
        // SAFETY: the space has nothing of this program.
        refused(unsafe { executor.process_vm_exec(&scene.space, &mut context) }, Error::BadAddress)?;
        ensure_eq!((context.instruction_pointer, context.general), (before.instruction_pointer, before.general));
    }
    let weak: Cap<Space> = scene.space.derive(Rights::MAP, 0)?;
    context.instruction_pointer = GUEST_CODE;
    // SAFETY: as above.
    refused(unsafe { executor.process_vm_exec(&weak, &mut context) }, Error::MissingRight)?;
    ensure_eq!(context.instruction_pointer, GUEST_CODE);
    // SAFETY: as above.
    let signal = unsafe { executor.process_vm_exec(&scene.space, &mut context) }?;
    ensure!(matches!(signal, Signal::Sys(_)), "it came back by {signal:?}");
    Ok(())
}

/// UML's loop of the post: create, run, then read what it wants out of the context, do that, and cancel.
fn a_kernel_in_user_mode_serves_an_unprivileged_context() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    let mut context = unprivilege::create(program().account(), &scene.space, GUEST_DATA + PAGE, GUEST_CODE, 5)?;
    context.registers().set_general(GUEST_CALL.number, 1000);
    // SAFETY: the space has nothing of this program.
    let mut event = unsafe { context.run() }?;
    ensure_eq!(context.registers().call_arguments()[0], 5);
    for number in 1000..1050 {
        ensure_eq!(event, End::Call(number));
        let registers = context.registers();
        registers.set_call_result(number + 7);
        // The code makes its next call with this number; on x86_64 that is where the result was.
        registers.set_general(GUEST_CALL.number, number + 1);
        // SAFETY: as above.
        event = unsafe { context.cancel() }?;
    }
    Ok(())
}

/// The tracer's loop of the post, which runs where UML cancels: calls happen, and the context finds what they give.
fn a_tracer_sees_calls_and_lets_them_happen() -> Verdict {
    let scene = scene(GUEST_CALLS)?;
    let mut context = unprivilege::create(program().account(), &scene.space, GUEST_DATA + PAGE, GUEST_CODE, 0)?;
    let (mut seen, mut last) = (Vec::new(), 0);
    for called in [number::clock, number::clock, u64::MAX, number::clock] {
        context.registers().set_general(GUEST_CALL.number, called);
        // SAFETY: the space has nothing of this program, and the calls that it makes change nothing.
        let event = unsafe { context.cancel() }?;
        seen.push(event);
        // SAFETY: as above.
        unsafe { context.run() }?;
        let [status, time] =
            [GUEST_CALL.result, GUEST_CALL.value].map(|register| context.registers().general(register));
        if called == number::clock {
            ensure!(time > last, "the clock gave {time} after {last}");
            last = time;
        } else {
            ensure!(status != 0, "a call that does not exist has succeeded");
        }
    }
    ensure_eq!(seen, [number::clock, number::clock, u64::MAX, number::clock].map(End::Call));
    Ok(())
}

/// A page that is not there: the supervisor sees address and access, maps memory, and the instruction is executed again.
fn a_fault_is_mended_and_the_context_goes_on() -> Verdict {
    let scene = scene(GUEST_LOADS)?;
    let mut context =
        unprivilege::create(program().account(), &scene.space, GUEST_DATA + PAGE, GUEST_CODE, GUEST_NOTHING)?;
    // SAFETY: the space has nothing of this program.
    let events = unsafe { [context.run()?, context.cancel()?, context.run()?] };
    ensure_eq!(events, [End::Fault { address: GUEST_NOTHING, access: Rights::READ }; 3]);
    let memory = Segment::new(program().account(), PAGE)?;
    memory.write(0, &[9])?;
    scene.space.map(GUEST_NOTHING, &memory, 0..PAGE, Rights::READ)?;
    // SAFETY: as above.
    let event = unsafe { context.run() }?;
    ensure!(matches!(event, End::Call(_)), "it came out by {event:?}");
    ensure_eq!(context.registers().general(GUEST_CALL.result), 9);
    Ok(())
}
