//! A guest that makes system calls for ever, in a space of its own.

use libvas::guest::{End, GuestContext};
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, program, raw};

/// Where its code is.
const CODE: u64 = 0x1_0000;

/// A system call, and back to it.
const CALLS: (&[u8], &[u8]) = (&[0x0f, 0x05, 0xeb, 0xfc], &[0x01, 0x00, 0x00, 0xd4, 0xff, 0xff, 0xff, 0x17]);

/// A load from where the first argument says.
const LOADS: (&[u8], &[u8]) = (&[0x48, 0x8b, 0x07], &[0x00, 0x00, 0x40, 0xf9]);

/// A guest and its space.
pub(crate) struct Caller {
    pub(crate) context: GuestContext,
    pub(crate) space: Cap<Space>,
}

impl Caller {
    /// One that makes calls.
    pub(crate) fn calling() -> Result<Caller, Error> {
        Caller::with(CALLS)
    }

    /// One that reads where nothing is.
    pub(crate) fn faulting() -> Result<Caller, Error> {
        Caller::with(LOADS)
    }

    fn with((x86_64, aarch64): (&[u8], &[u8])) -> Result<Caller, Error> {
        const X86_64: u16 = 62;
        let account = program().account();
        let (space, context) = (Space::new(account)?, GuestContext::new(account)?);
        let code = Segment::new(account, PAGE_BYTES)?;
        code.write(0, if raw::ELF_MACHINE == X86_64 { x86_64 } else { aarch64 })?;
        space.map(CODE, &code, 0..PAGE_BYTES, Rights::READ_EXECUTE)?;
        context.set_instruction_pointer(CODE);
        Ok(Caller { context, space })
    }

    /// Runs it until it comes out.
    pub(crate) fn run(&self) -> Result<End, Error> {
        // SAFETY: the space has nothing of this program.
        unsafe { self.context.run(&self.space) }
    }
}
