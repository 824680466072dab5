//! Calls on what is open.

use super::Served;
use crate::files::{Open, What};
use crate::memory::COPY_BYTES_MAX;
use crate::process::Process;
use libvas::raw;
use linux::errno::Errno;
use linux::tree::Kind;

/// The most pieces that one call takes.
const PIECES_MAX: u64 = 1024;

/// `read(descriptor, buffer, length)`
pub(super) fn read(process: &mut Process<'_>, [descriptor, buffer, length, ..]: [u64; 6]) -> Served {
    let open = process.files.get(descriptor)?;
    let count = copy_out(process, &open, open.position.get(), buffer, length)?;
    open.position.set(open.position.get() + count);
    Ok(count)
}

/// `pread64(descriptor, buffer, length, position)`
pub(super) fn read_at(process: &mut Process<'_>, [descriptor, buffer, length, position, ..]: [u64; 6]) -> Served {
    let open = process.files.get(descriptor)?;
    if i64::try_from(position).is_err() {
        return Err(Errno::EINVAL);
    }
    match open.what {
        What::Node(_) => copy_out(process, &open, position, buffer, length),
        What::Input | What::Output => Err(Errno::ESPIPE),
    }
}

fn copy_out(process: &Process<'_>, open: &Open<'_>, position: u64, buffer: u64, length: u64) -> Served {
    let bytes = open.bytes_from(position)?;
    let bytes = &bytes[..bytes.len().min(length.min(COPY_BYTES_MAX) as usize)];
    process.memory.write(buffer, bytes)?;
    Ok(bytes.len() as u64)
}

/// `readv(descriptor, pieces, count)`
pub(super) fn read_pieces(process: &mut Process<'_>, arguments: [u64; 6]) -> Served {
    for_pieces(process, arguments, read)
}

/// `writev(descriptor, pieces, count)`
pub(super) fn write_pieces(process: &mut Process<'_>, arguments: [u64; 6]) -> Served {
    for_pieces(process, arguments, write)
}

/// Does for each piece (address and length) what is done for one buffer, until one is not done whole.
fn for_pieces(process: &mut Process<'_>, [descriptor, pieces, count, ..]: [u64; 6], body: super::Function) -> Served {
    if count > PIECES_MAX {
        return Err(Errno::EINVAL);
    }
    process.files.get(descriptor)?;
    let mut done = 0;
    for piece in 0..count {
        let at = pieces.wrapping_add(16 * piece);
        let (address, length) = (process.memory.word(at)?, process.memory.word(at.wrapping_add(8))?);
        match body(process, [descriptor, address, length, 0, 0, 0]) {
            Ok(part) => {
                done += part;
                if part < length {
                    break;
                }
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// `write(descriptor, buffer, length)`
pub(super) fn write(process: &mut Process<'_>, [descriptor, buffer, length, ..]: [u64; 6]) -> Served {
    let open = process.files.get(descriptor)?;
    match &open.what {
        What::Output => {
            let bytes = process.memory.bytes(buffer, length)?;
            process.output.write(&bytes);
            Ok(bytes.len() as u64)
        }
        What::Node(node) if node.kind == Kind::Null => Ok(length.min(COPY_BYTES_MAX)),
        What::Node(_) | What::Input => Err(Errno::EBADF),
    }
}

/// `sendfile(to, from, position, length)`: who is told that these files do not do it reads and writes instead.
pub(super) fn send(process: &mut Process<'_>, [to, from, ..]: [u64; 6]) -> Served {
    process.files.get(to).and(process.files.get(from))?;
    Err(Errno::EINVAL)
}

/// `lseek(descriptor, distance, from)`
pub(super) fn seek(process: &mut Process<'_>, [descriptor, distance, from, ..]: [u64; 6]) -> Served {
    let open = process.files.get(descriptor)?;
    let What::Node(node) = &open.what else { return Err(Errno::ESPIPE) };
    let length = if let Kind::File(bytes) = node.kind { bytes.len() as u64 } else { 0 };
    let base = match from {
        0 => 0,
        1 => open.position.get(),
        2 => length,
        _ => return Err(Errno::EINVAL),
    };
    let goal = (base as i64).checked_add(distance as i64).and_then(|goal| u64::try_from(goal).ok());
    open.position.set(goal.ok_or(Errno::EINVAL)?);
    Ok(open.position.get())
}

/// `close(descriptor)`
pub(super) fn close(process: &mut Process<'_>, [descriptor, ..]: [u64; 6]) -> Served {
    process.files.close(descriptor)
}

/// `fstat(descriptor, buffer)`
pub(super) fn status(process: &mut Process<'_>, [descriptor, buffer, ..]: [u64; 6]) -> Served {
    let status = process.files.get(descriptor)?.status();
    process.memory.write(buffer, &status.to_bytes(raw::ELF_MACHINE)).map(|()| 0)
}

/// `ioctl(descriptor, ...)`: nothing here is a terminal.
pub(super) fn control_device(process: &mut Process<'_>, [descriptor, ..]: [u64; 6]) -> Served {
    process.files.get(descriptor)?;
    Err(Errno::ENOTTY)
}

/// `fcntl(descriptor, command, argument)`
pub(super) fn control(process: &mut Process<'_>, [descriptor, command, argument, ..]: [u64; 6]) -> Served {
    const DUPLICATE: u64 = 0;
    const DUPLICATE_FOR_ONE: u64 = 1030;
    const FLAGS: core::ops::RangeInclusive<u64> = 1..=4;
    const HOW_IT_IS_OPEN: u64 = 3;
    let open = process.files.get(descriptor)?;
    match command {
        DUPLICATE | DUPLICATE_FOR_ONE => process.files.duplicate(descriptor, argument),
        HOW_IT_IS_OPEN => Ok(u64::from(matches!(open.what, What::Output))),
        // Nothing is ever executed, so it makes no difference what is kept then.
        command if FLAGS.contains(&command) => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// `dup(descriptor)`
pub(super) fn duplicate(process: &mut Process<'_>, [descriptor, ..]: [u64; 6]) -> Served {
    process.files.duplicate(descriptor, 0)
}

/// `dup2(descriptor, goal)`
pub(super) fn duplicate_to(process: &mut Process<'_>, [descriptor, goal, ..]: [u64; 6]) -> Served {
    process.files.duplicate_to(descriptor, goal)
}

/// `dup3(descriptor, goal, flags)`
pub(super) fn duplicate_to_another(process: &mut Process<'_>, [descriptor, goal, ..]: [u64; 6]) -> Served {
    if descriptor == goal { Err(Errno::EINVAL) } else { process.files.duplicate_to(descriptor, goal) }
}
