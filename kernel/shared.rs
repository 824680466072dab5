//! What CPUs read of each other without the kernel's lock.
//!
//! A line per CPU, and for each space the few words that a switch needs. All of it lives for ever and is
//! reused, never freed, so the fast path can hold plain references.

use alloc::boxed::Box;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

use spin::Once;
use tessera_abi::Handle;
use tessera_arch::{CPUS_MAX, Frame};

use crate::counters::CounterBlock;
use crate::fast::SlotsPointer;
use crate::handshake::{NO_SPACE, Presence, STALE_WORDS};
use crate::store::OBJECTS_MAX;
use crate::tags::{TagLine, TagWord};

const CHUNK: usize = 64;

/// Any CPU may enter the space.
const ANY_CPU: u32 = u32::MAX;

/// The words of a space that a switch needs.
#[derive(Debug)]
pub struct SpaceWords {
    /// Frame number of the root table, for each CPU: they differ if the space has core windows.
    roots: [AtomicU64; CPUS_MAX],
    tag: AtomicU64,
    /// CPUs that may hold translations under the tag, a bit each. Set before a CPU's first activation, so the
    /// fast path only reads it, and a space that is local to one CPU never gets another's bit.
    holders: AtomicU32,
    only_cpu: AtomicU32,
}

impl SpaceWords {
    const fn new() -> SpaceWords {
        SpaceWords {
            roots: [const { AtomicU64::new(0) }; CPUS_MAX],
            tag: AtomicU64::new(0),
            holders: AtomicU32::new(0),
            only_cpu: AtomicU32::new(ANY_CPU),
        }
    }

    /// Sets them for a new space, local to one CPU or not.
    pub fn initialise(&self, root: Frame, only_cpu: Option<usize>) {
        self.set_tag(TagWord::default());
        self.only_cpu.store(only_cpu.map_or(ANY_CPU, |cpu| cpu as u32), Relaxed);
        self.roots.iter().for_each(|word| word.store(root.number(), Relaxed));
    }

    /// The root table on a CPU.
    #[inline(always)]
    pub fn root(&self, cpu: usize) -> Frame {
        Frame::new(self.roots[cpu].load(Relaxed))
    }

    /// Gives a CPU a root table of its own.
    pub fn set_root(&self, cpu: usize, root: Frame) {
        self.roots[cpu].store(root.number(), Relaxed);
    }

    /// The tag with its generation.
    #[inline(always)]
    pub fn tag(&self) -> TagWord {
        TagWord(self.tag.load(Relaxed))
    }

    /// Gives the space a tag, under which no CPU holds anything yet.
    pub fn set_tag(&self, tag: TagWord) {
        self.holders.store(0, Relaxed);
        self.tag.store(tag.0, Relaxed);
    }

    /// Whether a CPU may hold translations under the tag.
    #[inline(always)]
    pub fn is_held_by(&self, cpu: usize) -> bool {
        self.holders.load(Relaxed) & (1 << cpu) != 0
    }

    /// All CPUs that may hold translations under the tag, a bit each.
    pub fn holders(&self) -> u32 {
        self.holders.load(Relaxed)
    }

    /// Notes that a CPU may hold translations from now on.
    pub fn add_holder(&self, cpu: usize) {
        self.holders.fetch_or(1 << cpu, Relaxed);
    }

    /// The CPU the space is local to, if it is.
    pub fn only_cpu(&self) -> Option<usize> {
        let cpu = self.only_cpu.load(Relaxed);
        (cpu != ANY_CPU).then_some(cpu as usize)
    }
}

/// What one CPU publishes and counts.
#[repr(align(128))]
#[derive(Debug)]
pub struct CpuLine {
    /// Which CPU this is.
    pub index: usize,
    /// The space it is in, and what others ask of it.
    pub presence: Presence<STALE_WORDS>,
    /// Frame number of the root that is loaded.
    pub root: AtomicU64,
    /// The handle by which the current thread entered the space.
    pub entered_by: AtomicU64,
    /// What it tells the tag allocator.
    pub tag: TagLine,
    /// The hot slots of the current thread's capability table.
    pub slots: SlotsPointer,
    /// What happened on this CPU.
    pub counters: CounterBlock,
    /// The space it was in when it was last parked.
    pub parked_space: AtomicU32,
}

impl CpuLine {
    const fn new(index: usize) -> CpuLine {
        CpuLine {
            index,
            presence: Presence::new([const { AtomicU64::new(0) }; STALE_WORDS]),
            root: AtomicU64::new(0),
            entered_by: AtomicU64::new(Handle::NONE.bits()),
            tag: TagLine::new(),
            slots: SlotsPointer::none(),
            counters: CounterBlock::new(),
            parked_space: AtomicU32::new(NO_SPACE),
        }
    }
}

/// All of it.
pub struct Shared {
    /// A line for each CPU.
    pub cpus: [CpuLine; CPUS_MAX],
    /// The tag allocator's generation.
    pub tag_generation: AtomicU64,
    /// Frame number of a root table without user mappings, for CPUs that are in no space.
    pub empty_root: AtomicU64,
    spaces: [Once<Box<[SpaceWords; CHUNK]>>; OBJECTS_MAX / CHUNK],
}

impl Shared {
    /// Fresh lines; meant for a static, or to be leaked by a test.
    #[expect(clippy::new_without_default, reason = "a default is no constant, which the static needs")]
    pub const fn new() -> Shared {
        let mut cpus = [const { CpuLine::new(0) }; CPUS_MAX];
        let mut index = 0;
        while index < CPUS_MAX {
            cpus[index].index = index;
            index += 1;
        }
        Shared {
            cpus,
            tag_generation: AtomicU64::new(0),
            empty_root: AtomicU64::new(0),
            spaces: [const { Once::new() }; OBJECTS_MAX / CHUNK],
        }
    }

    /// The words of the space with this number; made when first asked for, under the kernel's lock.
    pub fn space_words(&self, index: u32) -> &SpaceWords {
        let chunk = self.spaces[index as usize / CHUNK].call_once(|| Box::new([const { SpaceWords::new() }; CHUNK]));
        &chunk[index as usize % CHUNK]
    }

    /// The words of a space that exists: no allocation.
    #[inline(always)]
    pub fn existing_space(&self, index: u32) -> Option<&SpaceWords> {
        let chunk = self.spaces.get(index as usize / CHUNK)?.get()?;
        Some(&chunk[index as usize % CHUNK])
    }

    /// What the tag allocator hears from all CPUs.
    pub fn tag_lines(&self) -> impl Iterator<Item = &TagLine> + Clone {
        self.cpus.iter().map(|line| &line.tag)
    }

    /// Makes the calling CPU leave its space for the empty root.
    pub fn leave_space(&self, line: &CpuLine) {
        let root = Frame::new(self.empty_root.load(Relaxed));
        tessera_arch::activate(root, 0, false);
        line.root.store(root.number(), Relaxed);
        line.presence.stay(NO_SPACE);
    }
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("Shared")
    }
}
