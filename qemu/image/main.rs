//! Makes the files that a virtual machine starts from. `x.py` calls it, once per boot.
//!
//! * `tessera-image bios KERNEL RAMDISK OUT`: a disk for BIOS, with the loader of the `bootloader` crate;
//! * `tessera-image uefi KERNEL RAMDISK OUT`: the same for UEFI;
//! * `tessera-image fat OUT PATH=FILE...`: a plain FAT image holding each FILE under PATH (for Limine).

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use bootloader::{BootConfig, DiskImageBuilder};

mod fat;

const USAGE: &str = "usage: tessera-image bios|uefi KERNEL RAMDISK OUT, or tessera-image fat OUT PATH=FILE...";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["bios", kernel, ramdisk, out] => disk(kernel, ramdisk, Path::new(out), Firmware::Bios),
        ["uefi", kernel, ramdisk, out] => disk(kernel, ramdisk, Path::new(out), Firmware::Uefi),
        ["fat", out, files @ ..] if !files.is_empty() => fat::write(Path::new(out), files),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tessera-image: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Which firmware a disk is for.
enum Firmware {
    Bios,
    Uefi,
}

/// Writes a disk that loads `kernel` and hands it `ramdisk`.
fn disk(kernel: &str, ramdisk: &str, out: &Path, firmware: Firmware) -> Result<(), Box<dyn Error>> {
    // The serial line belongs to the kernel: the loader keeps quiet on it, which also makes it faster.
    let mut config = BootConfig::default();
    config.serial_logging = false;
    config.frame_buffer_logging = false;
    let mut builder = DiskImageBuilder::new(kernel.into());
    builder.set_ramdisk(ramdisk.into()).set_boot_config(&config);
    match firmware {
        Firmware::Bios => builder.create_bios_image(out)?,
        Firmware::Uefi => builder.create_uefi_image(out)?,
    }
    Ok(())
}
