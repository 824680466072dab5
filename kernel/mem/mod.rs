//! Memory: page frames and the kernel heap.

pub mod block;
pub mod frames;
pub mod free_lists;
#[cfg(target_os = "none")]
pub mod heap;

pub use frames::{FrameAllocator, FrameList};

use tessera_abi::Error;

/// Pages that the heap keeps ready, more than any call takes besides those it asks for.
#[cfg(target_os = "none")]
pub(crate) const SPARE_PAGES: u64 = 24;

/// Pages that it keeps at most after a call.
#[cfg(target_os = "none")]
pub(crate) const SPARE_PAGES_MAX: u64 = 2 * SPARE_PAGES;

/// Whether the heap has its spare pages, which is enough for any call that asks for no more.
#[cfg(target_os = "none")]
#[inline(always)]
pub fn has_spare_pages() -> bool {
    heap::spare_pages() >= SPARE_PAGES
}

/// Always, on a host.
#[cfg(not(target_os = "none"))]
pub fn has_spare_pages() -> bool {
    true
}

/// Gives the heap what it lacks of its spare pages, while there is any memory at all; takes back what it has more.
#[cfg(target_os = "none")]
#[cold]
pub fn top_up(frames: &mut FrameAllocator) {
    while let Some((extent, pages)) = heap::take_idle_extent() {
        frames.free_extent(frame_of(extent), pages as u64);
    }
    while heap::spare_pages() > SPARE_PAGES_MAX {
        let Some(page) = heap::take_spare_page() else { break };
        frames.free(frame_of(page), 0);
    }
    while heap::spare_pages() < SPARE_PAGES && provide(frames, 1).is_ok() {}
}

/// Provides for a list with room for so many `T`, at boot.
///
/// # Panics
/// If there is too little memory to begin with.
pub fn provide_list<T>(frames: &mut FrameAllocator, count: usize) {
    let bytes = block::list_bytes::<T>(count as u64);
    if bytes > tessera_abi::PAGE_BYTES {
        provide(frames, bytes / tessera_abi::PAGE_BYTES).expect("there is memory for the kernel's own lists");
    }
}

/// Gives frames to the heap.
#[cfg(target_os = "none")]
pub(crate) fn provide(frames: &mut FrameAllocator, pages: u64) -> Result<(), Error> {
    let frame = frames.allocate_extent(pages).ok_or(Error::OutOfMemory)?;
    let start = core::ptr::NonNull::new(tessera_arch::direct_map(frame.start())).ok_or(Error::OutOfMemory)?;
    // SAFETY: the allocator handed the frames out, so they are memory that nobody uses, mapped for good in the direct
    // map; frames are aligned to their size; they come back by `heap::take_idle_extent` and `take_spare_page` only.
    unsafe { heap::provide(start, pages as usize) };
    Ok(())
}

/// The frame that a page of the heap's is.
#[cfg(target_os = "none")]
fn frame_of(page: core::ptr::NonNull<u8>) -> tessera_arch::Frame {
    let start = tessera_arch::direct_map(tessera_arch::PhysAddr::new(0)).addr();
    tessera_arch::Frame::containing(tessera_arch::PhysAddr::new((page.addr().get() - start) as u64))
}

/// A host's heap needs none.
#[cfg(not(target_os = "none"))]
pub(crate) fn provide(_frames: &mut FrameAllocator, _pages: u64) -> Result<(), Error> {
    Ok(())
}
