//! Calls on paths and directories.

use super::pipes::OWN;
use super::{Served, descriptors};
use crate::errno::Errno;
use crate::files::{What, status_of};
use crate::numbers::AARCH64;
use crate::process::Process;
use crate::records::{ENTRY_DIRECTORY, ENTRY_FILE, entry};
use crate::tree::{Kind, Node};
use libvas::raw;

/// In the place of a directory's descriptor: the program's own (`AT_FDCWD`, -100).
const HERE: u64 = -100_i32 as u32 as u64;

/// With an empty path: the descriptor itself is meant.
const EMPTY_PATH: u64 = 0x1000;

/// In `open`'s flags: what only directories allow. The processors differ.
const DIRECTORY: u64 = if raw::ELF_MACHINE == AARCH64 { 0o40000 } else { 0o200_000 };

/// The file at a path in the program's memory, which counts from a directory.
fn find<'a>(process: &Process<'a>, directory: u64, path: u64) -> Result<Node<'a>, Errno> {
    let path = process.memory.text(path)?;
    // Programs hand over an `int`, of which only the lower half counts.
    let directory = u64::from(directory as u32);
    process.files.find((directory != HERE).then_some(directory), &path)
}

/// `open(path, flags)`
pub(super) fn open(process: &mut Process<'_>, [path, flags, ..]: [u64; 6]) -> Served {
    open_at(process, [HERE, path, flags, 0, 0, 0])
}

/// `openat(directory, path, flags)`
pub(super) fn open_at(process: &mut Process<'_>, [directory, path, flags, ..]: [u64; 6]) -> Served {
    const TO_WRITE: u64 = 0o3;
    const CREATE: u64 = 0o100;
    let node = match find(process, directory, path) {
        Err(Errno::ENOENT) if flags & CREATE != 0 => return Err(Errno::EROFS),
        found => found?,
    };
    match node.kind {
        Kind::Null => {}
        Kind::Directory if flags & TO_WRITE != 0 => return Err(Errno::EISDIR),
        Kind::File(_) if flags & DIRECTORY != 0 => return Err(Errno::ENOTDIR),
        Kind::File(_) if flags & TO_WRITE != 0 => return Err(Errno::EROFS),
        Kind::File(_) | Kind::Directory => {}
    }
    process.files.open(node, flags & OWN != 0)
}

/// `stat(path, buffer)`
pub(super) fn status(process: &mut Process<'_>, [path, buffer, ..]: [u64; 6]) -> Served {
    status_at(process, [HERE, path, buffer, 0, 0, 0])
}

/// `newfstatat(directory, path, buffer, flags)`
pub(super) fn status_at(process: &mut Process<'_>, [directory, path, buffer, flags, ..]: [u64; 6]) -> Served {
    if flags & EMPTY_PATH != 0 && process.memory.text(path)?.is_empty() {
        return descriptors::status(process, [directory, buffer, 0, 0, 0, 0]);
    }
    let status = status_of(&find(process, directory, path)?);
    process.memory.write(buffer, &status.to_bytes(raw::ELF_MACHINE)).map(|()| 0)
}

/// `access(path, wish)`
pub(super) fn access(process: &mut Process<'_>, [path, wish, ..]: [u64; 6]) -> Served {
    access_at(process, [HERE, path, wish, 0, 0, 0])
}

/// `faccessat(directory, path, wish)`
pub(super) fn access_at(process: &mut Process<'_>, [directory, path, wish, ..]: [u64; 6]) -> Served {
    const TO_WRITE: u64 = 2;
    let node = find(process, directory, path)?;
    if wish & TO_WRITE != 0 && node.kind != Kind::Null { Err(Errno::EROFS) } else { Ok(0) }
}

/// `readlink(path, buffer, length)`
pub(super) fn link(process: &mut Process<'_>, [path, buffer, length, ..]: [u64; 6]) -> Served {
    link_at(process, [HERE, path, buffer, length, 0, 0])
}

/// `readlinkat(directory, path, buffer, length)`: there is one link, which leads to the program.
pub(super) fn link_at(process: &mut Process<'_>, [directory, path, buffer, length, ..]: [u64; 6]) -> Served {
    if process.memory.text(path)? != "/proc/self/exe" {
        return find(process, directory, path).and(Err(Errno::EINVAL));
    }
    let goal = process.path.as_bytes();
    let goal = &goal[..goal.len().min(length as usize)];
    process.memory.write(buffer, goal)?;
    Ok(goal.len() as u64)
}

/// `getdents64(descriptor, buffer, length)`
pub(super) fn entries(process: &mut Process<'_>, [descriptor, buffer, length, ..]: [u64; 6]) -> Served {
    let open = process.files.get(descriptor)?;
    let What::Node(directory @ Node { kind: Kind::Directory, .. }) = &open.what else { return Err(Errno::ENOTDIR) };
    let tree = process.files.tree();
    let parent = tree.find(directory.parent(), ".")?;
    let listed = tree.children(directory).map(|node| (node.number, node.kind, node.name()));
    let both = [(directory.number, Kind::Directory, "."), (parent.number, Kind::Directory, "..")];
    let (mut bytes, mut position) = (alloc::vec::Vec::new(), open.position.get());
    for (number, kind, name) in both.into_iter().chain(listed).skip(position as usize) {
        let kind = if kind == Kind::Directory { ENTRY_DIRECTORY } else { ENTRY_FILE };
        let entry = entry(number, position + 1, kind, name);
        if (bytes.len() + entry.len()) as u64 > length {
            if bytes.is_empty() {
                return Err(Errno::EINVAL);
            }
            break;
        }
        bytes.extend(entry);
        position += 1;
    }
    process.memory.write(buffer, &bytes)?;
    open.position.set(position);
    Ok(bytes.len() as u64)
}

/// `getcwd(buffer, length)`
pub(super) fn current(process: &mut Process<'_>, [buffer, length, ..]: [u64; 6]) -> Served {
    let path = ["/", &process.files.directory(), "\0"].concat();
    if (path.len() as u64) > length {
        return Err(Errno::ERANGE);
    }
    process.memory.write(buffer, path.as_bytes())?;
    Ok(path.len() as u64)
}

/// `chdir(path)`
pub(super) fn enter(process: &mut Process<'_>, [path, ..]: [u64; 6]) -> Served {
    let path = process.memory.text(path)?;
    process.files.enter(&path)
}
