//! The library's machine code: a few instructions for each processor, which find the data by its distance.

use libvas::raw;

/// How far behind the code's first instruction the data lies, bytes.
pub(crate) const DATA_BEHIND_CODE_BYTES: u64 = 0x1000;

/// Bytes of a version, whatever the processor.
pub(crate) const CODE_BYTES: usize = 16;

/// What `price(amount)` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Gives `amount * rate`.
    First,
    /// Gives `amount * rate + amount`.
    Second,
}

impl Version {
    /// The instructions, for the processor that this program was built for.
    ///
    /// They follow the C calling conventions: the amount is in `rdi` or `x0`, the result in `rax` or `x0`.
    pub(crate) fn code(self) -> [u8; CODE_BYTES] {
        const X86_64: u16 = 62;
        if raw::ELF_MACHINE == X86_64 { self.x86_64() } else { self.aarch64() }
    }

    fn x86_64(self) -> [u8; CODE_BYTES] {
        // mov rax, [rip + distance]: seven bytes long, and the distance counts from behind it.
        let [a, b, c, d] = (DATA_BEHIND_CODE_BYTES as u32 - 7).to_le_bytes();
        let [e, f, g, h] = match self {
            // ret
            Version::First => [0xc3; 4],
            // add rax, rdi; ret
            Version::Second => [0x48, 0x01, 0xf8, 0xc3],
        };
        // In between: imul rax, rdi.
        [0x48, 0x8b, 0x05, a, b, c, d, 0x48, 0x0f, 0xaf, 0xc7, e, f, g, h, 0xc3]
    }

    fn aarch64(self) -> [u8; CODE_BYTES] {
        // ldr x1, distance: counted in words, from this instruction.
        let load = 0x5800_0001 | (DATA_BEHIND_CODE_BYTES as u32 / 4) << 5;
        let multiply = match self {
            // mul x0, x0, x1
            Version::First => 0x9b01_7c00,
            // madd x0, x0, x1, x0
            Version::Second => 0x9b01_0000,
        };
        let (ret, undefined) = (0xd65f_03c0, 0);
        let mut bytes = [0; CODE_BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip([load, multiply, ret, undefined]) {
            chunk.copy_from_slice(&u32::to_le_bytes(word));
        }
        bytes
    }
}
