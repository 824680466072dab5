//! The shootdown handshake: how a CPU that changed a translation reaches those that may use the old one.
//!
//! Each CPU publishes the space it is in, in a line of its own, *before* it uses any translation of it. Who
//! changes a space's tables does so first, then marks the space's tag stale on the other CPUs, then asks which
//! of them are in the space, and interrupts exactly these. A full fence on each side makes it impossible that
//! both miss each other: either the changer sees the CPU in the space, or the CPU sees the mark (and the new
//! tables) when it enters. (Dekker's argument; Intel SDM volume 3, section 9.2.3.4 names the reordering that the
//! fences exclude.)
//!
//! The request itself lies in the target's line. Only the holder of the kernel's lock posts one, and it waits
//! for the acknowledgement, so there is at most one at a time.

use crate::atomic::{AtomicU32, AtomicU64, Ordering, const_unless_modelled, fence};

/// No space: the CPU is in the kernel's empty root.
pub const NO_SPACE: u32 = u32::MAX;

/// Words of stale marks that cover every tag of 16 bits.
pub const STALE_WORDS: usize = (1 << 16) / 64;

const IDLE: u32 = 0;
const POSTED: u32 = 1;

/// What one CPU asks of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Invalidate pages of a space, if the CPU is in it still.
    Pages {
        /// The space's number.
        space: u32,
        /// Its tag.
        tag: u16,
        /// The first page.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Let go of the thread and the space the CPU is in: save its registers, enter the empty root.
    Park,
}

/// One CPU's part of the handshake. `WORDS` words of stale marks; tests use fewer than the hardware's tags need.
#[derive(Debug)]
pub struct Presence<const WORDS: usize> {
    space: AtomicU32,
    state: AtomicU32,
    kind: AtomicU64,
    first: AtomicU64,
    count: AtomicU64,
    stale: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Presence<WORDS> {
    const_unless_modelled! {
        /// A CPU in no space, with these stale marks (all zero).
        pub fn new(stale: [AtomicU64; WORDS]) -> Presence<WORDS> {
            Presence {
                space: AtomicU32::new(NO_SPACE),
                state: AtomicU32::new(IDLE),
                kind: AtomicU64::new(0),
                first: AtomicU64::new(0),
                count: AtomicU64::new(0),
                stale,
            }
        }
    }

    /// The space the CPU is in. Its own answer is exact; others may be a switch behind.
    #[inline(always)]
    pub fn space(&self) -> u32 {
        self.space.load(Ordering::Relaxed)
    }

    /// The CPU publishes that it is about to use a space; gives whether the tag's translations are stale here.
    /// To be called before the space's root is loaded, and on the CPU itself.
    #[inline(always)]
    pub fn enter(&self, space: u32, tag: u16) -> bool {
        self.space.store(space, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.is_stale(tag)
    }

    /// The CPU takes back what it published: it stays in the space it was in.
    pub fn stay(&self, space: u32) {
        self.space.store(space, Ordering::Relaxed);
    }

    /// Takes a stale mark off, before the tag is flushed: a mark made after this one is seen next time.
    pub fn take_stale(&self, tag: u16) -> bool {
        let (word, bit) = self.mark(tag);
        word.fetch_and(!bit, Ordering::Relaxed) & bit != 0
    }

    /// For the changer, after its change: marks the tag stale on this CPU (tag 0 needs no mark: it is flushed at
    /// each activation) and gives whether the CPU is in the space, so that it must be interrupted.
    pub fn mark_and_ask(&self, space: u32, tag: u16) -> bool {
        if tag != 0 {
            let (word, bit) = self.mark(tag);
            word.fetch_or(bit, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        self.space.load(Ordering::Relaxed) == space
    }

    /// For the changer: puts a request into the CPU's line. The interrupt is the caller's to send.
    pub fn post(&self, request: Request) {
        let (kind, first, count) = match request {
            Request::Park => (0, 0, 0),
            Request::Pages { space, tag, first, count } => (1 | u64::from(tag) << 16 | u64::from(space) << 32, first, count),
        };
        self.kind.store(kind, Ordering::Relaxed);
        self.first.store(first, Ordering::Relaxed);
        self.count.store(count, Ordering::Relaxed);
        self.state.store(POSTED, Ordering::Release);
    }

    /// For the changer: whether the CPU has done what was asked.
    pub fn is_acknowledged(&self) -> bool {
        self.state.load(Ordering::Acquire) == IDLE
    }

    /// On the CPU itself: does what was asked and acknowledges it; gives whether anything was.
    #[inline]
    pub fn serve(&self, act: impl FnOnce(Request)) -> bool {
        if self.state.load(Ordering::Acquire) != POSTED {
            return false;
        }
        let kind = self.kind.load(Ordering::Relaxed);
        act(match kind {
            0 => Request::Park,
            _ => Request::Pages {
                space: (kind >> 32) as u32,
                tag: (kind >> 16) as u16,
                first: self.first.load(Ordering::Relaxed),
                count: self.count.load(Ordering::Relaxed),
            },
        });
        self.state.store(IDLE, Ordering::Release);
        true
    }

    #[inline(always)]
    fn is_stale(&self, tag: u16) -> bool {
        let (word, bit) = self.mark(tag);
        word.load(Ordering::Relaxed) & bit != 0
    }

    #[inline(always)]
    fn mark(&self, tag: u16) -> (&AtomicU64, u64) {
        (&self.stale[usize::from(tag) / 64 % WORDS], 1 << (tag % 64))
    }
}
