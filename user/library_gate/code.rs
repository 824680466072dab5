//! The library's machine code: a few instructions for each processor. It is in no program, so that no caller has it.
//!
//! A call brings an amount and an address, and gets the price and how often the caller has called. The badge says who that is.
//! Nothing is kept but in the data; what is left in registers at the end is the two words and zeros.

use libvas::raw;
use tessera_abi::syscall::number;

/// How far behind the code's first instruction the data lies, bytes: the rate, and then how often each badge has called.
pub(crate) const DATA_BEHIND_CODE_BYTES: u64 = 0x1000;

/// Badges are 0 to 7.
pub(crate) const BADGES: usize = 8;

/// The instructions, for the processor that this program was built for.
pub(crate) fn code() -> &'static [u8] {
    const X86_64: u16 = 62;
    if raw::ELF_MACHINE == X86_64 { &CODE_X86_64 } else { CODE_AARCH64.as_flattened() }
}

const RETURN: u8 = number::gate_return as u8;

/// The amount is in `r12`, the address in `r13`, the badge in `rdi`.
#[rustfmt::skip]
const CODE_X86_64: [u8; 58] = [
    0x48, 0x8d, 0x05, 0xf9, 0x0f, 0x00, 0x00, // lea rax, [rip + data]
    0x83, 0xe7, 0x07,                         // and edi, 7
    0x4d, 0x85, 0xed,                         // test r13, r13
    0x74, 0x04,                               // jz, past the next
    0x4d, 0x8b, 0x6d, 0x00,                   // mov r13, [r13]: trusts what it is told
    0x48, 0xff, 0x44, 0xf8, 0x08,             // inc qword [rax + rdi * 8 + 8]
    0x4c, 0x8b, 0x6c, 0xf8, 0x08,             // mov r13, [rax + rdi * 8 + 8]
    0x4c, 0x0f, 0xaf, 0x20,                   // imul r12, [rax]
    0x45, 0x31, 0xf6,                         // xor r14d, r14d
    0x45, 0x31, 0xff,                         // xor r15d, r15d
    0x31, 0xdb, 0x31, 0xed,                   // xor ebx, ebx; xor ebp, ebp
    0x31, 0xff, 0x31, 0xf6, 0x31, 0xd2,       // xor edi, edi; xor esi, esi; xor edx, edx
    0xb8, RETURN, 0x00, 0x00, 0x00,           // mov eax, gate_return
    0x0f, 0x05, 0x0f, 0x0b,                   // syscall; ud2
];

/// The amount is in `x20`, the address in `x21`, the badge in `x0`.
const CODE_AARCH64: [[u8; 4]; 23] = {
    let words: [u32; 23] = [
        0x1000_8009,                        // adr x9, data
        0x9240_0800,                        // and x0, x0, #7
        0xb400_0055,                        // cbz x21, past the next
        0xf940_02b5,                        // ldr x21, [x21]: trusts what it is told
        0x8b00_0d2a,                        // add x10, x9, x0, lsl #3
        0xf940_0555,                        // ldr x21, [x10, #8]
        0x9100_06b5,                        // add x21, x21, #1
        0xf900_0555,                        // str x21, [x10, #8]
        0xf940_012b,                        // ldr x11, [x9]
        0x9b0b_7e94,                        // mul x20, x20, x11
        0xaa1f_03f6,                        // mov x22, xzr
        0xaa1f_03f7,                        // mov x23, xzr
        0xaa1f_03f8,                        // mov x24, xzr
        0xaa1f_03f9,                        // mov x25, xzr
        0xaa1f_03e9,                        // mov x9, xzr
        0xaa1f_03ea,                        // mov x10, xzr
        0xaa1f_03eb,                        // mov x11, xzr
        0xaa1f_03e0,                        // mov x0, xzr
        0xaa1f_03e1,                        // mov x1, xzr
        0xaa1f_03e2,                        // mov x2, xzr
        0xd280_0008 | (RETURN as u32) << 5, // mov x8, #gate_return
        0xd400_0001,                        // svc #0
        0xd420_0020,                        // brk #1
    ];
    let (mut bytes, mut index) = ([[0; 4]; 23], 0);
    while index < words.len() {
        bytes[index] = words[index].to_le_bytes();
        index += 1;
    }
    bytes
};
