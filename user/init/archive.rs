//! The boot archive, where programs are found that a program is to start, if it may read it.

use libvas::{Error, PAGE_BYTES, Rights, Window, program};
use tar_no_std::TarArchiveRef;

/// The archive, mapped.
#[derive(Debug)]
pub struct Archive {
    window: Window,
    length_bytes: usize,
}

impl Archive {
    /// Maps it.
    ///
    /// # Errors
    /// `MissingRight` without `archive=read` among the words of the command line, and what mapping can fail with.
    pub fn open() -> Result<Archive, Error> {
        let (archive, length_bytes) = program().archive().ok_or(Error::MissingRight)?;
        let window = program().window(archive, 0..length_bytes.next_multiple_of(PAGE_BYTES), Rights::READ)?;
        // A loader may hand over more than the file; a tar is whole blocks of 512 bytes.
        Ok(Archive { window, length_bytes: length_bytes as usize / 512 * 512 })
    }

    /// A file's bytes.
    pub fn find(&self, name: &str) -> Option<&[u8]> {
        // SAFETY: nobody can write to the archive.
        let bytes = unsafe { self.window.as_slice() };
        let files = TarArchiveRef::new(bytes.get(..self.length_bytes)?).ok()?;
        files.entries().find(|file| file.filename().as_str() == Ok(name)).map(|file| file.data())
    }
}
