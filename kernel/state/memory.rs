//! Memory for the kernel's own heap: what a call may take is there before it begins.

use tessera_abi::Error;

#[cfg(target_os = "none")]
use crate::mem::{self, SPARE_PAGES, SPARE_PAGES_MAX, heap};
use crate::state::kernel::Kernel;

/// On a bare machine the heap lives on the kernel's own frames.
#[cfg(target_os = "none")]
impl Kernel {
    /// Checks that the heap can grow by so many pages, besides what every call may take; gives it the pages.
    ///
    /// # Errors
    /// `OutOfMemory`.
    #[inline(always)]
    pub fn ensure_heap(&mut self, pages: u64) -> Result<(), Error> {
        if heap::spare_pages() < pages + SPARE_PAGES { self.grow_heap(pages) } else { Ok(()) }
    }

    #[cold]
    #[inline(never)]
    fn grow_heap(&mut self, pages: u64) -> Result<(), Error> {
        while heap::spare_pages() < pages + SPARE_PAGES {
            self.ensure_frames(1)?;
            mem::provide(&mut self.frames, 1)?;
        }
        Ok(())
    }

    /// Provides for a block of so many bytes, to be taken by this call. One of up to a page comes out of the pages that
    /// [`Kernel::ensure_heap`] gives.
    ///
    /// # Errors
    /// `OutOfMemory`, also if no run of frames is long enough.
    #[inline(always)]
    pub fn ensure_block(&mut self, bytes: u64) -> Result<(), Error> {
        if bytes <= tessera_abi::PAGE_BYTES { Ok(()) } else { self.provide_block(bytes) }
    }

    #[inline(never)]
    fn provide_block(&mut self, bytes: u64) -> Result<(), Error> {
        let pages = bytes.div_ceil(tessera_abi::PAGE_BYTES);
        self.ensure_frames(pages)?;
        mem::provide(&mut self.frames, pages)
    }

    /// Whether the heap has its spare pages, and none that it does not need.
    #[inline(always)]
    pub fn has_heap(&self) -> bool {
        heap::has_just(SPARE_PAGES..=SPARE_PAGES_MAX)
    }

    /// Gives the heap what it lacks of its spare pages, and takes back what it does not need.
    #[inline(always)]
    pub fn top_up_heap(&mut self) {
        if !self.has_heap() {
            mem::top_up(&mut self.frames);
        }
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

/// On a host, the heap is the host's.
#[cfg(not(target_os = "none"))]
impl Kernel {
    /// The host's heap has room.
    pub fn has_heap(&self) -> bool {
        true
    }

    /// The host's heap always has room.
    ///
    /// # Errors
    /// None.
    pub fn ensure_heap(&mut self, _pages: u64) -> Result<(), Error> {
        Ok(())
    }

    /// The same.
    ///
    /// # Errors
    /// None.
    pub fn ensure_block(&mut self, _bytes: u64) -> Result<(), Error> {
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
