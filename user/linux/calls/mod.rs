//! The system calls of Linux: from a number to the function that serves it.

mod descriptors;
mod directories;
mod memory;
mod processes;
mod times;
mod waiting;

use crate::process::Process;
use libvas::raw;
use linux::errno::Errno;
use linux::numbers::Call;

/// What a call gives, or why it was refused.
type Served = Result<u64, Errno>;

/// A function that serves a call, with six arguments, of which it takes what it needs.
type Function = fn(&mut Process<'_>, [u64; 6]) -> Served;

/// Serves a call; returns what the program finds in the register of results.
pub(crate) fn serve(process: &mut Process<'_>, number: u64, arguments: [u64; 6]) -> u64 {
    let served = match Call::from_number(raw::ELF_MACHINE, number) {
        Some(call) => function_of(call)(process, arguments),
        None => Err(process.refuse(number)),
    };
    served.unwrap_or_else(Errno::as_result)
}

fn function_of(call: Call) -> Function {
    match call {
        Call::Read => descriptors::read,
        Call::Pread => descriptors::read_at,
        Call::Readv => descriptors::read_pieces,
        Call::Write => descriptors::write,
        Call::Writev => descriptors::write_pieces,
        Call::Sendfile => descriptors::send,
        Call::Lseek => descriptors::seek,
        Call::Poll => waiting::poll,
        Call::Ppoll => waiting::poll_until,
        Call::Close => descriptors::close,
        Call::Fstat => descriptors::status,
        Call::Ioctl => descriptors::control_device,
        Call::Fcntl => descriptors::control,
        Call::Dup => descriptors::duplicate,
        Call::Dup2 => descriptors::duplicate_to,
        Call::Dup3 => descriptors::duplicate_to_another,
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
        Call::Brk => memory::set_break,
        Call::Mmap => memory::map,
        Call::Munmap => memory::unmap,
        Call::Mprotect => memory::protect,
        Call::Mremap => memory::remap,
        Call::Madvise => memory::advise,
        Call::Exit | Call::ExitGroup => processes::exit,
        Call::Kill | Call::Tkill => processes::kill,
        Call::Tgkill => processes::kill_thread,
        Call::SignalAction => processes::set_action,
        Call::SignalMask => processes::set_mask,
        Call::ArchPrctl => processes::set_pointer,
        Call::Getpid | Call::Gettid | Call::SetTidAddress => processes::number,
        // It leads its group and its session, of which it is the only member.
        Call::Getpgrp | Call::Getpgid | Call::Getsid => processes::number,
        Call::Getppid => |_, _| Ok(1),
        Call::Getrandom => processes::random,
        Call::Prlimit => processes::limits,
        Call::Uname => processes::names,
        Call::Sysinfo => processes::system,
        Call::Umask => |_, _| Ok(0o22),
        Call::ClockGettime => times::now,
        Call::ClockGetres => times::resolution,
        Call::Gettimeofday => times::time_of_day,
        Call::Times => times::ticks,
        Call::Getrusage => times::usage,
        Call::Time => times::seconds,
        Call::Nanosleep => times::sleep,
        Call::ClockNanosleep => times::sleep_by,
        Call::Yield => times::give_way,
        // Nobody else is there: no other user, no other thread.
        Call::Getuid | Call::Geteuid | Call::Getgid | Call::Getegid | Call::Getgroups | Call::SetRobustList => nothing,
        // Advice that nothing here can follow, and a group that it is in already.
        Call::Fadvise | Call::Setpgid => nothing,
        Call::Prctl => |_, _| Err(Errno::EINVAL),
        // Every C library asks, and does without, as with kernels before 4.18.
        Call::Rseq => |_, _| Err(Errno::ENOSYS),
    }
}

fn nothing(_process: &mut Process<'_>, _arguments: [u64; 6]) -> Served {
    Ok(0)
}
