//! Stacks of a program's threads, all in the program subtree, and what libvas keeps at the top of each.
//!
//! ```text
//! STACKS + area * STACK_STRIDE          guard: never mapped, so that an overflow faults
//!                                       the stack, growing down
//!                                       closure and result (see `spawn`)
//! STACKS + (area + 1) * STACK_STRIDE    above 16 bytes: home space, priority
//! ```
//! Area 0 is the first thread's, made by whoever started the program; it has nothing at its top.

use crate::slots::Slots;
use crate::{Segment, program};
use core::ptr;
use tessera_abi::layout::program::{STACK_STRIDE, STACKS};
use tessera_abi::{Error, Handle, PAGE_BYTES, Rights};

/// A program has up to this many threads besides the first.
const THREADS_MAX: u64 = 1024;

/// Slot n is area n + 1.
static AREAS: Slots<{ THREADS_MAX as usize / 64 }> = Slots::new();

/// What libvas must know of the thread that is running.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Header {
    /// The handle of the space that the thread started in.
    pub(crate) home: u64,
    /// The priority that it started with.
    pub(crate) priority: u64,
}

/// A stack of its own area; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Stack {
    slot: u64,
    length_bytes: u64,
}

impl Stack {
    /// Makes a stack of `length_bytes`, rounded up to whole pages, with a header at its top. Its memory is made
    /// as it is touched.
    pub(crate) fn new(length_bytes: u64, header: Header) -> Result<Stack, Error> {
        let length_bytes = length_bytes.checked_next_multiple_of(PAGE_BYTES).ok_or(Error::BadArgument)?;
        if length_bytes == 0 || length_bytes > STACK_STRIDE - PAGE_BYTES {
            return Err(Error::BadArgument);
        }
        let memory = Segment::new_lazy(program().account(), length_bytes)?;
        let slot = AREAS.take().ok_or(Error::LimitReached)?;
        let bottom = area_end(slot + 1) - length_bytes;
        if let Err(error) = program().subtree().map(bottom, &memory, 0..length_bytes, Rights::READ_WRITE) {
            AREAS.give_back(slot);
            return Err(error);
        }
        let stack = Stack { slot, length_bytes };
        let goal: *mut Header = ptr::with_exposed_provenance_mut(stack.top() as usize);
        // SAFETY: the area was just mapped writable, is given to this stack alone, and its last 16 bytes, aligned
        // since the end is, are the header's.
        unsafe { goal.write(header) };
        Ok(stack)
    }

    /// Where the header begins: all below is free for use.
    pub(crate) const fn top(&self) -> u64 {
        area_end(self.slot + 1) - size_of::<Header>() as u64
    }

    /// How much there is, bytes.
    pub(crate) const fn length_bytes(&self) -> u64 {
        self.length_bytes
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let end = area_end(self.slot + 1);
        // If it cannot be unmapped, the area stays taken.
        if program().subtree().unmap(end - self.length_bytes..end).is_ok() {
            AREAS.give_back(self.slot);
        }
    }
}

/// The first address after an area.
const fn area_end(area: u64) -> u64 {
    STACKS + (area + 1) * STACK_STRIDE
}

/// The area that an address lies in, if it is one that libvas gives out.
const fn area_of(address: u64) -> Option<u64> {
    match address.checked_sub(STACKS) {
        Some(offset) if offset >= STACK_STRIDE && offset < (THREADS_MAX + 1) * STACK_STRIDE => {
            Some(offset / STACK_STRIDE)
        }
        _ => None,
    }
}

/// The header of the stack that the calling thread runs on; `None` on the first thread's, and on foreign ones.
pub(crate) fn header() -> Option<Header> {
    let on_stack = 0_u8;
    let area = area_of((&raw const on_stack).addr() as u64)?;
    let source: *const Header = ptr::with_exposed_provenance(area_end(area) as usize - size_of::<Header>());
    // SAFETY: this thread runs on a stack in the area, so it is mapped, and `Stack::new` wrote the header before
    // the thread began.
    Some(unsafe { *source })
}

/// The space that the calling thread started in.
pub(crate) fn home() -> Handle {
    header().map_or_else(|| program().space().handle(), |header| Handle::from_bits(header.home))
}

#[cfg(test)]
mod tests {
    use super::{Slots, area_end, area_of};
    use tessera_abi::layout::program::{SCRATCH, STACK_STRIDE, STACKS};

    #[test]
    fn areas_leave_the_first_thread_and_foreign_stacks_alone() {
        assert_eq!(area_of(STACKS + STACK_STRIDE - 8), None);
        assert_eq!(area_of(STACKS + STACK_STRIDE), Some(1));
        assert_eq!(area_of(area_end(1024) - 1), Some(1024));
        assert_eq!(area_of(area_end(1024)), None);
        assert_eq!(area_of(0x7fff_0000_0000), None);
        assert!(area_end(1024) < SCRATCH);
        assert_eq!(size_of::<Slots<16>>() * 8, 1024);
    }
}
