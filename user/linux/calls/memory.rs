//! Calls on memory.

use super::Served;
use crate::errno::Errno;
use crate::memory::MAPS;
use crate::process::Process;
use core::ops::Range;
use libvas::{PAGE_BYTES, Rights, USER_END, USER_START};

/// In `mmap`'s flags: seen by others, or not; one of the two.
const SHARED_OR_PRIVATE: u64 = 0x3;
/// Exactly there, in the place of what is.
const FIXED: u64 = 0x10;
/// The same, if nothing is there.
const FIXED_IF_FREE: u64 = 0x10_0000;
/// No file.
const ANONYMOUS: u64 = 0x20;

/// What a protection allows. The kernel's mappings can all be read, unless nothing is allowed.
fn rights_of(protection: u64) -> Result<Rights, Errno> {
    let rights = match protection {
        0 => Rights::empty(),
        1 => Rights::READ,
        2 | 3 => Rights::READ_WRITE,
        4 | 5 => Rights::READ_EXECUTE,
        // Never writable and executable at once.
        6 | 7 => return Err(Errno::EACCES),
        _ => return Err(Errno::EINVAL),
    };
    Ok(rights)
}

/// The pages of a range, which begins with one.
fn pages(address: u64, length: u64) -> Result<Range<u64>, Errno> {
    let end = address.checked_add(length).and_then(|end| end.checked_next_multiple_of(PAGE_BYTES));
    let end = end.filter(|end| *end <= USER_END).ok_or(Errno::ENOMEM)?;
    if !address.is_multiple_of(PAGE_BYTES) || length == 0 {
        return Err(Errno::EINVAL);
    }
    Ok(address..end)
}

/// `brk(address)`
pub(super) fn set_break(process: &mut Process<'_>, [address, ..]: [u64; 6]) -> Served {
    Ok(process.memory.set_break(address))
}

/// `mmap(address, length, protection, flags, descriptor, position)`: of a file the program gets a copy.
pub(super) fn map(
    process: &mut Process<'_>,
    [address, length, protection, flags, descriptor, position]: [u64; 6],
) -> Served {
    let rights = rights_of(protection)?;
    if flags & SHARED_OR_PRIVATE == 0 {
        return Err(Errno::EINVAL);
    }
    let length = pages(0, length)?.end;
    if length > MAPS.end - MAPS.start {
        return Err(Errno::ENOMEM);
    }
    let file = if flags & ANONYMOUS != 0 {
        &[]
    } else {
        if !position.is_multiple_of(PAGE_BYTES) {
            return Err(Errno::EINVAL);
        }
        process.files.get(descriptor)?.bytes_from(position).map_err(|_| Errno::EACCES)?
    };
    let file = &file[..file.len().min(length as usize)];
    if flags & (FIXED | FIXED_IF_FREE) == 0 {
        return process.memory.map(address, length, rights, file);
    }
    let range = pages(address, length)?;
    if range.start < USER_START {
        return Err(Errno::EPERM);
    }
    if flags & FIXED_IF_FREE != 0 && !process.memory.is_free(&range) {
        return Err(Errno::EEXIST);
    }
    process.memory.map_at(address, length, rights, file)
}

/// `munmap(address, length)`
pub(super) fn unmap(process: &mut Process<'_>, [address, length, ..]: [u64; 6]) -> Served {
    let range = pages(address, length).map_err(|_| Errno::EINVAL)?;
    process.memory.unmap(&range).map(|()| 0)
}

/// `mprotect(address, length, protection)`
pub(super) fn protect(process: &mut Process<'_>, [address, length, protection, ..]: [u64; 6]) -> Served {
    let rights = rights_of(protection)?;
    if length == 0 && address.is_multiple_of(PAGE_BYTES) {
        return Ok(0);
    }
    process.memory.protect(&pages(address, length)?, rights).map(|()| 0)
}

/// `mremap(...)`: a mapping stays where it is and as long as it is; C libraries copy then.
pub(super) fn remap(_process: &mut Process<'_>, _arguments: [u64; 6]) -> Served {
    Err(Errno::ENOMEM)
}

/// `madvise(address, length, advice)`: none is followed, and what would change memory is refused.
pub(super) fn advise(_process: &mut Process<'_>, [_, _, advice, ..]: [u64; 6]) -> Served {
    const LAST_HARMLESS: u64 = 3;
    if advice <= LAST_HARMLESS { Ok(0) } else { Err(Errno::EINVAL) }
}
