//! Flushes: the duty to invalidate that changing a live translation leaves behind.
//!
//! A [`Flush`] holds what one call changed and the tables it took out, and is discharged once by
//! [`Kernel::discharge`]: invalidate on exactly the CPUs that may hold a translation, wait for those that had
//! to be interrupted, then free. Whoever drops it otherwise gets a compiler warning.
//!
//! Who may hold one: a CPU that is *in* a space that sees the change (it is interrupted), and a CPU that was in
//! it under its present tag (the tag is marked stale there: no interrupt). Where the hardware broadcasts
//! invalidation, nobody is interrupted or marked.

use tessera_abi::PAGE_BYTES;
use tessera_arch::{Interrupt, VirtAddr};

use crate::address_map::PageRange;
use crate::address_space::MapOwner;
use crate::handshake::Request;
use crate::kernel::Kernel;
use crate::mem::FrameList;
use crate::mutants::{Mutant, is_seeded};
use crate::shared::{CpuLine, Shared, SpaceWords};
use crate::subtree::Sharer;

/// More pages than this, and the whole tag is flushed instead of page after page.
pub const PAGES_MAX: u64 = 32;

/// What must be invalidated before the call returns.
#[derive(Debug)]
#[must_use = "stale translations stay behind unless the flush is discharged"]
pub struct Flush {
    /// Whose map changed.
    pub owner: MapOwner,
    /// The pages that changed.
    pub range: PageRange,
    /// Tables that were taken out, to be freed after the invalidation.
    pub freed_tables: FrameList,
}

/// A space that sees a change, and where.
#[derive(Clone, Copy, Debug)]
struct Seen {
    space: u32,
    range: PageRange,
    /// The one CPU on which it is seen, for core windows and CPU-local spaces.
    only_cpu: Option<usize>,
}

impl Kernel {
    /// Invalidates what changed wherever it may be held, then frees the tables.
    pub fn discharge(&mut self, mut flush: Flush) {
        tessera_arch::publish_tables();
        if is_seeded(Mutant::FreedBeforeFlush) {
            self.frames.free_list(core::mem::take(&mut flush.freed_tables));
        }
        if !(is_seeded(Mutant::TablesFreedUnflushed) && flush.freed_tables.count() != 0) {
            self.invalidate(flush.owner, flush.range);
        }
        self.frames.free_list(flush.freed_tables);
    }

    /// Invalidates pages of an owner wherever a translation may be held.
    pub fn invalidate(&self, owner: MapOwner, range: PageRange) {
        let cpu = tessera_arch::cpu_index();
        let mut interrupted = 0;
        match owner {
            MapOwner::Space(id) => {
                let only_cpu = self.shared.space_words(id.index()).only_cpu();
                interrupted |= self.invalidate_seen(cpu, &Seen { space: id.index(), range, only_cpu });
            }
            MapOwner::Subtree(id) => {
                let sharers = self.subtrees[id].sharers.iter().skip(usize::from(is_seeded(Mutant::SharerForgotten)));
                let mut all_seen = sharers.map(|sharer| self.seen_by(sharer, range)).peekable();
                while let Some(mut seen) = all_seen.next() {
                    // One request for each space, however often it sees the change: see `Presence::invalidate`.
                    while let Some(next) = all_seen.next_if(|next| next.space == seen.space) {
                        seen.range.count = next.range.end() - seen.range.first;
                    }
                    interrupted |= self.invalidate_seen(cpu, &seen);
                }
            }
        }
        self.await_acknowledgements(interrupted);
    }

    fn seen_by(&self, sharer: &Sharer, range: PageRange) -> Seen {
        let base = sharer.slot as u64 * crate::space::SLOT_PAGES;
        let only_cpu = sharer.cpu.or(self.shared.space_words(sharer.space.index()).only_cpu());
        let only_cpu = match sharer.cpu {
            Some(cpu) if is_seeded(Mutant::WindowFlushedElsewhere) => Some((cpu + 1) % self.cpus()),
            _ => only_cpu,
        };
        Seen { space: sharer.space.index(), range: PageRange { first: base + range.first, ..range }, only_cpu }
    }

    /// Sees to one space; gives the CPUs that were interrupted, a bit each.
    fn invalidate_seen(&self, cpu: usize, seen: &Seen) -> u32 {
        let words = self.shared.space_words(seen.space);
        if tessera_arch::broadcasts_invalidation() {
            self.broadcast(cpu, words, seen);
            return 0;
        }
        let mut interrupted = 0;
        let cpus = self.cpus() - usize::from(is_seeded(Mutant::LastCpuForgotten));
        for line in self.shared.cpus.iter().take(cpus) {
            if seen.only_cpu.is_some_and(|only| only != line.index) {
                continue;
            }
            if line.index == cpu && line.presence.space() == seen.space {
                flush_here(line, words.tag().tag(), seen.range);
            } else if self.must_interrupt(line, words, seen.space) {
                self.interrupt_for(line, seen, words);
                interrupted |= 1 << line.index;
            }
        }
        interrupted
    }

    /// Turns a CPU's pass stale where it may hold translations; gives whether it is in the space right now. A tag of
    /// 0 needs no mark: what is untagged is flushed at each entry.
    fn must_interrupt(&self, line: &CpuLine, words: &SpaceWords, space: u32) -> bool {
        let is_tagged = words.tag().tag() != 0 && !is_seeded(Mutant::StaleMarkForgotten);
        let found = line.presence.find(space, words.pass(line.index), is_tagged);
        line.counters.stale_marks.add(u64::from(found.was_good && !found.is_in));
        found.is_in && !is_seeded(Mutant::MissingInterrupt)
    }

    fn interrupt_for(&self, line: &CpuLine, seen: &Seen, words: &SpaceWords) {
        let request = Request::Pages {
            space: seen.space,
            tag: words.tag().tag(),
            first: seen.range.first,
            count: seen.range.count,
        };
        self.ask(line, request);
    }

    /// Posts a request to another CPU and interrupts it. Requests before it have been acknowledged.
    pub fn ask(&self, line: &CpuLine, request: Request) {
        while !line.presence.is_acknowledged() {
            core::hint::spin_loop();
        }
        line.presence.post(request);
        self.shared.cpus[tessera_arch::cpu_index()].counters.shootdowns_sent.add(1);
        tessera_arch::send_interrupt(line.index, Interrupt::Shootdown);
    }

    /// Waits until all these CPUs (a bit each) have done what was asked of them.
    pub fn await_acknowledgements(&self, cpus: u32) {
        for line in self.shared.cpus.iter().filter(|line| cpus & (1 << line.index) != 0) {
            while !line.presence.is_acknowledged() {
                core::hint::spin_loop();
            }
        }
    }

    /// Where the hardware reaches every CPU by itself. A space that was never activated under a tag of this
    /// generation has nothing anywhere that will be used again.
    fn broadcast(&self, cpu: usize, words: &SpaceWords, seen: &Seen) {
        let tag = words.tag().tag();
        let line = &self.shared.cpus[cpu];
        if words.tag().generation() == 0 {
            return;
        }
        let local = seen.only_cpu == Some(cpu);
        if seen.range.count > PAGES_MAX {
            line.counters.range_flushes.add(1);
            let flush = if local { tessera_arch::invalidate_tag_local } else { tessera_arch::invalidate_tag };
            return flush(tag, true);
        }
        line.counters.page_flushes.add(seen.range.count);
        let flush = if local { tessera_arch::invalidate_page_local } else { tessera_arch::invalidate_page };
        for page in seen.range.first..seen.range.end() {
            flush(VirtAddr::new(page * PAGE_BYTES), tag, true);
        }
    }
}

/// Drops pages of the space that this CPU is in.
fn flush_here(line: &CpuLine, tag: u16, mut range: PageRange) {
    range.count -= u64::from(is_seeded(Mutant::RangeOnePageShort));
    if range.count > PAGES_MAX && is_seeded(Mutant::LongRangeDropped) {
        return;
    }
    if range.count > PAGES_MAX {
        line.counters.range_flushes.add(1);
        return tessera_arch::invalidate_tag_local(tag, true);
    }
    line.counters.page_flushes.add(range.count);
    for page in range.first..range.end() {
        tessera_arch::invalidate_page_local(VirtAddr::new(page * PAGE_BYTES), tag, true);
    }
}

/// Does what another CPU has asked of this one, if anything. `parked` is called after the thread was let go.
///
/// Called without the kernel's lock: on a shootdown interrupt, and again and again while waiting for the lock.
pub fn serve(shared: &Shared, line: &CpuLine, mut parked: impl FnMut()) -> bool {
    line.presence.serve(|request| match request {
        Request::Pages { space, tag, first, count } => {
            let way = shared.space_words(space).pass(line.index);
            let flush = || flush_here(line, tag, PageRange { first, count });
            if !line.presence.invalidate(space, way, flush) {
                line.counters.shootdowns_spurious.add(1);
            }
        }
        Request::Park => {
            line.parked_space.store(line.presence.space(), core::sync::atomic::Ordering::Relaxed);
            line.slots.set_slots(&[]);
            parked();
            if !is_seeded(Mutant::ParkedStays) {
                shared.leave_space(line);
            }
        }
    })
}
