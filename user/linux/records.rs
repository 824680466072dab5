//! Structures that Linux fills in for programs, as bytes.

use crate::numbers::AARCH64;
use alloc::vec::Vec;

/// What `fstat` tells of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its number.
    pub number: u64,
    /// Its kind and permissions: `MODE_...`.
    pub mode: u32,
    /// Its length, bytes.
    pub size_bytes: u64,
    /// The number of the device that it is.
    pub device: u64,
}

/// A file that anybody may read and execute.
pub const MODE_FILE: u32 = 0o100_755;
/// A directory that anybody may look into.
pub const MODE_DIRECTORY: u32 = 0o040_755;
/// A device that takes one character after the other.
pub const MODE_DEVICE: u32 = 0o020_666;
/// A pipe, which is what input and output are.
pub const MODE_PIPE: u32 = 0o010_600;

/// What a program is told to read at a time, bytes.
const BLOCK_BYTES: u64 = 4096;

/// Puts numbers one behind the other, in the processor's order, each with its length in bytes.
fn packed(fields: &[(u64, usize)]) -> Vec<u8> {
    fields.iter().flat_map(|(value, bytes)| value.to_le_bytes()[..*bytes].to_vec()).collect()
}

impl Status {
    /// `struct stat` of a processor: all times are the beginning of time.
    pub fn to_bytes(self, machine: u16) -> Vec<u8> {
        const LINKS: u64 = 1;
        let Status { number, mode, size_bytes, device } = self;
        let (mode, blocks) = (u64::from(mode), size_bytes.div_ceil(512));
        let mut bytes = if machine == AARCH64 {
            packed(&[(1, 8), (number, 8), (mode, 4), (LINKS, 4), (0, 8), (device, 8), (0, 8)])
        } else {
            packed(&[(1, 8), (number, 8), (LINKS, 8), (mode, 4), (0, 4), (0, 8), (device, 8)])
        };
        bytes.extend(packed(&[(size_bytes, 8), (BLOCK_BYTES, 8), (blocks, 8)]));
        bytes.resize(if machine == AARCH64 { 128 } else { 144 }, 0);
        bytes
    }
}

/// What `getdents64` says a name stands for.
pub const ENTRY_DIRECTORY: u8 = 4;
/// The same.
pub const ENTRY_FILE: u8 = 8;

/// One `struct linux_dirent64`; `next` is where a program goes on that begins in the middle.
pub fn entry(number: u64, next: u64, kind: u8, name: &str) -> Vec<u8> {
    const HEAD_BYTES: usize = 19;
    let length = (HEAD_BYTES + name.len() + 1).next_multiple_of(8);
    let mut bytes = packed(&[(number, 8), (next, 8), (length as u64, 2), (u64::from(kind), 1)]);
    bytes.extend(name.as_bytes());
    bytes.resize(length, 0);
    bytes
}

/// `struct utsname`: names of 65 bytes each.
pub fn names(machine: u16) -> Vec<u8> {
    const NAME_BYTES: usize = 65;
    let machine = if machine == AARCH64 { "aarch64" } else { "x86_64" };
    let mut bytes = Vec::new();
    for name in ["Linux", "tessera", "6.1.0", "a guest of Tessera", machine, "(none)"] {
        bytes.extend(name.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(NAME_BYTES).max(NAME_BYTES), 0);
    }
    bytes
}

/// `struct timespec`.
pub fn time(nanoseconds: u64) -> [u8; 16] {
    const SECOND: u64 = 1_000_000_000;
    pair(nanoseconds / SECOND, nanoseconds % SECOND)
}

/// Two words one behind the other, as in `struct timeval` and `struct rlimit`.
pub fn pair(first: u64, second: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    bytes
}

/// `struct sysinfo`: time since boot, memory in all and free.
pub fn system(uptime_s: u64, memory_bytes: u64, free_bytes: u64) -> Vec<u8> {
    let mut bytes = packed(&[(uptime_s, 8), (0, 8), (0, 8), (0, 8), (memory_bytes, 8), (free_bytes, 8)]);
    // Shared, buffers, swap twice; one process; high memory twice; the unit of all this, one byte.
    bytes.extend(packed(&[(0, 8), (0, 8), (0, 8), (0, 8), (1, 8), (0, 8), (0, 8), (1, 8)]));
    bytes
}

#[cfg(test)]
mod tests {
    use super::{ENTRY_FILE, MODE_FILE, Status, entry, names, pair, system, time};
    use crate::numbers::{AARCH64, X86_64};

    fn word(bytes: &[u8], at: usize, length: usize) -> u64 {
        let mut word = [0; 8];
        word[..length].copy_from_slice(&bytes[at..at + length]);
        u64::from_le_bytes(word)
    }

    #[test]
    fn a_status_is_laid_out_as_each_processor_has_it() {
        let status = Status { number: 7, mode: MODE_FILE, size_bytes: 1000, device: 0x103 };
        for (machine, length, mode, links) in [(X86_64, 144, 24, 16), (AARCH64, 128, 16, 20)] {
            let bytes = status.to_bytes(machine);
            assert_eq!((bytes.len(), word(&bytes, 8, 8)), (length, 7));
            assert_eq!((word(&bytes, mode, 4), word(&bytes, links, 4)), (u64::from(MODE_FILE), 1));
            assert_eq!((word(&bytes, 48, 8), word(&bytes, 56, 4), word(&bytes, 64, 8)), (1000, 4096, 2));
        }
        assert_eq!(word(&status.to_bytes(X86_64), 40, 8), 0x103);
        assert_eq!(word(&status.to_bytes(AARCH64), 32, 8), 0x103);
    }

    #[test]
    fn entries_are_whole_words() {
        for name in ["a", "four", "fives", "a-longer-name.txt"] {
            let bytes = entry(3, 9, ENTRY_FILE, name);
            assert_eq!((bytes.len() % 8, word(&bytes, 16, 2)), (0, bytes.len() as u64));
            assert_eq!((bytes[18], &bytes[19..19 + name.len()], bytes[19 + name.len()]), (8, name.as_bytes(), 0));
        }
    }

    #[test]
    fn names_have_65_bytes_each() {
        let bytes = names(AARCH64);
        assert_eq!(bytes.len(), 6 * 65);
        assert_eq!((&bytes[..6], &bytes[4 * 65..4 * 65 + 8]), (&b"Linux\0"[..], &b"aarch64\0"[..]));
    }

    #[test]
    fn times_and_the_system() {
        assert_eq!(time(3_000_000_005), pair(3, 5));
        let bytes = system(1, 2, 3);
        assert_eq!((bytes.len(), word(&bytes, 32, 8), word(&bytes, 80, 2), word(&bytes, 104, 4)), (112, 2, 1, 1));
    }
}
