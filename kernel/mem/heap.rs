//! The kernel heap: slabs for what is small and frequent, the library's list allocator for the rest.
//!
//! Blocks of up to 4 KiB come from per-size slabs, so that making the thousandth object costs what the first
//! did. Slabs are refilled one frame-sized piece at a time from [`provide`], which the kernel calls with frames of its
//! own before anything is created (`Kernel::ensure_heap`): no allocation of a system call can fail.
//! Larger blocks (a few tables that live long) come from `linked_list_allocator` over a region taken at boot.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use linked_list_allocator::Heap;
use spin::Mutex;
use tessera_abi::PAGE_BYTES;

use crate::sync::{RANK_HEAP, Rank};

const SIZES: [usize; 9] = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096];

/// A free block's first bytes.
struct FreeBlock {
    next: Option<NonNull<FreeBlock>>,
}

struct Slabs {
    free: [Option<NonNull<FreeBlock>>; SIZES.len()],
    pages: Option<NonNull<FreeBlock>>,
    held_pages: usize,
    large: Heap,
    used_bytes: usize,
}

// SAFETY: the pointers lead to memory that only this structure knows of, and it is behind a lock.
unsafe impl Send for Slabs {}

/// How many pages are provided and not yet cut; changed under the heap's lock, read by every call without it.
static SPARE_PAGES: AtomicUsize = AtomicUsize::new(0);

/// The allocator behind `alloc`.
pub struct KernelHeap(Mutex<Slabs>);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap(Mutex::new(Slabs {
    free: [None; SIZES.len()],
    pages: None,
    held_pages: 0,
    large: Heap::empty(),
    used_bytes: 0,
}));

/// Gives the heap its region for large blocks, once, at boot.
///
/// # Safety
/// The region must be unused memory that is mapped for good and that nobody else uses.
pub unsafe fn initialise(start: *mut u8, bytes: usize) {
    let _rank = Rank::take(RANK_HEAP);
    // SAFETY: the caller hands the region over; this is called once.
    unsafe { HEAP.0.lock().large.init(start, bytes) }
}

/// Gives the slabs a page of memory for good.
///
/// # Safety
/// The page must be unused memory, aligned to its size, mapped for good, that nobody else uses.
pub unsafe fn provide(page: *mut u8) {
    let _rank = Rank::take(RANK_HEAP);
    let mut slabs = HEAP.0.lock();
    let block = page.cast::<FreeBlock>();
    // SAFETY: the caller gave the page to us; it is large enough and aligned for a block header.
    unsafe { block.write(FreeBlock { next: slabs.pages }) };
    slabs.pages = NonNull::new(block);
    SPARE_PAGES.fetch_add(1, Ordering::Relaxed);
    slabs.held_pages += 1;
}

/// Pages that were provided and not yet cut into blocks.
pub fn spare_pages() -> usize {
    SPARE_PAGES.load(Ordering::Relaxed)
}

/// Bytes in pages that were provided, used or not.
pub fn held_bytes() -> usize {
    let _rank = Rank::take(RANK_HEAP);
    HEAP.0.lock().held_pages * PAGE_BYTES as usize
}

/// Bytes handed out now.
pub fn used_bytes() -> usize {
    let _rank = Rank::take(RANK_HEAP);
    HEAP.0.lock().used_bytes
}

impl Slabs {
    fn class(layout: &Layout) -> Option<usize> {
        let needed = layout.size().max(layout.align());
        SIZES.iter().position(|size| *size >= needed)
    }

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let Some(class) = Slabs::class(&layout) else {
            let block = self.large.allocate_first_fit(layout).ok()?;
            self.used_bytes += layout.size();
            return Some(block);
        };
        if self.free[class].is_none() {
            self.cut_page(class)?;
        }
        let block = self.free[class]?;
        // SAFETY: blocks on a free list are unused memory with a header that we wrote.
        self.free[class] = unsafe { block.as_ref().next };
        self.used_bytes += SIZES[class];
        Some(block.cast())
    }

    fn cut_page(&mut self, class: usize) -> Option<()> {
        let page = self.pages?;
        // SAFETY: as for blocks: pages on the list are unused and have a header.
        self.pages = unsafe { page.as_ref().next };
        SPARE_PAGES.fetch_sub(1, Ordering::Relaxed);
        for offset in (0..PAGE_BYTES as usize).step_by(SIZES[class]) {
            // SAFETY: the page is ours and `offset` lies in it; sizes divide the page, so blocks are aligned.
            unsafe {
                let block = page.cast::<u8>().add(offset).cast::<FreeBlock>();
                block.write(FreeBlock { next: self.free[class] });
                self.free[class] = Some(block);
            }
        }
        Some(())
    }

    fn free(&mut self, block: NonNull<u8>, layout: Layout) {
        let Some(class) = Slabs::class(&layout) else {
            self.used_bytes -= layout.size();
            // SAFETY: by GlobalAlloc's contract the block came from `allocate` with this layout.
            return unsafe { self.large.deallocate(block, layout) };
        };
        let block = block.cast::<FreeBlock>();
        // SAFETY: the block is unused from here on, and every size has room for a header.
        unsafe { block.write(FreeBlock { next: self.free[class] }) };
        self.free[class] = Some(block);
        self.used_bytes -= SIZES[class];
    }
}

// SAFETY: `allocate` hands out blocks that fit the layout and are on no list; `free` takes them back.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _rank = Rank::take(RANK_HEAP);
        self.0.lock().allocate(layout).map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let _rank = Rank::take(RANK_HEAP);
        if let Some(block) = NonNull::new(block) {
            self.0.lock().free(block, layout);
        }
    }
}
