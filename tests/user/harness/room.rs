//! Memory to play with: mapped in the home space above the program subtree, so that no Rust object is there.

use core::sync::atomic::{AtomicU64, Ordering};
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, program};

/// An address at which nothing is ever mapped, in no space of a conformance program.
pub const UNMAPPED: u64 = 0x6000_0000_0000;

/// Addresses of the kernel's half: its image, its direct map, device windows, the last bytes; those of both
/// architectures, since none of them is ever a program's.
pub const KERNEL_ADDRESSES: [u64; 10] = [
    0xffff_8000_0000_0000,
    0xffff_8000_0010_0000,
    0xffff_8000_fee0_0000,
    0xffff_0000_0000_0000,
    0xffff_0000_4000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_8000_1000,
    0xffff_ffff_c000_0000,
    0xffff_ffff_ffff_e000,
    0xffff_ffff_ffff_f000,
];

/// Rooms lie in areas of 1 GiB from here on: 16 TiB.
const FIRST: u64 = 0x1000_0000_0000;
const AREA_BYTES: u64 = 1 << 30;

/// An address, a multiple of 1 GiB, at which this program has mapped nothing before.
pub fn fresh_address() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    FIRST + NEXT.fetch_add(1, Ordering::Relaxed) * AREA_BYTES
}

/// Some pages of new memory, mapped in the home space until dropped. Around them nothing is mapped.
#[derive(Debug)]
pub struct Room {
    address: u64,
    pages: u64,
    segment: Cap<Segment>,
}

impl Room {
    /// A room of so many pages, readable and writable.
    ///
    /// # Errors
    /// What making and mapping a segment can fail with.
    pub fn new(pages: u64) -> Result<Room, Error> {
        Room::with(Segment::new(program().account(), pages * PAGE_BYTES)?, pages, Rights::READ_WRITE)
    }

    /// A room that shows the first pages of a segment.
    ///
    /// # Errors
    /// What mapping can fail with.
    pub fn with(segment: Cap<Segment>, pages: u64, rights: Rights) -> Result<Room, Error> {
        let address = fresh_address() + 16 * PAGE_BYTES;
        program().space().map(address, &segment, 0..pages * PAGE_BYTES, rights)?;
        Ok(Room { address, pages, segment })
    }

    /// Where it begins.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The first address behind it.
    pub fn end(&self) -> u64 {
        self.address + self.pages * PAGE_BYTES
    }

    /// The memory.
    pub fn segment(&self) -> &Cap<Segment> {
        &self.segment
    }

    /// The word with this number.
    ///
    /// # Errors
    /// `BadAddress` far beyond the room.
    pub fn word(&self, index: u64) -> Result<Place<u64>, Error> {
        Place::new(self.address)?.at(index)
    }

    /// Fills every word with a value.
    ///
    /// # Errors
    /// None in practice.
    pub fn fill(&self, value: u64) -> Result<(), Error> {
        (0..self.words()).try_for_each(|index| self.word(index).map(|place| place.set(value)))
    }

    /// Whether every word has this value.
    ///
    /// # Errors
    /// None in practice.
    pub fn is_filled(&self, value: u64) -> Result<bool, Error> {
        for index in 0..self.words() {
            if self.word(index)?.get() != value {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn words(&self) -> u64 {
        self.pages * PAGE_BYTES / 8
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // A claim may have unmapped a part of it; what remains goes with the program.
        let _ = program().space().unmap(self.address..self.end());
    }
}
