//! Free blocks, one on top of the other, without a lock.
//!
//! Treiber's stack ("Systems Programming: Coping with Parallelism", IBM RJ 5118, 1986): the head is one word, which
//! names the topmost block; each block names the one below it, in a link of its own. A thread that is stopped within
//! an operation has changed the head or has not, so that others find the list whole; a block that it was about to put
//! on it, or had just taken off, is lost, and no more.
//!
//! Between reading the head and changing it a thread may be held up for long. Meanwhile the topmost block can be taken
//! and come back, with another one below it: to the same head belongs another link. That is why the head also counts
//! how many blocks were put on the list, in its upper half. The count comes to the same value again after 2^32 of
//! these, and it must be exactly so many while one thread stands between two instructions.

use crate::atomic::{AtomicU32, AtomicU64, Ordering, const_unless_modelled, count_step};

/// The number that stands for no block.
pub const NONE: u32 = 0;

/// A list of free blocks, which are numbers other than [`NONE`]. Whoever calls says where the link of a block is.
#[derive(Debug)]
pub struct FreeList {
    /// The topmost block in the lower half, the count in the upper one.
    head: AtomicU64,
}

impl FreeList {
    const_unless_modelled! {
    /// A list without blocks.
    pub fn empty() -> FreeList {
        FreeList { head: AtomicU64::new(NONE as u64) }
    }
    }

    /// Puts a block on the list; it is the list's from then on.
    pub fn push<'a>(&self, block: u32, link: impl Fn(u32) -> &'a AtomicU32) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            link(block).store(head as u32, Ordering::Relaxed);
            let count = (head >> 32).wrapping_add(count_step());
            // Release: who takes the block sees its link, and all that was done with it before.
            match self.exchange(head, count << 32 | u64::from(block), Ordering::Release) {
                Ok(()) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes the topmost block off the list.
    pub fn pop<'a>(&self, link: impl Fn(u32) -> &'a AtomicU32) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let block = head as u32;
            if block == NONE {
                return None;
            }
            // Another thread may take the block just now and use its memory: then this is any number, and the
            // exchange fails, because the head is another one.
            let below = link(block).load(Ordering::Relaxed);
            match self.exchange(head, head >> 32 << 32 | u64::from(below), Ordering::Acquire) {
                Ok(()) => return Some(block),
                Err(now) => head = now,
            }
        }
    }

    fn exchange(&self, old: u64, new: u64, order: Ordering) -> Result<(), u64> {
        self.head.compare_exchange(old, new, order, Ordering::Acquire).map(|_| ())
    }
}
