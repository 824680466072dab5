//! How a signal reaches a process: it ends, stops, or goes on in a handler.

use crate::errno::Errno;
use crate::frame::{self, Told};
use crate::memory::TRAMPOLINE;
use crate::numbers::Call;
use crate::process::{Ended, Process, Progress};
use crate::records;
use crate::schedule::now_ns;
use crate::signals::{Action, Effect, Reason, SEGMENT, bit};
use core::fmt;
use libvas::raw::{ELF_MACHINE, GUEST_CALL};
use rt::println;

/// Does what is to be done at the signals that have come, until nothing is left or the process does not go on.
pub(crate) fn deliver(process: &mut Process<'_>) {
    // Who has lent out its memory does not use it.
    while process.ended.is_none() && !process.is_stopped && process.progress.child.is_none() {
        let Some((number, reason, action)) = process.signals.take() else { return };
        match action.effect(number) {
            Effect::End => process.ended = Some(Ended::Killed(number)),
            Effect::Stop => process.is_stopped = true,
            Effect::Nothing => {}
            Effect::Handler => handle(process, number, reason, &action),
        }
    }
}

fn handle(process: &mut Process<'_>, number: u8, reason: Reason, action: &Action) {
    interrupt(process, action);
    let mut registers = process.guest.state();
    let other_stack = process.signals.other_stack;
    let told = Told { number, reason, mask: process.signals.enter(number, action), other_stack };
    let (at, bytes) = frame::enter(ELF_MACHINE, &mut registers, &told, action, TRAMPOLINE);
    match process.memory.write(at, &bytes) {
        Ok(()) => process.guest.set_state(&registers),
        Err(_) => kill(process, SEGMENT, format_args!("has no stack for a handler at {at:#x}")),
    }
}

/// Ends the call in which the process waits, or has it made anew behind the handler.
fn interrupt(process: &mut Process<'_>, action: &Action) {
    let Some((number, arguments)) = process.waits_in.take() else { return };
    let Progress { done, until_ns, is_woken, .. } = core::mem::take(&mut process.progress);
    let is_anew =
        Call::from_number(ELF_MACHINE, number).is_some_and(is_made_anew) && action.flags & Action::RESTARTS != 0;
    if done > 0 || is_woken {
        process.guest.set_call_result(done);
    } else if is_anew {
        // The registers are those that it was made with: nothing has been written to any.
        let at = process.guest.instruction_pointer();
        process.guest.set_instruction_pointer(at.wrapping_sub(frame::call_bytes(ELF_MACHINE)));
        process.guest.set_general(GUEST_CALL.number, number);
    } else {
        tell_rest(process, number, arguments, until_ns);
        process.guest.set_call_result(Errno::EINTR.as_result());
    }
}

/// Tells a program that wanted to sleep for a time how much of it is left, if it asks.
fn tell_rest(process: &Process<'_>, number: u64, arguments: [u64; 6], until_ns: Option<u64>) {
    let [_, flags, _, fourth, ..] = arguments;
    let place = match Call::from_number(ELF_MACHINE, number) {
        Some(Call::Nanosleep) => arguments[1],
        // One that sleeps until a time is told nothing.
        Some(Call::ClockNanosleep) if flags == 0 => fourth,
        _ => 0,
    };
    if let (true, Some(until_ns)) = (place != 0, until_ns) {
        // As on Linux, a place that is not there is not written to.
        let _ = process.memory.write(place, &records::time(until_ns.saturating_sub(now_ns())));
    }
}

/// Whether a call is made anew if the handler's action says so; others, which wait for a time or for signals, never are.
fn is_made_anew(call: Call) -> bool {
    matches!(call, Call::Read | Call::Readv | Call::Write | Call::Writev | Call::Wait4)
}

/// `rt_sigreturn`: the process goes on where it was before the handler. Gives what is in the register of results.
pub(crate) fn leave(process: &mut Process<'_>) -> Result<u64, Errno> {
    let mut registers = process.guest.state();
    let (at, length) = frame::place(ELF_MACHINE, &registers);
    let left = process.memory.bytes(at, length as u64).and_then(|bytes| {
        let (floating, mask) = frame::leave(ELF_MACHINE, &bytes, &mut registers);
        if let Some((at, length)) = floating {
            frame::set_floating(&process.memory.bytes(at, length as u64)?, &mut registers);
        }
        Ok(mask)
    });
    match left {
        Ok(mask) => {
            process.guest.set_state(&registers);
            process.signals.set_mask(mask);
        }
        Err(_) => kill(process, SEGMENT, format_args!("returns from a handler without a frame at {at:#x}")),
    }
    Ok(process.guest.general(GUEST_CALL.result))
}

/// A process did what it cannot do: its handler is called if it has one, and otherwise it ends, with a line.
pub(crate) fn fault(process: &mut Process<'_>, number: u8, address: u64, what: impl fmt::Display) {
    let is_kept_out = process.signals.mask() & bit(number) != 0;
    if process.signals.action(number).effect(number) == Effect::Handler && !is_kept_out {
        process.raise(number, Reason::at(address));
    } else {
        kill(process, number, what);
    }
}

/// Ends a process as by a signal, and says what it did.
pub(crate) fn kill(process: &mut Process<'_>, number: u8, what: impl fmt::Display) {
    let at = process.guest.instruction_pointer();
    println!("linux: {} {what}, with the instruction at {at:#x}; it ends as by signal {number}", process.name);
    process.ended = Some(Ended::Killed(number));
}
