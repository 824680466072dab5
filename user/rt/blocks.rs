//! Which part of the heap is whose: everything about it but the memory itself, and without a lock.
//!
//! ```text
//! page 0, 1, ..         links of chunks: 4 bytes for each, made as far as chunks have been given out
//! chunks of 64 KiB      cut into small blocks of one size, for good; or in ranges of 2^n chunks, one block each
//! ```
//! * A **small** block, up to 32 KiB, has the size of the smallest power of two that holds it, 16 bytes at least. The
//!   memory of its chunk is made at once when the chunk is cut, and stays: a free block's first bytes are its link in the
//!   list of its size.
//! * A **large** block has a range of chunks to itself. As much memory as it needs is made when it is taken, and
//!   taken away when it is given back. The link of a free range is the one of its first chunk.
//!
//! Every block lies at a multiple of its size. A block is never larger than twice what was asked for; of a large one the
//! rest has no memory.
//!
//! A thread that is stopped in here, at any instruction, takes with it at most what it was about to take or give back:
//! one block, or the chunk that it was about to cut. All others go on as if nothing had happened. That is what this
//! file is for, and what its tests show for each single step.

use crate::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::free_list::FreeList;
use core::alloc::Layout;

/// Bytes of a chunk.
pub(crate) const CHUNK_BYTES: u64 = 1 << 16;

/// Blocks lie at multiples of this, bytes. A small block's number is its distance from the heap's start in these.
const UNIT_BYTES: u64 = 16;

/// Sizes of small blocks: 16 bytes, 32, and so on to 32 KiB.
const SIZES: usize = 12;

/// Sizes of ranges: one chunk, two, and so on to 64 GiB.
const ORDERS: usize = 21;

/// Links of chunks are made by pages.
const LINK_PAGE_BYTES: u64 = 4096;
const LINK_BYTES: u64 = 4;
const LINKS_PER_PAGE: u64 = LINK_PAGE_BYTES / LINK_BYTES;

/// The longest heap, in chunks: a small block's number has 32 bits.
pub(crate) const CHUNKS_MAX: u64 = (1 << 32) * UNIT_BYTES / CHUNK_BYTES;

/// When memory is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Now, or the call is refused.
    Now,
    /// As it is touched.
    Touched,
}

/// Why memory was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// There is some already.
    Taken,
    /// There is none to be had.
    Refused,
}

/// The memory that a heap lies in. Places are in bytes from the heap's start.
pub(crate) trait Ground {
    /// A word of memory that was made.
    fn link(&self, at: u64) -> &AtomicU32;

    /// Makes memory, all zero: whole pages.
    fn make(&self, at: u64, length_bytes: u64, when: When) -> Result<(), Denied>;

    /// Takes away memory that one call of `make` made; says whether that worked.
    fn take_away(&self, at: u64, length_bytes: u64) -> bool;
}

/// How a layout is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// By a block of this size.
    Small(usize),
    /// By a range of this order with so much memory.
    Large { order: usize, length_bytes: u64 },
}

impl Class {
    /// The class of a layout; `None` if there is no block so large.
    fn of(layout: Layout) -> Option<Class> {
        let bytes = layout.size().max(layout.align()) as u64;
        if bytes <= CHUNK_BYTES / 2 {
            return Some(Class::Small(exponent(bytes.max(UNIT_BYTES)) - UNIT_BYTES.ilog2() as usize));
        }
        let order = exponent(bytes.div_ceil(CHUNK_BYTES));
        let length_bytes = (layout.size() as u64).max(1).next_multiple_of(CHUNK_BYTES);
        (order < ORDERS).then_some(Class::Large { order, length_bytes })
    }
}

/// The exponent of the smallest power of two that is not less.
fn exponent(number: u64) -> usize {
    number.next_power_of_two().ilog2() as usize
}

/// A heap on some ground.
#[derive(Debug)]
pub(crate) struct Blocks<G> {
    ground: G,
    /// How many chunks there can be.
    chunks: u64,
    /// All chunks from here on have never been given out.
    fresh_chunk: AtomicU64,
    /// All chunks before this one have links.
    linked: AtomicU64,
    /// Free ranges of each order.
    ranges: [FreeList; ORDERS],
    /// Where the next block is cut off a chunk, for each size; at a chunk's end there is nothing left to cut.
    cuts: [AtomicU64; SIZES],
    /// Free small blocks of each size.
    free: [FreeList; SIZES],
}

impl<G: Ground> Blocks<G> {
    /// A heap of so many chunks, [`CHUNKS_MAX`] at most, with nothing made yet.
    pub(crate) const fn new(ground: G, chunks: u64) -> Self {
        assert!(chunks <= CHUNKS_MAX, "a block's number has 32 bits");
        Blocks {
            ground,
            chunks,
            fresh_chunk: AtomicU64::new((chunks * LINK_BYTES).div_ceil(CHUNK_BYTES)),
            linked: AtomicU64::new(0),
            ranges: [const { FreeList::empty() }; ORDERS],
            cuts: [const { AtomicU64::new(0) }; SIZES],
            free: [const { FreeList::empty() }; SIZES],
        }
    }

    /// Takes a block; `None` changes nothing.
    pub(crate) fn take(&self, layout: Layout) -> Option<u64> {
        match Class::of(layout)? {
            Class::Small(size) => {
                let free = self.free[size].pop(|block| self.small_link(block));
                free.map(|block| u64::from(block) * UNIT_BYTES).or_else(|| self.cut(size))
            }
            Class::Large { order, length_bytes } => {
                self.range_with_memory(order, length_bytes, When::Touched).map(|chunk| chunk * CHUNK_BYTES)
            }
        }
    }

    /// Gives back a block that `take` gave for this layout.
    pub(crate) fn give_back(&self, at: u64, layout: Layout) {
        match Class::of(layout) {
            Some(Class::Small(size)) => {
                self.free[size].push((at / UNIT_BYTES) as u32, |block| self.small_link(block));
            }
            Some(Class::Large { order, length_bytes }) => self.give_range_back(at / CHUNK_BYTES, order, length_bytes),
            None => {}
        }
    }

    /// Whether a block that was taken for one layout serves for another.
    pub(crate) fn serves(layout: Layout, other: Layout) -> bool {
        Class::of(layout) == Class::of(other)
    }

    /// Whether a block for this layout is all zero when it is taken.
    pub(crate) fn is_zeroed(layout: Layout) -> bool {
        matches!(Class::of(layout), Some(Class::Large { .. }))
    }

    fn small_link(&self, block: u32) -> &AtomicU32 {
        self.ground.link(u64::from(block) * UNIT_BYTES)
    }

    fn chunk_link(&self, chunk: u32) -> &AtomicU32 {
        self.ground.link(u64::from(chunk) * LINK_BYTES)
    }

    /// Cuts a small block off its size's chunk, or off a new one.
    fn cut(&self, size: usize) -> Option<u64> {
        let length_bytes = UNIT_BYTES << size;
        let ahead = |at: u64| (!at.is_multiple_of(CHUNK_BYTES)).then_some(at + length_bytes);
        loop {
            let end = match self.cuts[size].fetch_update(Ordering::AcqRel, Ordering::Acquire, ahead) {
                Ok(at) => return Some(at),
                Err(end) => end,
            };
            let chunk = self.range_with_memory(0, CHUNK_BYTES, When::Now)?;
            let start = chunk * CHUNK_BYTES;
            let new = start + length_bytes;
            // A chunk is cut once, so the place where the last one ended comes but once.
            if self.cuts[size].compare_exchange(end, new, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Some(start);
            }
            // Another thread was faster.
            self.give_range_back(chunk, 0, CHUNK_BYTES);
        }
    }

    /// Takes a range and makes memory in it.
    fn range_with_memory(&self, order: usize, length_bytes: u64, when: When) -> Option<u64> {
        loop {
            let chunk = self.take_range(order)?;
            match self.ground.make(chunk * CHUNK_BYTES, length_bytes, when) {
                Ok(()) => return Some(chunk),
                // Something else was mapped here behind the heap's back: the range is of no use.
                Err(Denied::Taken) => {}
                Err(Denied::Refused) => {
                    self.push_range(chunk, order);
                    return None;
                }
            }
        }
    }

    fn give_range_back(&self, chunk: u64, order: usize, length_bytes: u64) {
        if self.ground.take_away(chunk * CHUNK_BYTES, length_bytes) {
            self.push_range(chunk, order);
        }
    }

    fn push_range(&self, chunk: u64, order: usize) {
        self.ranges[order].push(chunk as u32, |chunk| self.chunk_link(chunk));
    }

    fn pop_range(&self, order: usize) -> Option<u64> {
        self.ranges[order].pop(|chunk| self.chunk_link(chunk)).map(u64::from)
    }

    /// Takes a range without memory: one that was given back, a fresh one, or at last a part of a longer one.
    fn take_range(&self, order: usize) -> Option<u64> {
        self.pop_range(order).or_else(|| self.fresh_range(order)).or_else(|| self.split_range(order))
    }

    fn fresh_range(&self, order: usize) -> Option<u64> {
        loop {
            let old = self.fresh_chunk.load(Ordering::Relaxed);
            let start = old.next_multiple_of(1 << order);
            let end = start + (1 << order);
            if end > self.chunks || !self.link_up_to(end) {
                return None;
            }
            if self.fresh_chunk.compare_exchange(old, end, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                self.push_gap(old, start);
                return Some(start);
            }
        }
    }

    /// Makes free ranges of the chunks between two ranges.
    fn push_gap(&self, mut chunk: u64, end: u64) {
        while chunk < end {
            let order = chunk.trailing_zeros() as usize;
            self.push_range(chunk, order);
            chunk += 1 << order;
        }
    }

    fn split_range(&self, order: usize) -> Option<u64> {
        let (longer, chunk) = (order + 1..ORDERS).find_map(|longer| Some((longer, self.pop_range(longer)?)))?;
        (order..longer).for_each(|half| self.push_range(chunk + (1 << half), half));
        Some(chunk)
    }

    /// Makes links for all chunks before this one.
    fn link_up_to(&self, end: u64) -> bool {
        let mut linked = self.linked.load(Ordering::Acquire);
        while linked < end {
            // Every page is made whole, so it makes no difference which of two threads is first.
            if self.ground.make(linked * LINK_BYTES, LINK_PAGE_BYTES, When::Now) == Err(Denied::Refused) {
                return false;
            }
            linked += LINKS_PER_PAGE;
            self.linked.fetch_max(linked, Ordering::AcqRel);
        }
        true
    }
}

#[cfg(test)]
mod tests;
