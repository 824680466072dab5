//! The heap: [`Blocks`] of memory in the program subtree, so that every space of the program sees it.

use crate::atomic::AtomicU32;
use crate::blocks::{Blocks, CHUNK_BYTES, CHUNKS_MAX, Denied, Ground, When};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use libvas::layout::program::{HEAP, STACKS};
use libvas::{Error, Rights, Segment, program};

const _: () = assert!(STACKS - HEAP == CHUNKS_MAX * CHUNK_BYTES, "the heap has all of its area");

struct Heap(Blocks<Subtree>);

#[global_allocator]
static ALLOCATOR: Heap = Heap(Blocks::new(Subtree, CHUNKS_MAX));

/// The heap's part of the program subtree.
struct Subtree;

impl Ground for Subtree {
    fn link(&self, at: u64) -> &AtomicU32 {
        // SAFETY: `Blocks` asks for words of memory that it has made, at multiples of four. Memory of links and of
        // small blocks is never unmapped, so it is there whatever other threads do. A link in a free block belongs to
        // the list. A thread can also read the link of a block that another one has just taken and writes to; it then
        // loads any four bytes and finds by the list's head that they mean nothing. To the compiler an atomic load is
        // a load that it may neither leave out nor do twice.
        unsafe { AtomicU32::from_ptr(ptr::with_exposed_provenance_mut((HEAP + at) as usize)) }
    }

    fn make(&self, at: u64, length_bytes: u64, when: When) -> Result<(), Denied> {
        let account = program().account();
        let memory = match when {
            When::Now => Segment::new(account, length_bytes),
            When::Touched => Segment::new_lazy(account, length_bytes),
        };
        // The mapping keeps the segment; its capability goes, so that the heap takes no slots of the table.
        let mapped =
            memory.and_then(|memory| program().subtree().map(HEAP + at, &memory, 0..length_bytes, Rights::READ_WRITE));
        mapped.map_err(|error| if error == Error::Overlap { Denied::Taken } else { Denied::Refused })
    }

    fn take_away(&self, at: u64, length_bytes: u64) -> bool {
        program().subtree().unmap(HEAP + at..HEAP + at + length_bytes).is_ok()
    }
}

impl Heap {
    fn place(block: *mut u8) -> u64 {
        block.addr() as u64 - HEAP
    }
}

// SAFETY: `Blocks` gives each part of the heap's area to one taker at a time, aligned, with memory behind it.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = self.0.take(layout);
        block.map_or(ptr::null_mut(), |at| ptr::with_exposed_provenance_mut((HEAP + at) as usize))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.0.give_back(Heap::place(block), layout);
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() && !Blocks::<Subtree>::is_zeroed(layout) {
            // SAFETY: the block is this long, and nobody else's.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        let Ok(new_layout) = Layout::from_size_align(new_bytes, layout.align()) else {
            return ptr::null_mut();
        };
        if Blocks::<Subtree>::serves(layout, new_layout) {
            return block;
        }
        // SAFETY: the caller promises that `new_bytes` is not zero.
        let new = unsafe { self.alloc(new_layout) };
        if !new.is_null() {
            // SAFETY: both blocks are at least as long as the shorter layout, and two blocks share no byte; the caller
            // promises that the old one was taken for this layout, and gives it up.
            unsafe {
                ptr::copy_nonoverlapping(block, new, layout.size().min(new_bytes));
                self.dealloc(block, layout);
            }
        }
        new
    }
}
