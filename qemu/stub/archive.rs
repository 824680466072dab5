//! The boot archive.

use tar_no_std::TarArchiveRef;

use crate::Failure;

/// The file of the kernel, a member of the archive.
///
/// # Errors
/// The archive is no tar file, or has no such member.
pub fn kernel_file(archive: &[u8]) -> Result<&[u8], Failure> {
    let archive = TarArchiveRef::new(archive).map_err(|_| "the boot archive is not a tar file")?;
    let mut members = archive.entries();
    let found = members.find(|entry| entry.filename().as_str() == Ok("kernel"));
    found.map(|entry| entry.data()).ok_or("the boot archive has no member `kernel`")
}
