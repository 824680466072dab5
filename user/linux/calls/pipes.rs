//! Calls that make pipes.

use super::Served;
use crate::errno::Errno;
use crate::process::Process;

/// In flags of all calls that open something: another program does not have it.
pub(super) const OWN: u64 = 0o2_000_000;
/// Calls fail rather than wait.
pub(super) const NEVER_WAITS: u64 = 0o4000;

/// `pipe(descriptors)`
pub(super) fn open(process: &mut Process<'_>, [descriptors, ..]: [u64; 6]) -> Served {
    open_with(process, [descriptors, 0, 0, 0, 0, 0])
}

/// `pipe2(descriptors, flags)`
pub(super) fn open_with(process: &mut Process<'_>, [descriptors, flags, ..]: [u64; 6]) -> Served {
    if flags & !(OWN | NEVER_WAITS) != 0 {
        return Err(Errno::EINVAL);
    }
    let [reader, writer] = process.files.open_pipe(flags & OWN != 0, flags & NEVER_WAITS != 0)?;
    let both = (reader | writer << 32).to_le_bytes();
    if let Err(error) = process.memory.write(descriptors, &both) {
        process.files.close(reader).and(process.files.close(writer))?;
        return Err(error);
    }
    Ok(0)
}
