//! A FAT image made of files from the host, for loaders that read their files from one.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use fatfs::{Dir, FileSystem, FormatVolumeOptions, FsOptions, ReadWriteSeek};

/// Room besides the files, in bytes: tables, folders, the last cluster of each file.
const SPARE_BYTES: u64 = 8 << 20;

/// Writes a FAT image to `out` that holds, for each `PATH=FILE` of `files`, the host's `FILE` under `PATH`.
pub(crate) fn write(out: &Path, files: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut contents = Vec::new();
    for pair in files {
        let (path, file) = pair.split_once('=').ok_or_else(|| format!("not PATH=FILE: {pair}"))?;
        contents.push((path, std::fs::read(file).map_err(|error| format!("{file}: {error}"))?));
    }
    let total: u64 = contents.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let disk = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(out)?;
    disk.set_len((total + SPARE_BYTES).next_multiple_of(1 << 20))?;
    fatfs::format_volume(&disk, FormatVolumeOptions::new().volume_label(*b"TESSERA    "))?;
    let volume = FileSystem::new(&disk, FsOptions::new())?;
    for (path, bytes) in &contents {
        put(volume.root_dir(), path, bytes)?;
    }
    Ok(())
}

/// Writes one file, with the folders on the way to it.
fn put<T: ReadWriteSeek>(root: Dir<'_, T>, path: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut folder = root;
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    for part in folders.split('/').filter(|part| !part.is_empty()) {
        folder = folder.create_dir(part)?;
    }
    folder.create_file(name)?.write_all(bytes)
}
