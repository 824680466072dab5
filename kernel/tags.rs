//! Tags: which hardware TLB tag a space has, and when everything must be flushed.
//!
//! Tags are given out until none is left; then a new *generation* begins: all tags are free again but those
//! that are live on a CPU, which keep their owners, and each CPU flushes everything before it activates
//! another tag. Running out therefore never fails, it costs. A space whose tag is of an old generation gets a
//! new one when it is next activated. (The scheme of Linux' arch/arm64/mm/context.c, described by Deacon.)
//!
//! Tag 0 means *untagged*: its translations are flushed at each activation. It serves machines without tags,
//! and the case that every tag is live on some CPU.

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use crate::shared::{Shared, SpaceWords, TagWord};

/// The tag allocator.
#[derive(Debug)]
pub struct TagAllocator {
    bits: u32,
    /// A bit for each tag given out in this generation.
    used: Vec<u64>,
    next: usize,
    /// The tags that were live when this generation began, and stay with their owners.
    reserved: Vec<TagWord>,
}

/// What activating a space takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activation {
    /// The tag to activate.
    pub tag: TagWord,
    /// Whether translations under it may be kept.
    pub keep: bool,
    /// Whether everything must be flushed first.
    pub flush_all: bool,
}

impl TagAllocator {
    /// An allocator for tags of so many bits; 0 for none. Generation 0 is that of untagged spaces.
    pub fn new(bits: u32, shared: &Shared) -> TagAllocator {
        let generation = u64::from(bits != 0);
        shared.tag_generation.store(generation, Relaxed);
        let words = (1_usize << bits).div_ceil(64);
        let mut used = vec![0; words];
        used[0] = 1;
        TagAllocator { bits, used, next: 1, reserved: Vec::new() }
    }

    /// Bits in a tag.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Finds out what activating the space on this CPU takes, and notes its tag as the CPU's.
    pub fn activate(&mut self, shared: &Shared, cpu: usize, words: &SpaceWords) -> Activation {
        let line = &shared.cpus[cpu];
        if self.bits == 0 {
            return Activation { tag: TagWord::default(), keep: false, flush_all: false };
        }
        let mut tag = words.tag();
        if tag.generation() != shared.tag_generation.load(Relaxed) {
            tag = self.renew(shared, cpu, tag);
            words.set_tag(tag);
        }
        let flush_all = line.flush_pending.swap(false, Relaxed);
        let keep = tag.tag() != 0 && !line.is_stale(tag.tag());
        line.clear_stale(tag.tag());
        line.active_tag.store(tag.0, Relaxed);
        Activation { tag, keep, flush_all }
    }

    fn renew(&mut self, shared: &Shared, cpu: usize, old: TagWord) -> TagWord {
        let generation = || shared.tag_generation.load(Relaxed);
        if self.keep_reserved(old, generation()) {
            return TagWord::new(generation(), old.tag());
        }
        if let Some(tag) = self.take() {
            return TagWord::new(generation(), tag);
        }
        self.roll_over(shared, cpu);
        // A tag that is live on some CPU stays with its owner, which may be the space that asks.
        if self.keep_reserved(old, generation()) {
            return TagWord::new(generation(), old.tag());
        }
        TagWord::new(generation(), self.take().unwrap_or(0))
    }

    fn keep_reserved(&mut self, old: TagWord, generation: u64) -> bool {
        let Some(reserved) = self.reserved.iter_mut().find(|reserved| **reserved == old) else { return false };
        if old.tag() == 0 {
            return false;
        }
        *reserved = TagWord::new(generation, old.tag());
        true
    }

    fn take(&mut self) -> Option<u16> {
        let count = 1_usize << self.bits;
        while self.next < count {
            let tag = self.next;
            self.next += 1;
            if self.used[tag / 64] & (1 << (tag % 64)) == 0 {
                self.used[tag / 64] |= 1 << (tag % 64);
                return Some(tag as u16);
            }
        }
        None
    }

    fn roll_over(&mut self, shared: &Shared, cpu: usize) {
        shared.cpus[cpu].counters.tag_rollovers.add(1);
        shared.tag_generation.fetch_add(1, Relaxed);
        self.used.fill(0);
        self.used[0] = 1;
        self.next = 1;
        let before = core::mem::take(&mut self.reserved);
        for (number, line) in shared.cpus.iter().enumerate() {
            let mut live = TagWord(line.active_tag.swap(0, Relaxed));
            if live.0 == 0 {
                // The CPU has not switched since the last roll-over: what it kept then is live still.
                live = before.get(number).copied().unwrap_or_default();
            }
            self.used[usize::from(live.tag()) / 64] |= 1 << (live.tag() % 64);
            self.reserved.push(live);
            line.flush_pending.store(true, Relaxed);
        }
    }
}
