//! Address types: a number that is a physical address cannot be taken for a virtual one.

use tessera_abi::{PAGE_BYTES, USER_END, USER_START};

/// A physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PhysAddr(u64);

impl PhysAddr {
    /// Takes any value below 2^52, the widest physical address of both architectures.
    ///
    /// # Panics
    /// In debug builds, if the value is larger: physical addresses come from the loader or the kernel, never from
    /// users.
    #[inline(always)]
    pub const fn new(value: u64) -> PhysAddr {
        debug_assert!(value < 1 << 52, "a physical address has at most 52 bits");
        PhysAddr(value)
    }

    /// The address as a number.
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// A page frame: 4 KiB of physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Frame(u64);

impl Frame {
    /// The frame with this number (physical address divided by 4096).
    ///
    /// # Panics
    /// In debug builds, if the number has more than 40 bits.
    #[inline(always)]
    pub const fn new(number: u64) -> Frame {
        debug_assert!(number < 1 << 40, "a frame number has at most 40 bits");
        Frame(number * PAGE_BYTES)
    }

    /// The frame that contains a physical address.
    #[inline(always)]
    pub const fn containing(address: PhysAddr) -> Frame {
        Frame(address.0 & !(PAGE_BYTES - 1))
    }

    /// The frame from what [`Frame::to_word`] gave: for keeping frames in atomic words.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Frame {
        Frame(word)
    }

    /// The frame as one word: its first address.
    #[inline(always)]
    pub const fn to_word(self) -> u64 {
        self.0
    }

    /// The frame's number.
    #[inline(always)]
    pub const fn number(self) -> u64 {
        self.0 / PAGE_BYTES
    }

    /// The frame's first physical address.
    #[inline(always)]
    pub const fn start(self) -> PhysAddr {
        PhysAddr(self.0)
    }

    /// The frame `count` further on.
    #[inline(always)]
    pub const fn offset(self, count: u64) -> Frame {
        Frame::new(self.number() + count)
    }
}

/// A virtual address. Whether a user program may use it is a question to ask, not a property of the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct VirtAddr(u64);

impl VirtAddr {
    /// Takes any value.
    pub const fn new(value: u64) -> VirtAddr {
        VirtAddr(value)
    }

    /// The address as a number.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// Whether a user program may have something mapped at this address.
    pub const fn is_user(self) -> bool {
        self.0 >= USER_START && self.0 < USER_END
    }

    /// Index of the entry for this address in a table of `level` (3 is the top).
    pub const fn table_index(self, level: u8) -> usize {
        ((self.0 >> (12 + 9 * level as u32)) & 511) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, PhysAddr, VirtAddr};

    #[test]
    fn frames_and_addresses_agree() {
        assert_eq!(Frame::containing(PhysAddr::new(0x1fff)).start(), PhysAddr::new(0x1000));
        assert_eq!(Frame::new(3).offset(2), Frame::new(5));
        assert_eq!(Frame::from_word(Frame::new(3).to_word()).number(), 3);
    }

    #[test]
    fn table_indices_follow_the_levels() {
        let address = VirtAddr::new((3 << 39) | (4 << 30) | (5 << 21) | (6 << 12) | 7);
        assert_eq!([3, 2, 1, 0].map(|level| address.table_index(level)), [3, 4, 5, 6]);
    }

    #[test]
    fn null_page_and_upper_half_are_no_user_addresses() {
        assert!(!VirtAddr::new(0xfff).is_user() && VirtAddr::new(0x1000).is_user());
        assert!(VirtAddr::new(0x7fff_ffff_efff).is_user() && !VirtAddr::new(0x7fff_ffff_f000).is_user());
        assert!(!VirtAddr::new(u64::MAX).is_user());
    }
}
