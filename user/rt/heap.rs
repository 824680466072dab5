//! The heap: segments mapped one after another in the program subtree, so that every space of the program sees it.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use libvas::layout::program::{HEAP, STACKS};
use libvas::sync::Mutex;
use libvas::{Error, Rights, Segment, program};
use linked_list_allocator::Heap;

/// The heap grows by multiples of this, bytes. Its memory is made as it is touched.
const STEP_BYTES: u64 = 1 << 20;

/// What the allocator itself may need around one allocation, bytes.
const MARGIN_BYTES: u64 = 64;

struct GrowingHeap(Mutex<Heap>);

#[global_allocator]
static ALLOCATOR: GrowingHeap = GrowingHeap(Mutex::new(Heap::empty()));

// SAFETY: memory comes from `Heap`, which hands out disjoint, aligned blocks of the memory that `grow` gives it, and
// the lock lets one thread at a time use it.
unsafe impl GlobalAlloc for GrowingHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut heap = self.0.lock();
        let block = heap.allocate_first_fit(layout).or_else(|()| {
            grow(&mut heap, layout).map_err(|_| ())?;
            heap.allocate_first_fit(layout)
        });
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller promises that `alloc` gave this block for this layout.
            unsafe { self.0.lock().deallocate(block, layout) };
        }
    }
}

/// Adds memory to the end of the heap, enough for `layout`.
fn grow(heap: &mut Heap, layout: Layout) -> Result<(), Error> {
    let wanted = (layout.size() as u64).checked_add(layout.align() as u64 + MARGIN_BYTES);
    let length_bytes = wanted.and_then(|bytes| bytes.checked_next_multiple_of(STEP_BYTES)).ok_or(Error::OutOfMemory)?;
    let end = HEAP + heap.size() as u64;
    if length_bytes > STACKS - end {
        return Err(Error::LimitReached);
    }
    let segment = Segment::new_lazy(program().account(), length_bytes)?;
    program().subtree().map(end, &segment, 0..length_bytes, Rights::READ_WRITE)?;
    if heap.size() == 0 {
        let bottom = ptr::with_exposed_provenance_mut(HEAP as usize);
        // SAFETY: the memory was just mapped writable at the heap's own addresses and stays; this happens once.
        unsafe { heap.init(bottom, length_bytes as usize) };
    } else {
        // SAFETY: the memory was just mapped writable right behind the heap's end, and stays.
        unsafe { heap.extend(length_bytes as usize) };
    }
    Ok(())
}
