//! `memory_read` and `memory_write` between sides that lie over each other, by addresses or by memory.

use host_tests::{FLAVOURS, Machine, Options, config};
use proptest::prelude::*;
use tessera_abi::{Call, Error, Handle, PAGE_BYTES, Rights};
use tessera_arch::fake::Flavour;
use tessera_kernel::lifecycle::check;

/// Where memory is mapped: four pages of one segment in order, and the same again in another order.
const HERE: u64 = 0x200_0000_0000;
const THERE: u64 = 0x300_0000_0000;
const PAGES: u64 = 4;
const BYTES: u64 = PAGES * PAGE_BYTES;

struct Scene {
    machine: Machine,
    /// The segment's page that each page at `THERE` shows.
    pages: Vec<u64>,
}

impl Scene {
    /// A segment that is mapped in order and, page by page, in another order; with a byte of its own everywhere.
    fn new(flavour: Flavour, pages: &[u64]) -> Scene {
        let mut machine = Machine::boot(&Options::new(flavour));
        let segment = machine.segment(BYTES, 0);
        let target = machine.space;
        assert_eq!(machine.map(target, segment, 0, HERE, BYTES, Rights::READ_WRITE), Ok(0));
        for (number, page) in pages.iter().enumerate() {
            let address = THERE + number as u64 * PAGE_BYTES;
            let mapped = machine.map(target, segment, page * PAGE_BYTES, address, PAGE_BYTES, Rights::READ_WRITE);
            assert_eq!(mapped, Ok(0));
        }
        let mut scene = Scene { machine, pages: pages.to_vec() };
        let bytes: Vec<u8> = (0..BYTES).map(|number| (number ^ number >> 8).wrapping_mul(31) as u8).collect();
        scene.set(&bytes);
        scene
    }

    fn set(&mut self, bytes: &[u8]) {
        let space = self.machine.space_id;
        let slice = tessera_kernel::vm::user_memory::UserSlice::new(space, HERE, BYTES).expect("user memory");
        slice.write(&mut self.machine.kernel, bytes).expect("the memory is mapped");
    }

    fn bytes(&mut self) -> Vec<u8> {
        let space = self.machine.space_id;
        let slice = tessera_kernel::vm::user_memory::UserSlice::new(space, HERE, BYTES).expect("user memory");
        let mut bytes = vec![0; BYTES as usize];
        slice.read(&mut self.machine.kernel, &mut bytes).expect("the memory is mapped");
        bytes
    }

    /// The segment's byte that an address shows.
    fn offset(&self, address: u64) -> usize {
        let at = |base: u64| ((address - base) / PAGE_BYTES, (address - base) % PAGE_BYTES);
        let (page, within) = if address >= THERE { at(THERE) } else { at(HERE) };
        let page = if address >= THERE { self.pages[page as usize] } else { page };
        (page * PAGE_BYTES + within) as usize
    }

    /// What should be there after a copy whose source is read before anything is written.
    fn expected(&mut self, from: u64, to: u64, length_bytes: u64) -> Vec<u8> {
        let before = self.bytes();
        let mut after = before.clone();
        for number in 0..length_bytes {
            after[self.offset(to + number)] = before[self.offset(from + number)];
        }
        after
    }

    /// Copies by one of the two calls.
    fn copy(&mut self, from: u64, to: u64, length_bytes: u64, reads: bool) -> Result<u64, Error> {
        let space: Handle = self.machine.space;
        self.machine.call(if reads {
            Call::MemoryRead { space, address: from, buffer: to, length_bytes }
        } else {
            Call::MemoryWrite { space, address: to, buffer: from, length_bytes }
        })
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn a_copy_is_exact_however_its_sides_overlap(
        flavour in prop::sample::select(FLAVOURS.to_vec()),
        pages in prop_oneof![Just(vec![0, 1, 2, 3]), prop::collection::vec(0..PAGES, PAGES as usize)],
        (from, to) in (0..BYTES, 0..BYTES),
        (from_there, to_there) in any::<(bool, bool)>(),
        length in 1..BYTES,
        near in prop::option::of(0..600_u64),
        reads in any::<bool>(),
    ) {
        let mut scene = Scene::new(flavour, &pages);
        // Half of the time the sides are a few bytes apart, which goes wrong most easily.
        let to = near.map_or(to, |near| (from + near) % BYTES);
        let length = length.min(BYTES - from).min(BYTES - to);
        let base = |there: bool| if there { THERE } else { HERE };
        let (from, to) = (base(from_there) + from, base(to_there) + to);
        let (before, expected) = (scene.bytes(), scene.expected(from, to, length));
        let is_in_order = pages == [0, 1, 2, 3] || from_there == to_there && !has_twice(&pages);
        match scene.copy(from, to, length, reads) {
            Ok(count) => {
                prop_assert_eq!(count, length);
                // Where the target shows a byte twice, which of two it has is left open; else all is exact.
                if !(to_there && has_twice(&pages)) {
                    prop_assert!(scene.bytes() == expected, "{:#x} to {:#x}, {} bytes", from, to, length);
                }
            }
            Err(error) => {
                prop_assert_eq!(error, Error::Overlap);
                prop_assert!(!is_in_order, "{:#x} to {:#x}, {} bytes were refused", from, to, length);
                prop_assert!(scene.bytes() == before, "a refused copy changed something");
            }
        }
    }
}

fn has_twice(pages: &[u64]) -> bool {
    pages.iter().enumerate().any(|(number, page)| pages[..number].contains(page))
}

/// The case that was wrong: 2,048 bytes, 256 further on, in one's own space.
#[test]
fn a_copy_to_a_little_further_on_is_exact() {
    for flavour in FLAVOURS {
        for reads in [false, true] {
            let mut scene = Scene::new(flavour, &[0, 1, 2, 3]);
            let expected = scene.expected(HERE + 3000, HERE + 3256, 2048);
            assert_eq!(scene.copy(HERE + 3000, HERE + 3256, 2048, reads), Ok(2048));
            assert!(scene.bytes() == expected, "{flavour:?}");
        }
    }
}

/// Pages that change places have no right order.
#[test]
fn a_copy_that_no_order_makes_right_is_refused() {
    for flavour in FLAVOURS {
        let mut scene = Scene::new(flavour, &[1, 0, 3, 2]);
        let before = scene.bytes();
        assert_eq!(scene.copy(HERE, THERE, BYTES, true), Err(Error::Overlap));
        assert!(scene.bytes() == before);
        assert_eq!(scene.copy(HERE, THERE, PAGE_BYTES, true), Ok(PAGE_BYTES));
    }
}

/// Memory that is not there yet is read as zeros, and does not come to be there by that.
#[test]
fn reading_makes_no_memory() {
    for flavour in FLAVOURS {
        let mut machine = Machine::boot(&Options::new(flavour));
        let segment = machine.segment(4 * PAGE_BYTES, 1);
        let space = machine.space;
        assert_eq!(machine.map(space, segment, 0, HERE, 4 * PAGE_BYTES, Rights::READ_WRITE), Ok(0));
        let (free, buffer) = (machine.kernel.frames.free_frames(), host_tests::machine::BUFFER);
        let slice = |space, address| tessera_kernel::vm::user_memory::UserSlice::new(space, address, 2 * PAGE_BYTES);
        let slice = slice(machine.space_id, buffer).expect("user memory");
        slice.write(&mut machine.kernel, &[7; 2 * PAGE_BYTES as usize]).expect("the buffer is mapped");
        let read = Call::MemoryRead { space, address: HERE + 100, buffer, length_bytes: 2 * PAGE_BYTES };
        assert_eq!(machine.call(read), Ok(2 * PAGE_BYTES));
        let mut bytes = [1; 2 * PAGE_BYTES as usize];
        slice.read(&mut machine.kernel, &mut bytes).expect("the buffer is mapped");
        assert!(bytes.iter().all(|byte| *byte == 0));
        assert_eq!(machine.kernel.frames.free_frames(), free);
        check::check(&machine.kernel);
    }
}
