//! Machine code that a claim brings along, for what Rust has no words for.

use crate::Room;
use alloc::vec::Vec;
use libvas::{Error, PAGE_BYTES, Rights, Segment, program, raw};

/// A function of one argument in a page of its own, mapped executable in the home space.
///
/// What is written in it is the claim's responsibility: it keeps the registers that the calling convention of C has
/// functions keep, or faults.
#[derive(Debug)]
pub struct Routine {
    room: Room,
}

impl Routine {
    /// Takes the code for the processor that this program was built for: bytes for x86_64, instructions for aarch64.
    /// `None` if there is nothing for it.
    ///
    /// # Errors
    /// What making and mapping a segment can fail with.
    pub fn new(x86_64: &[u8], aarch64: &[u32]) -> Result<Option<Routine>, Error> {
        const X86_64: u16 = 62;
        let aarch64: Vec<u8> = aarch64.iter().flat_map(|word| word.to_le_bytes()).collect();
        let code = if raw::ELF_MACHINE == X86_64 { x86_64 } else { &aarch64[..] };
        if code.is_empty() {
            return Ok(None);
        }
        let segment = Segment::new(program().account(), PAGE_BYTES)?;
        segment.write(0, code)?;
        Ok(Some(Routine { room: Room::with(segment, 1, Rights::READ_EXECUTE)? }))
    }

    /// What can be called, from any thread in the home space, while the routine exists.
    pub fn function(&self) -> extern "C" fn(u64) -> u64 {
        let pointer: *const () = core::ptr::with_exposed_provenance(self.room.address() as usize);
        // SAFETY: the page holds a function of this type (the claim's responsibility), or the thread faults.
        unsafe { core::mem::transmute::<*const (), extern "C" fn(u64) -> u64>(pointer) }
    }

    /// Calls it.
    pub fn call(&self, argument: u64) -> u64 {
        self.function()(argument)
    }
}
