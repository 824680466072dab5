//! The kernel heap: slabs for what is small and frequent, extents of frames for the rest.
//!
//! Blocks of up to a page come from per-size slabs, so that making the thousandth object costs what the first did. Slabs
//! are refilled one page at a time from [`provide`], which the kernel calls with frames of its own before anything is
//! created (`Kernel::reserve_heap`): no allocation of a system call can fail. A larger block is an extent of frames, which is
//! provided beforehand too (`Kernel::reserve_block`); one that was not is refused. What is freed of pages and extents goes
//! back to the frame allocator after the call.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};

use spin::Mutex;
use tessera_abi::PAGE_BYTES;

use super::block::{SIZES, blocks_in_page, class_of, pages_of};
use super::{SPARE_PAGES, SPARE_PAGES_MAX};
use crate::base::sync::{RANK_HEAP, Rank};

/// The class of whole pages.
const PAGE_CLASS: usize = SIZES.len() - 1;

/// A free block's first bytes. Those of one page are in the list of pages, not in that of their class.
struct FreeBlock {
    next: Option<NonNull<FreeBlock>>,
}

/// The first bytes of an extent that nobody uses.
struct IdleExtent {
    next: Option<NonNull<IdleExtent>>,
    pages: usize,
}

struct Slabs {
    free: [Option<NonNull<FreeBlock>>; PAGE_CLASS],
    pages: Option<NonNull<FreeBlock>>,
    extents: Option<NonNull<IdleExtent>>,
    held_pages: usize,
    used_bytes: usize,
}

// SAFETY: the pointers lead to memory that only this structure knows of, and it is behind a lock.
unsafe impl Send for Slabs {}

/// What is provided and not in use: pages in bits 0 to 31, longer extents in 32 to 63; less [`SPARE_PAGES`], wrapping, so that one
/// comparison tells whether it is just what it should be. Changed under the heap's lock, read by every call without it.
static UNUSED: AtomicUsize = AtomicUsize::new(0usize.wrapping_sub(SPARE_PAGES as usize));

/// An extent, in that word.
const ONE_EXTENT: usize = 1 << 32;

/// The allocator behind `alloc`.
pub struct KernelHeap(Mutex<Slabs>);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap(Mutex::new(Slabs {
    free: [None; PAGE_CLASS],
    pages: None,
    extents: None,
    held_pages: 0,
    used_bytes: 0,
}));

/// Gives the heap pages of memory, one behind the other: one page for its slabs, several for a block of just that size.
///
/// # Safety
/// They must be unused memory, aligned to pages, mapped for good, that nobody else uses.
pub unsafe fn provide(start: NonNull<u8>, pages: usize) {
    let _rank = Rank::take(RANK_HEAP);
    let mut slabs = HEAP.0.lock();
    slabs.held_pages += pages;
    slabs.put_pages(start, pages);
}

/// Takes an extent back that nobody uses: where it begins, and how many pages it has.
pub fn take_idle_extent() -> Option<(NonNull<u8>, usize)> {
    let _rank = Rank::take(RANK_HEAP);
    let mut slabs = HEAP.0.lock();
    // SAFETY: extents in the list are unused memory with a header that we wrote.
    let pages = unsafe { slabs.extents?.as_ref().pages };
    let extent = slabs.take_extent(pages)?;
    slabs.held_pages -= pages;
    Some((extent, pages))
}

/// Takes a page back that nobody uses.
pub fn take_spare_page() -> Option<NonNull<u8>> {
    let _rank = Rank::take(RANK_HEAP);
    let mut slabs = HEAP.0.lock();
    let page = slabs.take_page()?;
    slabs.held_pages -= 1;
    Some(page)
}

/// Pages that were provided and are not in use.
#[inline(always)]
pub fn spare_pages() -> u64 {
    (UNUSED.load(Ordering::Relaxed) as u64).wrapping_add(SPARE_PAGES) % ONE_EXTENT as u64
}

/// Whether what is not in use is pages, as many as are kept ready, and nothing else.
#[inline(always)]
pub fn is_topped_up() -> bool {
    UNUSED.load(Ordering::Relaxed) as u64 <= SPARE_PAGES_MAX - SPARE_PAGES
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
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let Some(class) = class_of(layout) else {
            let pages = pages_of(layout.size());
            let block = self.take_extent(pages).filter(|_| layout.align() <= PAGE_BYTES as usize)?;
            self.used_bytes += pages * PAGE_BYTES as usize;
            return Some(block);
        };
        let block = if class == PAGE_CLASS { self.take_page()? } else { self.take_block(class)? };
        self.used_bytes += SIZES[class];
        Some(block)
    }

    fn take_block(&mut self, class: usize) -> Option<NonNull<u8>> {
        if self.free[class].is_none() {
            self.cut_page(class)?;
        }
        let block = self.free[class]?;
        // SAFETY: blocks on a free list are unused memory with a header that we wrote.
        self.free[class] = unsafe { block.as_ref().next };
        Some(block.cast())
    }

    /// Makes blocks of a class out of a page. Out of the way: callers know their class, and each would unroll the loop.
    #[cold]
    #[inline(never)]
    fn cut_page(&mut self, class: usize) -> Option<()> {
        let page = self.take_page()?;
        for number in 0..blocks_in_page(class) {
            // SAFETY: the page is ours, and so many blocks of the class lie in it; sizes are multiples of a header's
            // alignment.
            unsafe {
                let block = page.add(number * SIZES[class]).cast::<FreeBlock>();
                block.write(FreeBlock { next: self.free[class] });
                self.free[class] = Some(block);
            }
        }
        Some(())
    }

    fn free(&mut self, block: NonNull<u8>, layout: Layout) {
        let Some(class) = class_of(layout) else {
            let pages = pages_of(layout.size());
            self.used_bytes -= pages * PAGE_BYTES as usize;
            return self.put_pages(block, pages);
        };
        self.used_bytes -= SIZES[class];
        if class == PAGE_CLASS {
            return self.put_pages(block, 1);
        }
        let block = block.cast::<FreeBlock>();
        // SAFETY: the block is unused from here on, and every size has room for a header.
        unsafe { block.write(FreeBlock { next: self.free[class] }) };
        self.free[class] = Some(block);
    }

    fn take_page(&mut self) -> Option<NonNull<u8>> {
        let page = self.pages?;
        // SAFETY: as for blocks: pages on the list are unused and have a header.
        self.pages = unsafe { page.as_ref().next };
        UNUSED.fetch_sub(1, Ordering::Relaxed);
        Some(page.cast())
    }

    /// Takes an extent of exactly so many pages. There are few: those that the call at hand asked for, or has freed.
    fn take_extent(&mut self, pages: usize) -> Option<NonNull<u8>> {
        let (mut previous, mut at) = (None::<NonNull<IdleExtent>>, self.extents);
        while let Some(mut extent) = at {
            // SAFETY: extents in the list are unused memory with a header that we wrote, and so is the one before.
            unsafe {
                let next = extent.as_mut().next;
                if extent.as_ref().pages != pages {
                    (previous, at) = (Some(extent), next);
                    continue;
                }
                match previous {
                    Some(mut previous) => previous.as_mut().next = next,
                    None => self.extents = next,
                }
            }
            UNUSED.fetch_sub(ONE_EXTENT, Ordering::Relaxed);
            return Some(extent.cast());
        }
        None
    }

    /// Notes pages that nobody uses: memory of the heap's, as `provide` and `GlobalAlloc` make sure.
    fn put_pages(&mut self, start: NonNull<u8>, pages: usize) {
        if pages == 1 {
            let block = start.cast::<FreeBlock>();
            // SAFETY: the page is unused from here on; it is large enough and aligned for a header.
            unsafe { block.write(FreeBlock { next: self.pages }) };
            self.pages = Some(block);
            UNUSED.fetch_add(1, Ordering::Relaxed);
        } else {
            let extent = start.cast::<IdleExtent>();
            // SAFETY: as for the page.
            unsafe { extent.write(IdleExtent { next: self.extents, pages }) };
            self.extents = Some(extent);
            UNUSED.fetch_add(ONE_EXTENT, Ordering::Relaxed);
        }
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
