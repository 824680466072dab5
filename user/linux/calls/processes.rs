//! Calls on the process itself and the machine.

use super::Served;
use crate::errno::Errno;
use crate::files::DESCRIPTORS;
use crate::memory::{COPY_BYTES_MAX, STACK_BYTES};
use crate::process::{Ended, Process};
use crate::records;
use libvas::{USER_END, clock, raw};

/// `exit(status)`: of a thread.
pub(super) fn exit_thread(process: &mut Process<'_>, arguments: [u64; 6]) -> Served {
    process.is_alone = true;
    exit(process, arguments)
}

/// `set_tid_address(word)`
pub(super) fn set_cleared(process: &mut Process<'_>, [word, ..]: [u64; 6]) -> Served {
    process.clears = word;
    Ok(process.identity.thread)
}

/// `sched_getaffinity(thread, length, set)`: there is one CPU.
pub(super) fn affinity(process: &mut Process<'_>, [_, length, set, ..]: [u64; 6]) -> Served {
    const SET_BYTES: u64 = 8;
    if length < SET_BYTES {
        return Err(Errno::EINVAL);
    }
    process.memory.write(set, &1_u64.to_le_bytes()).map(|()| SET_BYTES)
}

/// `exit_group(status)`
pub(super) fn exit(process: &mut Process<'_>, [status, ..]: [u64; 6]) -> Served {
    process.ended = Some(Ended::Exited(status as u8));
    Ok(0)
}

/// `setsid()`: whoever leads a group cannot.
pub(super) fn lead_session(process: &mut Process<'_>, _arguments: [u64; 6]) -> Served {
    let identity = &mut process.identity;
    if identity.group == identity.number {
        return Err(Errno::EPERM);
    }
    (identity.group, identity.session) = (identity.number, identity.number);
    Ok(identity.number)
}

/// `arch_prctl(what, address)`: the bases of FS and GS, on x86_64.
pub(super) fn set_pointer(process: &mut Process<'_>, [what, address, ..]: [u64; 6]) -> Served {
    const SET_GS: u64 = 0x1001;
    const SET_FS: u64 = 0x1002;
    const GET_FS: u64 = 0x1003;
    const GET_GS: u64 = 0x1004;
    let guest = &process.guest;
    match what {
        SET_FS | SET_GS if address >= USER_END => return Err(Errno::EPERM),
        SET_FS => guest.set_thread_pointer(address),
        SET_GS => guest.set_second_pointer(address),
        GET_FS => process.memory.write(address, &guest.thread_pointer().to_le_bytes())?,
        GET_GS => process.memory.write(address, &guest.second_pointer().to_le_bytes())?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// `getrandom(buffer, length)`: there is no source of chance, so these are numbers that look like it.
pub(super) fn random(process: &mut Process<'_>, [buffer, length, ..]: [u64; 6]) -> Served {
    let length = length.min(COPY_BYTES_MAX) as usize;
    let bytes: alloc::vec::Vec<u8> = (0..length).map(|_| process.random.below(256) as u8).collect();
    process.memory.write(buffer, &bytes)?;
    Ok(length as u64)
}

/// `prlimit64(process, resource, new, old)`: limits are what they are.
pub(super) fn limits(process: &mut Process<'_>, [_, resource, new, old, ..]: [u64; 6]) -> Served {
    const RESOURCES: u64 = 16;
    const STACK: u64 = 3;
    const FILES: u64 = 7;
    if resource >= RESOURCES {
        return Err(Errno::EINVAL);
    }
    if new != 0 {
        return Err(Errno::EPERM);
    }
    let limit = match resource {
        STACK => STACK_BYTES,
        FILES => DESCRIPTORS as u64,
        _ => u64::MAX,
    };
    if old != 0 {
        process.memory.write(old, &records::pair(limit, limit))?;
    }
    Ok(0)
}

/// `uname(buffer)`
pub(super) fn names(process: &mut Process<'_>, [buffer, ..]: [u64; 6]) -> Served {
    process.memory.write(buffer, &records::names(raw::ELF_MACHINE)).map(|()| 0)
}

/// `sysinfo(buffer)`: the memory is what all processes together can have.
pub(super) fn system(process: &mut Process<'_>, [buffer, ..]: [u64; 6]) -> Served {
    let account = process.memory.account().info()?;
    let free_bytes = account.limit_bytes.saturating_sub(account.used_bytes);
    let bytes = records::system(clock::now().as_secs(), account.limit_bytes, free_bytes);
    process.memory.write(buffer, &bytes).map(|()| 0)
}
