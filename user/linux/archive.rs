//! The boot archive, as far as Linux programs are concerned.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libvas::{Error, PAGE_BYTES, Rights, Window, program};
use tar_no_std::TarArchiveRef;

/// The folder of the archive that Linux programs see as their root.
const ROOT: &str = "linux/";

/// See above.
pub(crate) struct Archive(Window);

impl Archive {
    /// The archive, if this program may read it.
    pub(crate) fn open() -> Result<Option<Archive>, Error> {
        let Some((archive, length)) = program().archive() else { return Ok(None) };
        let window = program().window(archive, 0..length.next_multiple_of(PAGE_BYTES), Rights::READ)?;
        Ok(Some(Archive(window)))
    }

    /// All of its files, with their names.
    pub(crate) fn files(&self) -> Vec<(String, &[u8])> {
        // SAFETY: the kernel lets nobody write to the archive.
        let bytes = unsafe { self.0.as_slice() };
        let Ok(files) = TarArchiveRef::new(&bytes[..bytes.len() / 512 * 512]) else { return Vec::new() };
        let named = files.entries().filter_map(|file| Some((file.filename().as_str().ok()?.to_string(), file.data())));
        named.collect()
    }
}

/// Of these files those that Linux programs see, by their paths there.
pub(crate) fn root<'a>(files: &'a [(String, &'a [u8])]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    files.iter().filter_map(|(name, bytes)| Some((name.strip_prefix(ROOT)?, *bytes)))
}

/// One of the files.
pub(crate) fn file<'a>(files: &[(String, &'a [u8])], name: &str) -> Option<&'a [u8]> {
    files.iter().find(|(each, _)| each == name).map(|(_, bytes)| *bytes)
}
