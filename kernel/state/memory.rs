//! Memory for the kernel's own heap: what a call may take is there before it begins.

use tessera_abi::Error;

use crate::mem::FrameAllocator;
#[cfg(target_os = "none")]
use crate::mem::{self, SPARE_PAGES, heap};
#[cfg(target_os = "none")]
use crate::state::charges::ensure_frames;
use crate::state::kernel::Kernel;

/// Checks that the heap can grow by so many pages, besides what every call may take; gives it the pages.
///
/// # Errors
/// `OutOfMemory`.
#[cfg(target_os = "none")]
#[inline(always)]
pub fn reserve_heap(frames: &mut FrameAllocator, pages: u64) -> Result<(), Error> {
    if heap::spare_pages() < pages + SPARE_PAGES { grow_heap(frames, pages) } else { Ok(()) }
}

#[cfg(target_os = "none")]
#[cold]
#[inline(never)]
fn grow_heap(frames: &mut FrameAllocator, pages: u64) -> Result<(), Error> {
    while heap::spare_pages() < pages + SPARE_PAGES {
        ensure_frames(frames, 1)?;
        mem::provide(frames, 1)?;
    }
    Ok(())
}

/// Provides for a block of so many bytes, to be taken by this call. One of up to a page comes out of the pages that
/// [`reserve_heap`] gives.
///
/// # Errors
/// `OutOfMemory`, also if no extent of frames is long enough.
#[cfg(target_os = "none")]
#[inline(always)]
pub fn reserve_block(frames: &mut FrameAllocator, bytes: u64) -> Result<(), Error> {
    if bytes <= tessera_abi::PAGE_BYTES { Ok(()) } else { provide_block(frames, bytes) }
}

#[cfg(target_os = "none")]
#[inline(never)]
fn provide_block(frames: &mut FrameAllocator, bytes: u64) -> Result<(), Error> {
    let pages = bytes.div_ceil(tessera_abi::PAGE_BYTES);
    ensure_frames(frames, pages)?;
    mem::provide(frames, pages)
}

/// The host's heap always has room.
///
/// # Errors
/// None.
#[cfg(not(target_os = "none"))]
pub fn reserve_heap(_frames: &mut FrameAllocator, _pages: u64) -> Result<(), Error> {
    Ok(())
}

/// The same.
///
/// # Errors
/// None.
#[cfg(not(target_os = "none"))]
pub fn reserve_block(_frames: &mut FrameAllocator, _bytes: u64) -> Result<(), Error> {
    Ok(())
}

/// What a call asks for before it begins.
impl Kernel {
    /// [`reserve_heap`] with the kernel's frames.
    ///
    /// # Errors
    /// `OutOfMemory`.
    #[inline(always)]
    pub fn reserve_heap(&mut self, pages: u64) -> Result<(), Error> {
        reserve_heap(&mut self.frames, pages)
    }

    /// [`reserve_block`] with the kernel's frames.
    ///
    /// # Errors
    /// `OutOfMemory`, also if no extent of frames is long enough.
    #[inline(always)]
    pub fn reserve_block(&mut self, bytes: u64) -> Result<(), Error> {
        reserve_block(&mut self.frames, bytes)
    }
}

/// On a bare machine the heap lives on the kernel's own frames.
#[cfg(target_os = "none")]
impl Kernel {
    /// Whether the heap has its spare pages, and none that it does not need.
    #[inline(always)]
    pub fn has_heap(&self) -> bool {
        heap::is_topped_up()
    }

    /// Gives the heap what it lacks of its spare pages, and takes back what it does not need.
    #[inline(always)]
    pub fn top_up_heap(&mut self) {
        if !self.has_heap() {
            self.note_activity();
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
