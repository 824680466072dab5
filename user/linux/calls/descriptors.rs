//! Calls on what is open.

use super::Served;
use super::pipes::{NEVER_WAITS, OWN};
use crate::errno::Errno;
use crate::files::{Open, What};
use crate::memory::COPY_BYTES_MAX;
use crate::process::Process;
use crate::signals::{self, Reason};
use crate::tree::Kind;
use alloc::vec::Vec;
use libvas::raw;

/// The most pieces that one call takes.
const PIECES_MAX: u64 = 1024;

/// `read(descriptor, buffer, length)`
pub(super) fn read(process: &mut Process<'_>, [descriptor, buffer, length, ..]: [u64; 6]) -> Served {
    let open = process.files.get(descriptor)?;
    if let What::Reader(reader) = &open.what {
        let most = length.min(COPY_BYTES_MAX) as usize;
        let served = reader.read(most, |bytes| process.memory.write(buffer, bytes)).map(|count| count as u64);
        return or_not_now(&open, served);
    }
    let count = copy_out(process, &open, open.position.get(), buffer, length)?;
    open.position.set(open.position.get() + count);
    Ok(count)
}

/// Of what is open and never waits, the other answer to a call that would.
fn or_not_now(open: &Open<'_>, served: Served) -> Served {
    if served == Err(Errno::RESTART) && open.never_waits.get() { Err(Errno::EAGAIN) } else { served }
}

/// `pread64(descriptor, buffer, length, position)`
pub(super) fn read_at(process: &mut Process<'_>, [descriptor, buffer, length, position, ..]: [u64; 6]) -> Served {
    let open = process.files.get(descriptor)?;
    if i64::try_from(position).is_err() {
        return Err(Errno::EINVAL);
    }
    match open.what {
        What::Node(_) => copy_out(process, &open, position, buffer, length),
        _ => Err(Errno::ESPIPE),
    }
}

fn copy_out(process: &Process<'_>, open: &Open<'_>, position: u64, buffer: u64, length: u64) -> Served {
    let bytes = open.bytes_from(position)?;
    let bytes = &bytes[..bytes.len().min(length.min(COPY_BYTES_MAX) as usize)];
    process.memory.write(buffer, bytes)?;
    Ok(bytes.len() as u64)
}

/// `readv(descriptor, pieces, count)`
pub(super) fn read_pieces(process: &mut Process<'_>, [descriptor, pieces, count, ..]: [u64; 6]) -> Served {
    let mut done = 0;
    for (address, length) in self::pieces(process, descriptor, pieces, count)? {
        match read(process, [descriptor, address, length, 0, 0, 0]) {
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

/// The pieces of memory that a call names: address and length each.
fn pieces(process: &Process<'_>, descriptor: u64, pieces: u64, count: u64) -> Result<Vec<(u64, u64)>, Errno> {
    if count > PIECES_MAX {
        return Err(Errno::EINVAL);
    }
    process.files.get(descriptor)?;
    let places = (0..count).map(|piece| pieces.wrapping_add(16 * piece));
    places.map(|at| Ok((process.memory.word(at)?, process.memory.word(at.wrapping_add(8))?))).collect()
}

/// `writev(descriptor, pieces, count)`
pub(super) fn write_pieces(process: &mut Process<'_>, [descriptor, pieces, count, ..]: [u64; 6]) -> Served {
    let pieces = self::pieces(process, descriptor, pieces, count)?;
    write_all(process, descriptor, &pieces)
}

/// `write(descriptor, buffer, length)`
pub(super) fn write(process: &mut Process<'_>, [descriptor, buffer, length, ..]: [u64; 6]) -> Served {
    write_all(process, descriptor, &[(buffer, length)])
}

/// Writes pieces of memory, from where the call was when it had to wait.
fn write_all(process: &mut Process<'_>, descriptor: u64, pieces: &[(u64, u64)]) -> Served {
    let open = process.files.get(descriptor)?;
    let mut skip = process.progress.done;
    for (address, length) in pieces {
        let skipped = skip.min(*length);
        skip -= skipped;
        let mut rest = *length - skipped;
        // What has no bytes is written as well: it may be refused.
        loop {
            match or_not_now(&open, write_some(process, &open, address.wrapping_add(length - rest), rest)) {
                Ok(part) => {
                    process.progress.done += part;
                    rest -= part;
                }
                Err(Errno::RESTART) => return Err(Errno::RESTART),
                Err(_) if process.progress.done > 0 => return Ok(process.progress.done),
                Err(Errno::EPIPE) => {
                    process.raise(signals::PIPE, Reason::sent_by(process.identity.number));
                    return Err(Errno::EPIPE);
                }
                Err(error) => return Err(error),
            }
            if rest == 0 {
                break;
            }
            // Only a pipe takes much before it says so.
            if !matches!(open.what, What::Writer(_)) {
                return Ok(process.progress.done);
            }
        }
    }
    Ok(process.progress.done)
}

/// Writes bytes, as many as can be at once.
fn write_some(process: &Process<'_>, open: &Open<'_>, buffer: u64, length: u64) -> Served {
    match &open.what {
        What::Output(output) => {
            let bytes = process.memory.bytes(buffer, length)?;
            output.write(&bytes);
            Ok(bytes.len() as u64)
        }
        What::Writer(_) if length == 0 => Ok(0),
        What::Writer(writer) => {
            let count = writer.accepts(length)?;
            writer.write(&process.memory.bytes(buffer, count)?).map(|count| count as u64)
        }
        What::Node(node) if node.kind == Kind::Null => Ok(length.min(COPY_BYTES_MAX)),
        What::Node(_) | What::Input | What::Reader(_) => Err(Errno::EBADF),
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
    const IS_OWN: u64 = 1;
    const SET_OWN: u64 = 2;
    const HOW_IT_IS_OPEN: u64 = 3;
    const CHANGE_THAT: u64 = 4;
    const DUPLICATE_OWN: u64 = 1030;
    let open = process.files.get(descriptor)?;
    match command {
        DUPLICATE | DUPLICATE_OWN => process.files.duplicate(descriptor, argument, command == DUPLICATE_OWN),
        IS_OWN => process.files.is_own(descriptor).map(u64::from),
        SET_OWN => process.files.set_own(descriptor, argument & 1 != 0).map(|()| 0),
        HOW_IT_IS_OPEN => {
            let is_output = matches!(open.what, What::Output(_) | What::Writer(_));
            Ok(u64::from(is_output) | if open.never_waits.get() { NEVER_WAITS } else { 0 })
        }
        CHANGE_THAT => {
            open.never_waits.set(argument & NEVER_WAITS != 0);
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `dup(descriptor)`
pub(super) fn duplicate(process: &mut Process<'_>, [descriptor, ..]: [u64; 6]) -> Served {
    process.files.duplicate(descriptor, 0, false)
}

/// `dup2(descriptor, goal)`
pub(super) fn duplicate_to(process: &mut Process<'_>, [descriptor, goal, ..]: [u64; 6]) -> Served {
    if descriptor == goal {
        return process.files.get(descriptor).map(|_| goal);
    }
    process.files.duplicate_to(descriptor, goal, false)
}

/// `dup3(descriptor, goal, flags)`
pub(super) fn duplicate_to_another(process: &mut Process<'_>, [descriptor, goal, flags, ..]: [u64; 6]) -> Served {
    if descriptor == goal || flags & !OWN != 0 {
        return Err(Errno::EINVAL);
    }
    process.files.duplicate_to(descriptor, goal, flags & OWN != 0)
}
