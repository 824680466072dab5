//! What CPUs read of each other without the kernel's lock.
//!
//! A line per CPU, written by that CPU alone (but for stale marks and the tag allocator's roll-over), and
//! for each space the few words that a switch needs. All of it lives for ever and is reused, never freed, so
//! the fast path can hold plain references.

use alloc::boxed::Box;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use spin::Once;
use tessera_abi::Handle;
use tessera_arch::{CPUS_MAX, Frame};

use crate::counters::CounterBlock;
use crate::fast::SlotsPointer;
use crate::store::OBJECTS_MAX;

/// No space: the CPU is in the kernel's empty root.
pub const NO_SPACE: u32 = u32::MAX;

const CHUNK: usize = 64;

/// The words of a space that a switch needs.
#[derive(Debug, Default)]
pub struct SpaceWords {
    root: AtomicU64,
    tag: AtomicU64,
}

impl SpaceWords {
    /// Sets them for a new space.
    pub fn initialise(&self, root: Frame) {
        self.root.store(root.number(), Relaxed);
        self.tag.store(0, Relaxed);
    }

    /// The root table.
    #[inline(always)]
    pub fn root(&self) -> Frame {
        Frame::new(self.root.load(Relaxed))
    }

    /// The tag with its generation.
    #[inline(always)]
    pub fn tag(&self) -> TagWord {
        TagWord(self.tag.load(Relaxed))
    }

    /// Gives the space a tag.
    pub fn set_tag(&self, tag: TagWord) {
        self.tag.store(tag.0, Relaxed);
    }
}

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

/// What one CPU publishes and counts.
#[repr(align(128))]
#[derive(Debug)]
pub struct CpuLine {
    /// Number of the space whose root is loaded, or [`NO_SPACE`].
    pub space: AtomicU32,
    /// Frame number of that root.
    pub root: AtomicU64,
    /// The handle by which the current thread entered it.
    pub entered_by: AtomicU64,
    /// The tag loaded with it.
    pub active_tag: AtomicU64,
    /// Set at a roll-over: flush everything before activating any tag again.
    pub flush_pending: AtomicBool,
    /// The hot slots of the current thread's capability table.
    pub slots: SlotsPointer,
    /// What happened on this CPU.
    pub counters: CounterBlock,
    /// Tags whose translations on this CPU are stale, a bit for each of 16-bit tags.
    stale: [AtomicU64; STALE_WORDS],
}

const STALE_WORDS: usize = (1 << 16) / 64;

impl CpuLine {
    const fn new() -> CpuLine {
        CpuLine {
            space: AtomicU32::new(NO_SPACE),
            root: AtomicU64::new(0),
            entered_by: AtomicU64::new(Handle::NONE.bits()),
            active_tag: AtomicU64::new(0),
            flush_pending: AtomicBool::new(false),
            slots: SlotsPointer::none(),
            counters: CounterBlock::new(),
            stale: [const { AtomicU64::new(0) }; STALE_WORDS],
        }
    }

    /// Whether translations under a tag are stale here.
    #[inline(always)]
    pub fn is_stale(&self, tag: u16) -> bool {
        self.stale[usize::from(tag / 64)].load(Relaxed) & (1 << (tag % 64)) != 0
    }

    /// Marks a tag's translations stale: this CPU flushes the tag before it uses it again.
    pub fn mark_stale(&self, tag: u16) {
        self.stale[usize::from(tag / 64)].fetch_or(1 << (tag % 64), Relaxed);
        self.counters.stale_marks.add(1);
    }

    /// Takes the mark away, after the flush or because the tag has a new owner that starts with one.
    pub fn clear_stale(&self, tag: u16) {
        self.stale[usize::from(tag / 64)].fetch_and(!(1 << (tag % 64)), Relaxed);
    }
}

/// All of it.
pub struct Shared {
    /// A line for each CPU.
    pub cpus: [CpuLine; CPUS_MAX],
    /// The tag allocator's generation.
    pub tag_generation: AtomicU64,
    spaces: [Once<Box<[SpaceWords; CHUNK]>>; OBJECTS_MAX / CHUNK],
}

impl Shared {
    /// Fresh lines; meant for a static, or to be leaked by a test.
    #[expect(clippy::new_without_default, reason = "a default is no constant, which the static needs")]
    pub const fn new() -> Shared {
        Shared {
            cpus: [const { CpuLine::new() }; CPUS_MAX],
            tag_generation: AtomicU64::new(0),
            spaces: [const { Once::new() }; OBJECTS_MAX / CHUNK],
        }
    }

    /// The words of the space with this number; made when first asked for, under the kernel's lock.
    pub fn space_words(&self, index: u32) -> &SpaceWords {
        let chunk = self.spaces[index as usize / CHUNK]
            .call_once(|| Box::new(core::array::from_fn(|_| SpaceWords::default())));
        &chunk[index as usize % CHUNK]
    }

    /// The words of a space that exists: no allocation.
    #[inline(always)]
    pub fn existing_space(&self, index: u32) -> Option<&SpaceWords> {
        let chunk = self.spaces.get(index as usize / CHUNK)?.get()?;
        Some(&chunk[index as usize % CHUNK])
    }
}
