//! The service as a guest: a few instructions in a space that has nothing else.

use libvas::guest::{End, GuestContext};
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, program, raw};

/// Where its code is.
const CODE: u64 = 0x1_0000;

/// The number is in `rdi`; the answer is the number of the system call that it makes.
#[rustfmt::skip]
const CODE_X86_64: [u8; 9] = [
    0x48, 0x8d, 0x44, 0x7f, 0x01, // lea rax, [rdi + rdi * 2 + 1]
    0x0f, 0x05,                   // syscall
    0xeb, 0xf7,                   // jmp, to the first
];

/// The number is in `x0`; likewise.
const CODE_AARCH64: [u32; 4] = [
    0x8b00_0408, // add x8, x0, x0, lsl #1
    0x9100_0508, // add x8, x8, #1
    0xd400_0001, // svc #0
    0x17ff_fffd, // b, to the first
];

/// The guest and its space.
pub(crate) struct Computing {
    context: GuestContext,
    space: Cap<Space>,
}

impl Computing {
    pub(crate) fn new() -> Result<Computing, Error> {
        const X86_64: u16 = 62;
        let account = program().account();
        let (space, context, code) =
            (Space::new(account)?, GuestContext::new(account)?, Segment::new(account, PAGE_BYTES)?);
        let words = CODE_AARCH64.map(u32::to_le_bytes);
        code.write(0, if raw::ELF_MACHINE == X86_64 { &CODE_X86_64 } else { words.as_flattened() })?;
        space.map(CODE, &code, 0..PAGE_BYTES, Rights::READ_EXECUTE)?;
        context.set_instruction_pointer(CODE);
        Ok(Computing { context, space })
    }

    /// One request.
    pub(crate) fn ask(&self, number: u64) -> Result<u64, Error> {
        self.context.set_arguments([number, 0]);
        // SAFETY: the space has nothing of this program.
        match unsafe { self.context.run(&self.space) }? {
            End::Call(answer) => Ok(answer),
            _ => Err(Error::Faulted),
        }
    }
}
