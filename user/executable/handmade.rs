//! ELF files made by hand: for tests, and for programs of a few instructions.

use alloc::vec;
use alloc::vec::Vec;

/// One program header's values.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// `p_type`: 1 is to be mapped.
    pub kind: u32,
    /// `p_flags`: 1 to execute, 2 to write, 4 to read.
    pub flags: u32,
    /// Where its bytes are in the file.
    pub offset: u64,
    /// Where they are to be in memory.
    pub address: u64,
    /// How many there are.
    pub file_bytes: u64,
    /// How much memory there is to be, bytes.
    pub memory_bytes: u64,
}

/// Where the bytes lie in the file that are behind all headers.
pub const CODE_OFFSET: u64 = 0x100;

/// A file for a processor, of an `e_type`, with an entry point and program headers (three at most), then bytes from
/// [`CODE_OFFSET`] on.
pub fn file(machine: u16, kind: u8, entry: u64, segments: &[Segment], code: &[u8]) -> Vec<u8> {
    const HEADER_BYTES: u16 = 64;
    const SEGMENT_BYTES: u16 = 56;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let [low, high] = machine.to_le_bytes();
    file.extend([kind, 0, low, high, 1, 0, 0, 0]);
    for word in [entry, u64::from(HEADER_BYTES), 0] {
        file.extend(word.to_le_bytes());
    }
    for half in [0, 0, HEADER_BYTES, SEGMENT_BYTES, segments.len() as u16, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for segment in segments {
        let Segment { kind, flags, offset, address, file_bytes, memory_bytes } = *segment;
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [offset, address, address, file_bytes, memory_bytes, libvas::PAGE_BYTES] {
            file.extend(word.to_le_bytes());
        }
    }
    file.resize(CODE_OFFSET as usize, 0);
    file.extend(code);
    file
}
