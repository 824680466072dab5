//! Handles: how a program names a capability in its table.

/// A 64-bit name for a capability: slot index in the low half, slot generation in the high half.
///
/// The generation of a slot grows each time the slot is freed, so a handle kept too long (*stale*) or
/// made up is refused with `BadHandle` instead of meaning somebody else's object. Generations start at 1;
/// the all-zero handle is never valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Handle(u64);

impl Handle {
    /// The handle that never names anything.
    pub const NONE: Handle = Handle(0);

    /// Puts a handle together from its slot index and the slot's generation.
    pub const fn new(slot: u32, generation: u32) -> Handle {
        Handle(((generation as u64) << 32) | slot as u64)
    }

    /// Any 64-bit value is a possible claim; the kernel checks it at use.
    pub const fn from_bits(bits: u64) -> Handle {
        Handle(bits)
    }

    /// The value as it crosses the boundary.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The slot index.
    pub const fn slot(self) -> u32 {
        self.0 as u32
    }

    /// The slot generation.
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::Handle;

    #[test]
    fn parts_survive() {
        let handle = Handle::new(7, 0xffff_fffe);
        assert_eq!((handle.slot(), handle.generation()), (7, 0xffff_fffe));
        assert_eq!(Handle::from_bits(handle.bits()), handle);
    }
}
