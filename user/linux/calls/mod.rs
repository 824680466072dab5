//! The system calls of Linux: from a number to the function that serves it.

mod children;
mod descriptors;
mod directories;
mod memory;
mod pipes;
mod processes;
mod selecting;
mod signals;
mod times;
mod waiting;
mod words;

use crate::errno::Errno;
use crate::numbers::Call;
use crate::process::Process;
use crate::world::World;
use libvas::raw;

/// What a call gives, or why it was refused, or [`Errno::RESTART`].
pub type Served = Result<u64, Errno>;

/// A function that serves a call, with six arguments, of which it takes what it needs.
type Function = fn(&mut Process<'_>, [u64; 6]) -> Served;

/// The same for a call that concerns other processes as well.
type Among = for<'a> fn(&mut World<'a>, &mut Process<'a>, [u64; 6]) -> Served;

/// Serves a call.
///
/// # Errors
/// What the program finds in the register of results; `RESTART` if the call is to be made anew.
pub fn serve<'a>(world: &mut World<'a>, process: &mut Process<'a>, number: u64, arguments: [u64; 6]) -> Served {
    let Some(call) = Call::from_number(raw::ELF_MACHINE, number) else { return Err(world.refuse(process, number)) };
    if let Some(function) = among_others(call) {
        return function(world, process, arguments);
    }
    match on_files(call).or_else(|| on_memory_and_time(call)).or_else(|| on_itself(call)) {
        Some(function) => function(process, arguments),
        None => Err(world.refuse(process, number)),
    }
}

fn among_others(call: Call) -> Option<Among> {
    Some(match call {
        Call::Fork => children::fork,
        Call::Vfork => children::fork_borrowing,
        Call::Clone => children::clone,
        Call::Execve => children::execute,
        Call::Wait4 => children::wait,
        Call::Setpgid => children::set_group,
        Call::Getpgid => children::group,
        Call::Getsid => children::session,
        Call::Kill => signals::kill,
        Call::Tkill => signals::kill_thread,
        Call::Tgkill => signals::kill_thread_of,
        Call::Futex => words::futex,
        _ => return None,
    })
}

fn on_files(call: Call) -> Option<Function> {
    Some(match call {
        Call::Read => descriptors::read,
        Call::Pread => descriptors::read_at,
        Call::Readv => descriptors::read_pieces,
        Call::Write => descriptors::write,
        Call::Writev => descriptors::write_pieces,
        Call::Sendfile => descriptors::send,
        Call::Lseek => descriptors::seek,
        Call::Poll => waiting::poll,
        Call::Ppoll => waiting::poll_until,
        Call::Select => selecting::select,
        Call::Pselect => selecting::select_until,
        Call::Close => descriptors::close,
        Call::Fstat => descriptors::status,
        Call::Ioctl => descriptors::control_device,
        Call::Fcntl => descriptors::control,
        Call::Dup => descriptors::duplicate,
        Call::Dup2 => descriptors::duplicate_to,
        Call::Dup3 => descriptors::duplicate_to_another,
        Call::Pipe => pipes::open,
        Call::Pipe2 => pipes::open_with,
        Call::Open => directories::open,
        Call::Openat => directories::open_at,
        Call::Stat | Call::Lstat => directories::status,
        Call::Newfstatat => directories::status_at,
        Call::Access => directories::access,
        Call::Faccessat | Call::Faccessat2 => directories::access_at,
        Call::Readlink => directories::link,
        Call::Readlinkat => directories::link_at,
        Call::Getdents => directories::entries,
        Call::Getcwd => directories::current,
        Call::Chdir => directories::enter,
        // Advice that nothing here can follow.
        Call::Fadvise => nothing,
        _ => return None,
    })
}

fn on_memory_and_time(call: Call) -> Option<Function> {
    Some(match call {
        Call::Brk => memory::set_break,
        Call::Mmap => memory::map,
        Call::Munmap => memory::unmap,
        Call::Mprotect => memory::protect,
        Call::Mremap => memory::remap,
        Call::Madvise => memory::advise,
        Call::ClockGettime => times::now,
        Call::ClockGetres => times::resolution,
        Call::Gettimeofday => times::time_of_day,
        Call::Times => times::ticks,
        Call::Getrusage => times::usage,
        Call::Time => times::seconds,
        Call::Nanosleep => times::sleep,
        Call::ClockNanosleep => times::sleep_by,
        Call::Yield => times::give_way,
        _ => return None,
    })
}

fn on_itself(call: Call) -> Option<Function> {
    Some(match call {
        Call::Exit => processes::exit_thread,
        Call::ExitGroup => processes::exit,
        Call::SignalAction => signals::set_action,
        Call::SignalMask => signals::set_mask,
        Call::SignalReturn => |process, _| crate::delivery::leave(process),
        Call::SignalPending => signals::pending,
        Call::SignalSuspend => signals::suspend,
        Call::SignalStack => signals::set_stack,
        Call::Pause => |process, _| Err(process.wait_until(None)),
        Call::ArchPrctl => processes::set_pointer,
        Call::Getpid => |process, _| Ok(process.identity.number),
        Call::Gettid => |process, _| Ok(process.identity.thread),
        Call::SetTidAddress => processes::set_cleared,
        Call::Affinity => processes::affinity,
        Call::Getppid => |process, _| Ok(process.identity.parent),
        Call::Getpgrp => |process, _| Ok(process.identity.group),
        Call::Setsid => processes::lead_session,
        Call::Getrandom => processes::random,
        Call::Prlimit => processes::limits,
        Call::Uname => processes::names,
        Call::Sysinfo => processes::system,
        Call::Umask => |_, _| Ok(0o22),
        // Nobody else is there; and what threads leave locked when they end, nobody is told.
        Call::Getuid | Call::Geteuid | Call::Getgid | Call::Getegid | Call::Getgroups | Call::SetRobustList => nothing,
        Call::Prctl => |_, _| Err(Errno::EINVAL),
        // Every C library asks, and does without, as with kernels before 4.18 and 5.3.
        Call::Rseq | Call::Clone3 => |_, _| Err(Errno::ENOSYS),
        _ => return None,
    })
}

fn nothing(_process: &mut Process<'_>, _arguments: [u64; 6]) -> Served {
    Ok(0)
}
