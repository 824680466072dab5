//! Tags: which hardware TLB tag a space has, and when everything must be flushed.
//!
//! Tags are given out until none is left; then a new *generation* begins: all tags are free again but those
//! that are live on a CPU, which stay with their owners, and each CPU flushes everything before it activates
//! another tag. Running out therefore never fails, it costs. A space whose tag is of an old generation gets a
//! new one when it is next activated. (The scheme of Linux' arm64 ASID allocator.)
//!
//! Tag 0 means *untagged*: its translations are flushed at each activation. It serves machines without tags,
//! and the case that every tag is live on some CPU.
//!
//! Activation on the fast path takes no lock: it exchanges the CPU's live tag only if a roll-over has not taken
//! it away (set 0) meanwhile. A roll-over happens under the kernel's lock.

use alloc::vec;
use alloc::vec::Vec;

use crate::atomic::{AtomicBool, AtomicU64, Ordering, const_unless_modelled};

/// A tag and the generation of the allocator that gave it, in one word: generation in bits 16 to 63.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagWord(pub u64);

impl TagWord {
    /// Puts tag and generation together.
    pub const fn new(generation: u64, tag: u16) -> TagWord {
        TagWord(generation << 16 | tag as u64)
    }

    /// The hardware's part; 0 is untagged.
    #[inline(always)]
    pub const fn tag(self) -> u16 {
        self.0 as u16
    }

    /// The generation.
    #[inline(always)]
    pub const fn generation(self) -> u64 {
        self.0 >> 16
    }
}

/// What one CPU tells the allocator.
#[derive(Debug)]
pub struct TagLine {
    live: AtomicU64,
    flush_pending: AtomicBool,
}

impl TagLine {
    const_unless_modelled! {
        /// A CPU with no live tag.
        pub fn new() -> TagLine {
            TagLine { live: AtomicU64::new(0), flush_pending: AtomicBool::new(false) }
        }
    }

    /// The fast path's activation: makes the tag the CPU's live one, unless a roll-over has taken that away.
    #[inline(always)]
    pub fn try_activate(&self, tag: TagWord) -> bool {
        let live = self.live.load(Ordering::Relaxed);
        live != 0 && self.live.compare_exchange(live, tag.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Default for TagLine {
    fn default() -> TagLine {
        TagLine::new()
    }
}

/// What a space that is to be activated brings along.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The tag it had last.
    pub old: TagWord,
    /// Whether it is active on another CPU: if untagged there, it stays so until it is active nowhere, because
    /// one space must not be live under two tags.
    pub live_elsewhere: bool,
}

/// The tag allocator. Used under the kernel's lock.
#[derive(Debug)]
pub struct TagAllocator {
    bits: u32,
    /// A bit for each tag given out in this generation.
    used: Vec<u64>,
    next: usize,
    /// For each CPU, the tag that was live on it when this generation began, and stays with its owner.
    reserved: Vec<TagWord>,
}

impl TagAllocator {
    /// An allocator for tags of so many bits; 0 for none. `generation` is set to its first: 0 is that of
    /// untagged spaces.
    pub fn new(bits: u32, generation: &AtomicU64) -> TagAllocator {
        generation.store(u64::from(bits != 0), Ordering::Relaxed);
        let mut used = vec![0; (1_usize << bits).div_ceil(64)];
        used[0] = 1;
        TagAllocator { bits, used, next: 1, reserved: Vec::new() }
    }

    /// Bits in a tag.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Finds the tag under which a space is to be activated on this CPU, and makes it the CPU's
    /// live one. Gives the tag, and whether the CPU must flush everything first.
    pub fn activate<'a>(
        &mut self,
        generation: &AtomicU64,
        lines: impl Iterator<Item = &'a TagLine> + Clone,
        line: &TagLine,
        ask: Ask,
    ) -> (TagWord, bool) {
        if self.bits == 0 {
            return (TagWord::default(), false);
        }
        let now = generation.load(Ordering::Relaxed);
        let mut tag = ask.old;
        if tag.generation() != 0 && tag.tag() == 0 && ask.live_elsewhere {
            tag = TagWord::new(now, 0);
        } else if tag.generation() != now {
            tag = self.renew(generation, lines, ask.old);
        }
        // An untagged space is live under no tag; the word must not be 0, which means "taken away".
        let flush_all = line.flush_pending.swap(false, Ordering::Relaxed);
        line.live.store(tag.0, Ordering::Relaxed);
        (tag, flush_all)
    }

    fn renew<'a>(
        &mut self,
        generation: &AtomicU64,
        lines: impl Iterator<Item = &'a TagLine> + Clone,
        old: TagWord,
    ) -> TagWord {
        let now = generation.load(Ordering::Relaxed);
        if self.keep_reserved(old, now) {
            return TagWord::new(now, old.tag());
        }
        if let Some(tag) = self.take() {
            return TagWord::new(now, tag);
        }
        self.roll_over(generation, lines);
        let now = now + 1;
        if self.keep_reserved(old, now) {
            return TagWord::new(now, old.tag());
        }
        TagWord::new(now, self.take().unwrap_or(0))
    }

    /// Whether a tag of an old generation was live on a CPU when this one began: then it stays its owner's.
    fn keep_reserved(&mut self, old: TagWord, now: u64) -> bool {
        let mut kept = false;
        for reserved in self.reserved.iter_mut().filter(|reserved| old.tag() != 0 && **reserved == old) {
            *reserved = TagWord::new(now, old.tag());
            kept = true;
        }
        kept
    }

    fn take(&mut self) -> Option<u16> {
        while self.next < 1 << self.bits {
            let tag = self.next;
            self.next += 1;
            if self.used[tag / 64] & (1 << (tag % 64)) == 0 {
                self.used[tag / 64] |= 1 << (tag % 64);
                return Some(tag as u16);
            }
        }
        None
    }

    fn roll_over<'a>(&mut self, generation: &AtomicU64, lines: impl Iterator<Item = &'a TagLine>) {
        generation.fetch_add(1, Ordering::Relaxed);
        self.used.fill(0);
        self.used[0] = 1;
        self.next = 1;
        let before = core::mem::take(&mut self.reserved);
        for (number, line) in lines.enumerate() {
            let mut live = TagWord(line.live.swap(0, Ordering::Relaxed));
            if live.0 == 0 {
                // The CPU has not switched since the last roll-over: what it kept then is live still.
                live = before.get(number).copied().unwrap_or_default();
            }
            self.used[usize::from(live.tag()) / 64] |= 1 << (live.tag() % 64);
            self.reserved.push(live);
            line.flush_pending.store(true, Ordering::Relaxed);
        }
    }
}
