//! Calls on signals.

use super::Served;
use crate::errno::Errno;
use crate::process::{Identity, Process};
use crate::signals::{Action, KILL, LAST, OtherStack, Reason, STOP};
use crate::world::World;

/// The only length of a set of signals, bytes.
const SET_BYTES: u64 = 8;

/// `kill(whom, signal)`: a process; with 0 its own group, with -1 everybody else, with less than that a group.
pub(super) fn kill<'a>(world: &mut World<'a>, process: &mut Process<'a>, [whom, number, ..]: [u64; 6]) -> Served {
    let Identity { number: own, group: own_group, .. } = process.identity;
    let whom = i64::from(whom as i32);
    let reason = Reason::sent_by(own);
    send(world, process, number, reason, |identity| match whom {
        -1 => identity.number != own,
        0 => identity.group == own_group,
        group if group < 0 => identity.group == group.unsigned_abs(),
        number => identity.number == number.unsigned_abs(),
    })
}

/// `tkill(thread, signal)`
pub(super) fn kill_thread<'a>(
    world: &mut World<'a>,
    process: &mut Process<'a>,
    [thread, number, ..]: [u64; 6],
) -> Served {
    let reason = Reason::sent_to_thread_by(process.identity.number);
    let number = checked(number)?;
    if world.send_to_thread(process, number, reason, thread) { Ok(0) } else { Err(Errno::ESRCH) }
}

/// `tgkill(process, thread, signal)`
pub(super) fn kill_thread_of<'a>(
    world: &mut World<'a>,
    process: &mut Process<'a>,
    [whose, thread, number, ..]: [u64; 6],
) -> Served {
    let is_there = |identity: &Identity| identity.thread == thread && identity.number == whose;
    if !is_there(&process.identity) && !world.has(is_there) {
        return Err(Errno::ESRCH);
    }
    kill_thread(world, process, [thread, number, 0, 0, 0, 0])
}

fn send<'a>(
    world: &mut World<'a>,
    process: &mut Process<'a>,
    number: u64,
    reason: Reason,
    is_meant: impl Fn(&Identity) -> bool,
) -> Served {
    let number = checked(number)?;
    if world.send(process, number, reason, is_meant) { Ok(0) } else { Err(Errno::ESRCH) }
}

fn checked(number: u64) -> Result<u8, Errno> {
    u8::try_from(number).ok().filter(|number| u64::from(*number) <= LAST).ok_or(Errno::EINVAL)
}

/// `rt_sigaction(signal, new, old, length)`
pub(super) fn set_action(process: &mut Process<'_>, [number, new, old, ..]: [u64; 6]) -> Served {
    let found = u8::try_from(number).ok().filter(|number| (1..=LAST).contains(&u64::from(*number)));
    let number = found.ok_or(Errno::EINVAL)?;
    let before = process.signals.action(number);
    let mut action = [0; 32];
    if new != 0 {
        if matches!(number, KILL | STOP) {
            return Err(Errno::EINVAL);
        }
        process.memory.read(new, &mut action)?;
    }
    if old != 0 {
        process.memory.write(old, &before.to_bytes())?;
    }
    if new != 0 {
        process.signals.set_action(number, Action::from_bytes(&action));
    }
    Ok(0)
}

/// `rt_sigprocmask(how, new, old, length)`
pub(super) fn set_mask(process: &mut Process<'_>, [how, new, old, ..]: [u64; 6]) -> Served {
    let before = process.signals.mask();
    if new != 0 {
        let set = process.memory.word(new)?;
        process.signals.set_mask(match how {
            0 => before | set,
            1 => before & !set,
            2 => set,
            _ => return Err(Errno::EINVAL),
        });
    }
    if old != 0 {
        process.memory.write(old, &before.to_le_bytes())?;
    }
    Ok(0)
}

/// `rt_sigpending(set, length)`
pub(super) fn pending(process: &mut Process<'_>, [set, ..]: [u64; 6]) -> Served {
    process.memory.write(set, &process.signals.kept_out().to_le_bytes()).map(|()| 0)
}

/// `rt_sigsuspend(mask, length)`: waits until a handler has run, with other signals kept out meanwhile.
pub(super) fn suspend(process: &mut Process<'_>, [mask, length, ..]: [u64; 6]) -> Served {
    if length != SET_BYTES {
        return Err(Errno::EINVAL);
    }
    let mask = process.memory.word(mask)?;
    process.signals.set_mask_while_waiting(mask);
    Err(process.wait_until(None))
}

/// The `stack_t` at an address: where it begins, flags (an `int`), its length.
fn stack_at(process: &Process<'_>, address: u64) -> Result<OtherStack, Errno> {
    let word = |skip: u64| process.memory.word(address.wrapping_add(skip));
    let (start, flags, length_bytes) = (word(0)?, word(8)? & 0xffff_ffff, word(16)?);
    match flags {
        0 | OtherStack::IN_USE => Ok(OtherStack { start, length_bytes }),
        OtherStack::NONE => Ok(OtherStack::default()),
        _ => Err(Errno::EINVAL),
    }
}

/// `sigaltstack(new, old)`
pub(super) fn set_stack(process: &mut Process<'_>, [new, old, ..]: [u64; 6]) -> Served {
    const LEAST_BYTES: u64 = 2048;
    let stack_pointer = process.guest.stack_pointer();
    let before = process.signals.other_stack;
    let wanted = match new {
        0 => before,
        _ if before.holds(stack_pointer) => return Err(Errno::EPERM),
        _ => stack_at(process, new)?,
    };
    if (1..LEAST_BYTES).contains(&wanted.length_bytes) {
        return Err(Errno::ENOMEM);
    }
    if old != 0 {
        let told = before.words(stack_pointer).map(u64::to_le_bytes).concat();
        process.memory.write(old, &told)?;
    }
    process.signals.other_stack = wanted;
    Ok(0)
}
