//! A guest with its code in a space of its own.

use alloc::vec::Vec;
use libvas::guest::{End, GuestContext};
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, program, raw};

/// Where the guest's code begins.
pub const GUEST_CODE: u64 = 0x1_0000;

/// Where it has a page to write to.
pub const GUEST_DATA: u64 = 0x2_0000;

/// Where it has a page that gets its memory on first touch.
pub const GUEST_LAZY: u64 = 0x3_0000;

/// Where it has nothing.
pub const GUEST_NOTHING: u64 = 0x4_0000;

/// Code of a guest: bytes for x86_64, instructions for aarch64.
pub type GuestCode = (&'static [u8], &'static [u32]);

/// A system call, then back to it, for ever.
pub const GUEST_CALLS: GuestCode = (&[0x0f, 0x05, 0xeb, 0xfc], &[0xd400_0001, 0x17ff_ffff]);

/// A load from where the first argument says, into the register of a call's result; then a call.
pub const GUEST_LOADS: GuestCode = (&[0x48, 0x8b, 0x07, 0x0f, 0x05], &[0xf940_0000, 0xd400_0001]);

/// A store of the second argument to where the first says; then a call.
pub const GUEST_STORES: GuestCode = (&[0x48, 0x89, 0x37, 0x0f, 0x05], &[0xf900_0001, 0xd400_0001]);

/// A guest, and a space that has its code and a page of data, and nothing of the program.
#[derive(Debug)]
pub struct GuestScene {
    /// The guest; its stack pointer is at the end of its page of data.
    pub context: GuestContext,
    /// The space.
    pub space: Cap<Space>,
    /// The page of data.
    pub data: Cap<Segment>,
    /// The page of code.
    pub code: Cap<Segment>,
}

impl GuestScene {
    /// Makes one with this code: bytes for x86_64, instructions for aarch64.
    ///
    /// # Errors
    /// What making guests, spaces and segments can fail with.
    pub fn new(x86_64: &[u8], aarch64: &[u32]) -> Result<GuestScene, Error> {
        const X86_64: u16 = 62;
        let aarch64: Vec<u8> = aarch64.iter().flat_map(|word| word.to_le_bytes()).collect();
        let bytes = if raw::ELF_MACHINE == X86_64 { x86_64 } else { &aarch64[..] };
        let account = program().account();
        let (space, context) = (Space::new(account)?, GuestContext::new(account)?);
        let (code, data) = (Segment::new(account, PAGE_BYTES)?, Segment::new(account, PAGE_BYTES)?);
        code.write(0, bytes)?;
        space.map(GUEST_CODE, &code, 0..PAGE_BYTES, Rights::READ_EXECUTE)?;
        space.map(GUEST_DATA, &data, 0..PAGE_BYTES, Rights::READ_WRITE)?;
        let lazy = Segment::new_lazy(account, PAGE_BYTES)?;
        space.map(GUEST_LAZY, &lazy, 0..PAGE_BYTES, Rights::READ_WRITE)?;
        context.set_instruction_pointer(GUEST_CODE);
        context.set_stack_pointer(GUEST_DATA + PAGE_BYTES);
        Ok(GuestScene { context, space, data, code })
    }

    /// Runs it until it comes out.
    ///
    /// # Errors
    /// Those of `guest_run`.
    pub fn run(&self) -> Result<End, Error> {
        // SAFETY: the space has nothing of this program.
        unsafe { self.context.run(&self.space) }
    }

    /// Has it execute an instruction.
    ///
    /// # Errors
    /// Those of `guest_run`.
    pub fn step(&self) -> Result<End, Error> {
        // SAFETY: as above.
        unsafe { self.context.step(&self.space) }
    }

    /// Runs it until a time since boot.
    ///
    /// # Errors
    /// Those of `guest_run`.
    pub fn run_until(&self, deadline_ns: u64) -> Result<End, Error> {
        // SAFETY: as above.
        unsafe { self.context.run_until(&self.space, deadline_ns) }
    }
}
