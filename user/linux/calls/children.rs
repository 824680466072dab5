//! Calls that make processes, and wait for them.

use super::Served;
use crate::errno::Errno;
use crate::image::Words;
use crate::numbers::AARCH64;
use crate::process::{Identity, Process};
use crate::signals::CHILD;
use crate::tree::Kind;
use crate::world::{Fork, World};
use alloc::string::String;
use alloc::vec::Vec;
use libvas::{USER_END, raw};

/// The most that arguments and environment take together, bytes.
const TEXTS_BYTES_MAX: usize = 1 << 20;

/// What `wait4` tells of what a child has used: nothing.
const USAGE_BYTES: usize = 144;

/// `fork()`
pub(super) fn fork<'a>(world: &mut World<'a>, process: &mut Process<'a>, _arguments: [u64; 6]) -> Served {
    world.fork(process, &Fork::default())
}

/// `vfork()`
pub(super) fn fork_borrowing<'a>(world: &mut World<'a>, process: &mut Process<'a>, _arguments: [u64; 6]) -> Served {
    borrow(world, process, &Fork { is_borrower: true, ..Fork::default() })
}

/// Makes a child that uses its parent's memory; the parent goes on when the child does not any more.
fn borrow<'a>(world: &mut World<'a>, process: &mut Process<'a>, wish: &Fork) -> Served {
    let child = match process.progress.child {
        Some(child) => child,
        None => world.fork(process, wish)?,
    };
    if world.processes.get(&child).is_some_and(|child| child.is_borrower) {
        process.progress.child = Some(child);
        return Err(process.wait_until(None));
    }
    Ok(child)
}

/// `clone(flags, stack, parent's place, ...)`, the rest in another order on each processor: as `fork` and `vfork`, and for threads.
pub(super) fn clone<'a>(world: &mut World<'a>, process: &mut Process<'a>, arguments: [u64; 6]) -> Served {
    const SIGNAL: u64 = 0xff;
    const BORROWS: u64 = 0x100 | 0x4000;
    const SETS_POINTER: u64 = 0x8_0000;
    const TELLS_PARENT: u64 = 0x10_0000;
    const CLEARS_IN_CHILD: u64 = 0x20_0000;
    const TELLS_CHILD: u64 = 0x100_0000;
    // Memory, directory, descriptors, actions, and all that a process has; what is undone of semaphores means nothing here.
    const THREAD: u64 = 0x1_0f00;
    const SEMAPHORES: u64 = 0x4_0000;
    const ALWAYS: u64 = SETS_POINTER | TELLS_PARENT | CLEARS_IN_CHILD | TELLS_CHILD;
    let [flags, stack_pointer, parents_place, fourth, fifth, _] = arguments;
    let (childs_place, pointer) = if raw::ELF_MACHINE == AARCH64 { (fifth, fourth) } else { (fourth, fifth) };
    let (is_borrower, is_thread) = match flags & !ALWAYS & !SIGNAL {
        0 => (false, false),
        BORROWS => (true, false),
        kind if kind & !SEMAPHORES == THREAD => (false, true),
        _ => return Err(Errno::EINVAL),
    };
    if ![0, u64::from(CHILD)].contains(&(flags & SIGNAL)) {
        return Err(Errno::EINVAL);
    }
    let thread_pointer = (flags & SETS_POINTER != 0).then_some(pointer);
    if thread_pointer.is_some_and(|pointer| pointer >= USER_END) {
        return Err(Errno::EPERM);
    }
    let clears = if flags & CLEARS_IN_CHILD != 0 { childs_place } else { 0 };
    let wish = Fork { is_borrower, is_thread, clears, stack_pointer, thread_pointer };
    let is_made = process.progress.child.is_none();
    let served = if is_borrower { borrow(world, process, &wish) } else { world.fork(process, &wish) };
    let number = served.ok().or(process.progress.child).filter(|_| is_made);
    if let Some(child) = number.and_then(|number| world.processes.get(&number)) {
        // As on Linux, a place that is not there is not written to.
        let told = (child.identity.thread as u32).to_le_bytes();
        if flags & TELLS_CHILD != 0 {
            let _ = child.memory.write(childs_place, &told);
        }
        if flags & TELLS_PARENT != 0 {
            let _ = process.memory.write(parents_place, &told);
        }
    }
    served
}

/// `execve(path, arguments, environment)`
pub(super) fn execute<'a>(
    world: &mut World<'a>,
    process: &mut Process<'a>,
    [path, arguments, environment, ..]: [u64; 6],
) -> Served {
    let path = process.memory.text(path)?;
    let own = process.path.clone();
    let node = process.files.find(None, if path == "/proc/self/exe" { &own } else { &path })?;
    let Kind::File(file) = node.kind else { return Err(Errno::EACCES) };
    let mut room = TEXTS_BYTES_MAX;
    let mut arguments = texts(process, arguments, &mut room)?;
    let environment = texts(process, environment, &mut room)?;
    if arguments.is_empty() {
        arguments.push(String::new());
    }
    let [arguments, environment]: [Vec<&str>; 2] =
        [&arguments, &environment].map(|all| all.iter().map(String::as_str).collect());
    let words = Words { arguments: &arguments, environment: &environment };
    let path = if path == "/proc/self/exe" { own } else { ["/", &node.path].concat() };
    world.execute(process, &path, file, &words)?;
    Ok(0)
}

/// The texts that a list of addresses names, which ends with 0.
fn texts(process: &Process<'_>, list: u64, room: &mut usize) -> Result<Vec<String>, Errno> {
    const WORD_BYTES: usize = 8;
    let mut found = Vec::new();
    if list == 0 {
        return Ok(found);
    }
    let mut at = list;
    loop {
        let address = process.memory.word(at)?;
        if address == 0 {
            return Ok(found);
        }
        let text = process.memory.text(address)?;
        *room = room.checked_sub(text.len() + 1 + WORD_BYTES).ok_or(Errno::E2BIG)?;
        found.push(text);
        at = at.wrapping_add(WORD_BYTES as u64);
    }
}

/// `wait4(whom, status, options, usage)`
pub(super) fn wait<'a>(
    world: &mut World<'a>,
    process: &mut Process<'a>,
    [whom, status, options, usage, ..]: [u64; 6],
) -> Served {
    const NEVER_WAITS: u64 = 1;
    // Children that stop and go on, of which nobody is told; those of all threads, and of other kinds.
    const OTHERS: u64 = 2 | 8 | 0xe000_0000;
    let options = u64::from(options as u32);
    if options & !(NEVER_WAITS | OTHERS) != 0 {
        return Err(Errno::EINVAL);
    }
    let (own, whom) = (process.identity, i64::from(whom as i32));
    let is_meant = |identity: &Identity| {
        identity.parent == own.number
            && match whom {
                -1 => true,
                0 => identity.group == own.group,
                group if group < 0 => identity.group == group.unsigned_abs(),
                number => identity.number == number.unsigned_abs(),
            }
    };
    let Some((number, ended)) = world.take_dead(is_meant) else {
        return match world.has(is_meant) {
            true if options & NEVER_WAITS != 0 => Ok(0),
            true => Err(process.wait_until(None)),
            false => Err(Errno::ECHILD),
        };
    };
    if status != 0 {
        process.memory.write(status, &ended.told().to_le_bytes())?;
    }
    if usage != 0 {
        process.memory.write(usage, &[0; USAGE_BYTES])?;
    }
    Ok(number)
}

/// `setpgid(process, group)`: of itself or a child; 0 means itself.
pub(super) fn set_group<'a>(world: &mut World<'a>, process: &mut Process<'a>, [whom, group, ..]: [u64; 6]) -> Served {
    let own = process.identity;
    let number = if whom == 0 { own.number } else { whom };
    let group = if group == 0 { number } else { group };
    if i32::try_from(group).is_err() {
        return Err(Errno::EINVAL);
    }
    let is_there = group == number
        || own.group == group
        || world.has(|identity| identity.group == group && identity.session == own.session);
    let goal = identity(world, process, number)?;
    if number != own.number && goal.parent != own.number {
        return Err(Errno::ESRCH);
    }
    if goal.session == goal.number || goal.session != own.session || !is_there {
        return Err(Errno::EPERM);
    }
    let threads = world.processes.values_mut().chain([process]).filter(|thread| thread.identity.number == number);
    threads.for_each(|thread| thread.identity.group = group);
    Ok(0)
}

/// `getpgid(process)`
pub(super) fn group<'a>(world: &mut World<'a>, process: &mut Process<'a>, [whom, ..]: [u64; 6]) -> Served {
    identity(world, process, whom).map(|identity| identity.group)
}

/// `getsid(process)`
pub(super) fn session<'a>(world: &mut World<'a>, process: &mut Process<'a>, [whom, ..]: [u64; 6]) -> Served {
    identity(world, process, whom).map(|identity| identity.session)
}

fn identity(world: &World<'_>, process: &Process<'_>, whom: u64) -> Result<Identity, Errno> {
    if whom == 0 || whom == process.identity.number {
        return Ok(process.identity);
    }
    let found = world.processes.values().find(|found| found.identity.number == whom);
    found.map(|found| found.identity).ok_or(Errno::ESRCH)
}
