//! Memory: page frames and the kernel heap.

pub mod frames;
#[cfg(target_os = "none")]
pub mod heap;

pub use frames::{FrameAllocator, FrameList};

use tessera_abi::Error;

use crate::Kernel;

/// Pages that the heap keeps ready, more than any call takes besides those it asks for.
#[cfg(target_os = "none")]
const SPARE_PAGES: u64 = 24;

/// On a bare machine the heap lives on the kernel's own frames.
#[cfg(target_os = "none")]
impl Kernel {
    /// Checks that the heap can grow by so many pages, besides what every call may take; gives it the pages.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn ensure_heap(&mut self, pages: u64) -> Result<(), Error> {
        while (heap::spare_pages() as u64) < pages + SPARE_PAGES {
            self.ensure_frames(1)?;
            provide_page(&mut self.frames);
        }
        Ok(())
    }

    /// Gives the heap what it lacks of its spare pages.
    pub fn top_up_heap(&mut self) {
        top_up(&mut self.frames);
    }

    /// Bytes of heap in use.
    pub fn heap_used_bytes(&self) -> u64 {
        heap::used_bytes() as u64
    }

    /// Bytes that the heap has taken from the frame allocator.
    pub fn heap_held_bytes(&self) -> u64 {
        heap::held_bytes() as u64
    }
}

/// Whether the heap has its spare pages, which is enough for any call that asks for no more.
#[cfg(target_os = "none")]
#[inline(always)]
pub fn has_spare_pages() -> bool {
    heap::spare_pages() as u64 >= SPARE_PAGES
}

/// Always, on a host.
#[cfg(not(target_os = "none"))]
pub fn has_spare_pages() -> bool {
    true
}

/// Gives the heap what it lacks of its spare pages, while there is any memory at all.
#[cfg(target_os = "none")]
pub fn top_up(frames: &mut FrameAllocator) {
    while (heap::spare_pages() as u64) < SPARE_PAGES && frames.free_frames() != 0 {
        provide_page(frames);
    }
}

#[cfg(target_os = "none")]
fn provide_page(frames: &mut FrameAllocator) {
    let Some(frame) = frames.allocate(0) else { return };
    // SAFETY: the allocator handed the frame out, so it is memory that nobody uses, mapped for good in the
    // direct map; a frame is aligned to its size; it is never freed.
    unsafe { heap::provide(tessera_arch::direct_map(frame.start())) }
}

/// On a host, the heap is the host's.
#[cfg(not(target_os = "none"))]
impl Kernel {
    /// The host's heap always has room.
    ///
    /// # Errors
    /// None.
    pub fn ensure_heap(&mut self, _pages: u64) -> Result<(), Error> {
        Ok(())
    }

    /// Nothing to do.
    pub fn top_up_heap(&mut self) {}

    /// Unknown on a host.
    pub fn heap_used_bytes(&self) -> u64 {
        0
    }

    /// Nothing on a host.
    pub fn heap_held_bytes(&self) -> u64 {
        0
    }
}
