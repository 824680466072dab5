//! Tags: which hardware TLB tag a space has, and when everything must be flushed.
//!
//! Tags are given out until none is left; then a new *generation* begins: all tags are free again but those
//! that are live on a CPU, which stay with their owners, and each CPU flushes everything before it enters another
//! space. Running out therefore never fails, it costs. A space whose tag is of an old generation gets a new one
//! when it is next entered the long way. (The scheme of Linux' arm64 ASID allocator.)
//!
//! Before that the old generation is *closed*: no pass may be good any more. With many spaces this takes several steps, one
//! at each entry by the long way, which each entry is meanwhile.
//!
//! Tag 0 means *untagged*: its translations are flushed at each entry. It serves machines without tags, and the
//! case that every tag is live on some CPU.
//!
//! All of this happens under the kernel's lock. The fast path asks no allocator: it needs a good pass
//! (`handshake::Pass`), and a new generation begins when there is none.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use crate::base::cpu_set::{self, CpuSet};
use crate::base::mutants::{Mutant, is_seeded};

/// A tag and the generation of the allocator that gave it, in one word: generation in bits 16 to 63. A new generation
/// takes away every pass and flushes every CPU, so at one in ten microseconds, which only `tags=2` comes near to, 48 bits
/// last for ninety years.
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
    pub const fn generation(self) -> u64 {
        self.0 >> 16
    }
}

/// The tag allocator.
#[derive(Clone, Debug)]
pub struct TagAllocator {
    bits: u32,
    generation: u64,
    /// A bit for each tag given out in this generation.
    used: Vec<u64>,
    next: usize,
    /// The tags that were live when this generation began, and stay with their owners.
    reserved: Vec<TagWord>,
    /// CPUs that have yet to flush for this generation.
    flush_pending: CpuSet,
    /// While this generation is being closed, the number of the first space whose passes are not stale yet.
    closing: Option<u32>,
    /// A bit for each tag that the checks have seen.
    seen: Vec<Cell<u64>>,
}

impl TagAllocator {
    /// An allocator for tags of so many bits, 0 for none, on a machine with so many CPUs. Generations count from 1.
    pub fn new(bits: u32, cpus: usize) -> TagAllocator {
        let mut used = vec![0; TagAllocator::words(bits)];
        used[0] = 1;
        let seen = vec![Cell::new(0); used.len()];
        // A CPU may be in two spaces: the one it is in, and the one it may enter.
        let reserved = Vec::with_capacity(2 * cpus);
        TagAllocator { bits, generation: 1, used, next: 1, reserved, flush_pending: 0, closing: None, seen }
    }

    /// Words of a map with a bit for each tag.
    pub const fn words(bits: u32) -> usize {
        (1_usize << bits).div_ceil(64)
    }

    /// Bits in a tag.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The generation now.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The tag under which a space that had `old` is to be entered, if there is one without a new generation.
    ///
    /// `live_elsewhere`: the space is active on another CPU. If it is untagged there, it stays so until it is active
    /// nowhere: one space must not be live under two tags.
    pub fn renew(&mut self, old: TagWord, live_elsewhere: bool) -> Option<TagWord> {
        let now = self.generation;
        if self.bits == 0 || (old.generation() != 0 && old.tag() == 0 && live_elsewhere) {
            return Some(TagWord::new(now, 0));
        }
        if old.generation() == now && old.tag() != 0 || self.keep_reserved(old) {
            return Some(TagWord::new(now, old.tag()));
        }
        self.take().map(|tag| TagWord::new(now, tag))
    }

    /// Whether this generation is being closed: passes are turned stale, space by space, and none is made good. Who would need
    /// a new tag meanwhile is untagged.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// The number of the first space whose passes are to be turned stale next.
    pub fn closed_to(&self) -> u32 {
        self.closing.unwrap_or(0)
    }

    /// Notes how far closing has come.
    pub fn note_closed(&mut self, next_space: u32) {
        self.closing = Some(next_space);
    }

    /// Begins a new generation in which these tags stay with their owners; then finds a tag as `renew` does, or
    /// none (0) if every one is live.
    pub fn roll_over(
        &mut self,
        live: impl Iterator<Item = TagWord>,
        (old, live_elsewhere): (TagWord, bool),
    ) -> TagWord {
        self.generation += 1;
        self.closing = None;
        self.used.fill(0);
        self.used[0] = 1;
        self.next = 1;
        self.reserved.clear();
        for tag in live.filter(|tag| tag.tag() != 0 && !is_seeded(Mutant::LiveTagNotReserved)) {
            self.used[usize::from(tag.tag()) / 64] |= 1 << (tag.tag() % 64);
            self.reserved.push(tag);
        }
        self.flush_pending = if is_seeded(Mutant::NoFlushAtRollOver) { 0 } else { cpu_set::ALL };
        self.renew(old, live_elsewhere).unwrap_or(TagWord::new(self.generation, 0))
    }

    /// Whether a CPU has to flush everything before it enters another space; it does so now.
    pub fn take_flush_pending(&mut self, cpu: usize) -> bool {
        let pending = self.flush_pending & (1 << cpu) != 0;
        self.flush_pending &= !(1 << cpu);
        pending
    }

    /// Whether a tag of an old generation was live on a CPU when this one began: then it stays its owner's.
    fn keep_reserved(&mut self, old: TagWord) -> bool {
        let now = self.generation;
        let mut kept = false;
        for reserved in self.reserved.iter_mut().filter(|reserved| old.tag() != 0 && **reserved == old) {
            *reserved = TagWord::new(now, old.tag());
            kept = true;
        }
        kept
    }

    /// Whether a tag's number is given out in this generation, or stayed with its owner: no other space gets it. So with
    /// none (0).
    pub fn is_taken(&self, tag: TagWord) -> bool {
        self.used[usize::from(tag.tag()) / 64] & (1 << (tag.tag() % 64)) != 0
    }

    /// Begins a check of the tags of all spaces: none was seen yet.
    pub fn begin_check(&self) {
        self.seen.iter().for_each(|word| word.set(0));
    }

    /// Checks the tag of a space; `is_whole` says whether those of all others before have stayed what they were since. Gives
    /// how many facts held.
    ///
    /// # Panics
    /// If two spaces have one tag in this generation, or a tag was never given out.
    pub fn check(&self, tag: TagWord, is_whole: bool) -> u64 {
        assert!(tag.generation() <= self.generation, "no tag is of a generation to come");
        if tag.tag() == 0 || tag.generation() != self.generation {
            return 1;
        }
        let (word, bit) = (&self.seen[usize::from(tag.tag()) / 64], 1 << (tag.tag() % 64));
        assert!(self.is_taken(tag), "a space's tag was given out");
        assert!(!is_whole || word.get() & bit == 0, "no two spaces have one tag");
        word.set(word.get() | bit);
        2 + u64::from(is_whole)
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
}
