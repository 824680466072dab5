//! The heap on a ground of the test's own: what is handed out, what is refused, and what is left when a thread is
//! stopped before any one step.

use super::{Blocks, CHUNK_BYTES, Class, Denied, Ground, UNIT_BYTES, When};
use crate::atomic::AtomicU32;
use crate::steps::{pause_after, step, stops_before};
use core::alloc::Layout;
use std::collections::BTreeMap;
use std::sync::Mutex;

const CHUNKS: u64 = 64;

/// So many bytes are more than all that the heap can use.
const PLENTY: u64 = CHUNKS * CHUNK_BYTES * 2;

/// Memory that is made and taken away, of a budget.
struct Field {
    words: Vec<AtomicU32>,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    /// Lengths by place.
    ranges: BTreeMap<u64, u64>,
    budget_bytes: u64,
}

impl Made {
    fn holds(&self, at: u64, length_bytes: u64) -> bool {
        let before = self.ranges.range(..=at).next_back();
        before.is_some_and(|(start, length)| at + length_bytes <= start + length)
    }

    fn meets(&self, at: u64, length_bytes: u64) -> bool {
        let before = self.ranges.range(..at + length_bytes).next_back();
        before.is_some_and(|(start, length)| start + length > at)
    }
}

impl Field {
    fn made(&self) -> std::sync::MutexGuard<'_, Made> {
        self.made.lock().expect("no test thread panics in here")
    }

    fn set_budget(&self, bytes: u64) {
        self.made().budget_bytes = bytes;
    }
}

impl Ground for Field {
    fn link(&self, at: u64) -> &AtomicU32 {
        assert!(self.made().holds(at, 4), "there is no memory at {at:#x}");
        &self.words[(at / 4) as usize]
    }

    fn make(&self, at: u64, length_bytes: u64, _: When) -> Result<(), Denied> {
        step();
        let mut made = self.made();
        if made.meets(at, length_bytes) {
            return Err(Denied::Taken);
        }
        made.budget_bytes = made.budget_bytes.checked_sub(length_bytes).ok_or(Denied::Refused)?;
        made.ranges.insert(at, length_bytes);
        drop(made);
        step();
        Ok(())
    }

    fn take_away(&self, at: u64, length_bytes: u64) -> bool {
        step();
        let mut made = self.made();
        assert_eq!(made.ranges.remove(&at), Some(length_bytes), "what is taken away was made");
        made.budget_bytes += length_bytes;
        drop(made);
        step();
        true
    }
}

fn heap_of(chunks: u64) -> Blocks<Field> {
    let words = (0..chunks * CHUNK_BYTES / 4).map(|_| AtomicU32::new(0)).collect();
    let field = Field { words, made: Mutex::default() };
    field.set_budget(PLENTY);
    Blocks::new(field, chunks)
}

fn heap() -> Blocks<Field> {
    heap_of(CHUNKS)
}

fn layout(size: u64, align: u64) -> Layout {
    Layout::from_size_align(size as usize, align as usize).expect("a power of two")
}

/// Blocks that somebody has, none of which may meet another.
#[derive(Default)]
struct Held(Mutex<BTreeMap<u64, Layout>>);

impl Held {
    fn add(&self, heap: &Blocks<Field>, at: u64, layout: Layout) {
        let (bytes, align) = (layout.size() as u64, layout.align() as u64);
        assert!(at.is_multiple_of(align), "{at:#x} is no multiple of {align}");
        assert!(heap.ground.made().holds(at, bytes), "there is no memory for {bytes} bytes at {at:#x}");
        let mut held = self.0.lock().expect("nobody panics but to fail");
        let before = held.range(..at + bytes).next_back();
        let met = before.filter(|(start, other)| *start + other.size() as u64 > at);
        assert_eq!(met, None, "{bytes} bytes at {at:#x} belong to somebody");
        held.insert(at, layout);
    }

    fn take(&self, heap: &Blocks<Field>, layout: Layout) -> Option<u64> {
        let at = heap.take(layout)?;
        self.add(heap, at, layout);
        Some(at)
    }

    fn give_back(&self, heap: &Blocks<Field>, at: u64) {
        let layout = self.0.lock().expect("nobody panics but to fail").remove(&at).expect("it is held");
        heap.give_back(at, layout);
    }

    fn give_all_back(&self, heap: &Blocks<Field>) {
        while let Some((at, layout)) = { self.0.lock().expect("nobody panics but to fail").pop_first() } {
            heap.give_back(at, layout);
        }
    }

    fn any(&self, random: &mut Random) -> Option<u64> {
        let held = self.0.lock().expect("nobody panics but to fail");
        held.keys().nth(random.below(held.len().max(1) as u64) as usize).copied()
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Sizes of all classes up to four chunks, small ones more often.
    fn layout(&mut self) -> Layout {
        let exponent = self.below(19).min(self.below(19));
        layout(1 + self.below(1 << exponent), 1 << self.below(exponent.min(17) + 1))
    }
}

/// What `works` finds in a whole heap: all but links and chunks that it cut, two of them into blocks of 32 KiB.
const ALL: u64 = CHUNKS - 1 - 13;

/// Takes blocks of every size, gives all back, and takes them again: as much as was there, and nothing twice. `held`
/// are blocks that stay taken. Gives how many blocks of one chunk there were.
fn works(heap: &Blocks<Field>, held: &Held) -> u64 {
    for size in 4..16 {
        let layout = layout(1 << size, 1 << size);
        let taken = [(); 3].map(|()| held.take(heap, layout).expect("there is room"));
        taken.into_iter().for_each(|at| held.give_back(heap, at));
    }
    let chunk = layout(CHUNK_BYTES, CHUNK_BYTES);
    let all = || std::iter::from_fn(|| held.take(heap, chunk)).collect::<Vec<u64>>();
    let first = all();
    first.iter().for_each(|at| held.give_back(heap, *at));
    let second = all();
    second.iter().for_each(|at| held.give_back(heap, *at));
    assert_eq!(first.len(), second.len(), "what is given back can be taken again");
    first.len() as u64
}

#[test]
fn a_block_is_less_than_twice_as_long_as_asked_for() {
    for bytes in (1..70_000).chain([(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 1 << 36]) {
        let block_bytes = match Class::of(layout(bytes, 1)).expect("not too long") {
            Class::Small(size) => UNIT_BYTES << size,
            Class::Large { order, length_bytes } => {
                assert!(length_bytes >= bytes && length_bytes - bytes < CHUNK_BYTES);
                CHUNK_BYTES << order
            }
        };
        assert!(block_bytes >= bytes && (block_bytes < 2 * bytes || block_bytes == UNIT_BYTES), "{bytes}");
    }
    assert_eq!(Class::of(layout((1 << 36) + 1, 1)), None);
    assert_eq!(Class::of(layout(isize::MAX as u64, 1)), None);
    assert_eq!(Class::of(layout(1, 1 << 40)), None);
}

#[test]
fn blocks_are_apart_and_aligned_and_come_again() {
    let (heap, held, mut random) = (heap(), Held::default(), Random(0x7e55_e4a0));
    let mut refused = 0;
    for _ in 0..20_000 {
        if random.below(2) == 0 {
            refused += u64::from(held.take(&heap, random.layout()).is_none());
        } else if let Some(at) = held.any(&mut random) {
            held.give_back(&heap, at);
        }
    }
    assert!(refused < 1000, "{refused} were refused");
    held.give_all_back(&heap);
    works(&heap, &held);
}

#[test]
fn memory_of_large_blocks_is_given_back_and_of_small_ones_used_again() {
    let (heap, held) = (heap(), Held::default());
    for round in 0..100 {
        for size in 0..20 {
            let layout = layout(1 << size, 1 << size);
            let at = held.take(&heap, layout).expect("there is room");
            held.give_back(&heap, at);
        }
        // The links, and one chunk for each size: 16 bytes serve for five.
        let kept = PLENTY - heap.ground.made().budget_bytes;
        assert_eq!(kept, 4096 + 12 * CHUNK_BYTES, "in round {round}");
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    let (heap, held) = (heap(), Held::default());
    let small = held.take(&heap, layout(100, 1)).expect("there is room");
    let (old, chunk) = (held.take(&heap, layout(100, 1)).expect("there is room"), layout(CHUNK_BYTES, 1));
    heap.ground.set_budget(0);
    held.give_back(&heap, old);
    for _ in 0..1000 {
        assert_eq!(held.take(&heap, layout(9 * CHUNK_BYTES, 1)), None);
        assert_eq!(held.take(&heap, chunk), None);
        assert_eq!(held.take(&heap, layout(16, 16)), None);
        // What is left in a chunk that was paid for can be had.
        assert_eq!(held.take(&heap, layout(100, 1)), Some(old));
        held.give_back(&heap, old);
    }
    heap.ground.set_budget(PLENTY);
    held.give_back(&heap, small);
    assert_eq!(works(&heap, &held), ALL, "no room was lost");
}

#[test]
fn what_is_mapped_behind_the_heaps_back_is_left_alone() {
    let (heap, held) = (heap(), Held::default());
    heap.ground.make(3 * CHUNK_BYTES, CHUNK_BYTES, When::Now).expect("nothing is there");
    let taken: Vec<u64> = std::iter::from_fn(|| held.take(&heap, layout(CHUNK_BYTES, 1))).collect();
    assert_eq!(taken.len() as u64, CHUNKS - 2, "all but links and what was mapped");
    assert!(!taken.contains(&(3 * CHUNK_BYTES)));
}

#[test]
fn long_ranges_are_split_when_nothing_else_is_left() {
    let (heap, held) = (heap(), Held::default());
    while held.take(&heap, layout(8 * CHUNK_BYTES, 1)).is_some() {}
    held.give_all_back(&heap);
    assert_eq!(works(&heap, &held), ALL);
}

#[test]
fn a_layout_is_served_in_place_within_its_class_only() {
    let serves = |old, new| Blocks::<Field>::serves(layout(old, 8), layout(new, 8));
    assert!(serves(65, 128) && serves(128, 65) && serves(CHUNK_BYTES + 1, 2 * CHUNK_BYTES));
    assert!(!serves(64, 65) && !serves(CHUNK_BYTES, CHUNK_BYTES + 1));
    assert!(Blocks::<Field>::is_zeroed(layout(40_000, 1)) && !Blocks::<Field>::is_zeroed(layout(32_768, 1)));
}

/// Prepares a heap: blocks that stay, and one of each layout that is there to be given back.
type Scene = fn(&Blocks<Field>, &Held) -> Vec<(u64, Layout)>;

fn nothing(_: &Blocks<Field>, _: &Held) -> Vec<(u64, Layout)> {
    Vec::new()
}

fn some_of_each(heap: &Blocks<Field>, held: &Held) -> Vec<(u64, Layout)> {
    let layouts = [16, 100, 32_768, CHUNK_BYTES, 3 * CHUNK_BYTES].map(|bytes| layout(bytes, 1));
    let take = |layout| heap.take(layout).expect("there is room");
    layouts.iter().for_each(|layout| held.add(heap, take(*layout), *layout));
    layouts.iter().for_each(|layout| heap.give_back(take(*layout), *layout));
    layouts.iter().map(|layout| (take(*layout), *layout)).collect()
}

/// All is given out, and long ranges have come back.
fn only_long_ranges_left(heap: &Blocks<Field>, held: &Held) -> Vec<(u64, Layout)> {
    let long = layout(16 * CHUNK_BYTES, 1);
    let all: Vec<u64> = std::iter::from_fn(|| heap.take(long)).collect();
    while held.take(heap, layout(CHUNK_BYTES, 1)).is_some() {}
    all.iter().for_each(|at| heap.give_back(*at, long));
    Vec::new()
}

/// Stops a thread before each step of its work in turn; then others find a heap that works, and all but little of it.
fn stop_at_each_step(scene: Scene, work: impl Fn(&Blocks<Field>, &[(u64, Layout)]), lost_at_most: u64) -> u64 {
    let undisturbed = {
        let (heap, held) = (heap(), Held::default());
        let own = scene(&heap, &held);
        own.iter().for_each(|(at, layout)| heap.give_back(*at, *layout));
        works(&heap, &held)
    };
    for steps in 0.. {
        let (heap, held) = (heap(), Held::default());
        let own = scene(&heap, &held);
        let was_stopped = stops_before(steps, || work(&heap, &own));
        let left = works(&heap, &held);
        assert!(left + lost_at_most >= undisturbed, "stopped before step {steps}: {left} of {undisturbed} are left");
        if !was_stopped {
            return steps;
        }
    }
    unreachable!("the work ends")
}

#[test]
fn a_thread_can_be_stopped_at_every_step_of_taking() {
    let scenes: [(Scene, u64); 3] = [(nothing, 4), (some_of_each, 10), (only_long_ranges_left, 17)];
    for (scene, lost_at_most) in scenes {
        for (bytes, align) in [(16, 16), (100, 1), (32_768, 1), (CHUNK_BYTES, 1), (CHUNK_BYTES, 8 * CHUNK_BYTES)] {
            // What it had before and what it takes is lost with it: at most that much, and a gap before it.
            let lost_at_most = lost_at_most + (bytes.max(align) / CHUNK_BYTES) * 2;
            let take = |heap: &Blocks<Field>, _: &[(u64, Layout)]| _ = heap.take(layout(bytes, align));
            let steps = stop_at_each_step(scene, take, lost_at_most);
            assert!(steps >= 3, "{steps} steps");
        }
    }
}

#[test]
fn a_thread_can_be_stopped_at_every_step_of_giving_back() {
    for index in 0..5 {
        let give_one_back = |heap: &Blocks<Field>, own: &[(u64, Layout)]| heap.give_back(own[index].0, own[index].1);
        let steps = stop_at_each_step(some_of_each, give_one_back, 10);
        assert!(steps >= 3, "{steps} steps");
    }
}

#[test]
fn a_thread_can_be_stopped_at_every_step_of_a_long_story() {
    let story = |heap: &Blocks<Field>, own: &[(u64, Layout)]| {
        own.iter().for_each(|(at, layout)| heap.give_back(*at, *layout));
        let layouts = [16, 5000, 32_768, CHUNK_BYTES, 5 * CHUNK_BYTES].map(|bytes| layout(bytes, 1));
        let taken = layouts.map(|layout| heap.take(layout).map(|at| (at, layout)));
        taken.into_iter().flatten().for_each(|(at, layout)| heap.give_back(at, layout));
    };
    assert!(stop_at_each_step(some_of_each, story, 20) > 50);
}

/// Several threads at random work, each of which also gives back what others took.
fn crowd(threads: u64, body: impl Fn(&Blocks<Field>, &Held, &mut Random) + Sync) -> (Blocks<Field>, Held) {
    let (heap, held) = (heap(), Held::default());
    std::thread::scope(|scope| {
        for number in 0..threads {
            let (heap, held, body) = (&heap, &held, &body);
            scope.spawn(move || {
                pause_after(3 + number);
                body(heap, held, &mut Random(0x1234_5678_9abc + number));
            });
        }
    });
    (heap, held)
}

#[test]
fn threads_never_get_the_same_block() {
    let (heap, held) = crowd(4, |heap, held, random| {
        let mut own = Vec::new();
        for _ in 0..4000 {
            let layout = layout(16 << random.below(3), 1);
            if own.len() < 8 && random.below(2) == 0 {
                own.extend(held.take(heap, layout));
            } else if let Some(at) = own.pop() {
                held.give_back(heap, at);
            }
            if random.below(16) == 0 {
                own.extend(held.take(heap, self::layout(40_000 + random.below(100_000), 1)));
            }
        }
        own.into_iter().for_each(|at| held.give_back(heap, at));
    });
    held.give_all_back(&heap);
    works(&heap, &held);
}

#[test]
fn threads_that_are_stopped_among_others_harm_nobody() {
    let (heap, held) = crowd(3, |heap, held, random| {
        for _ in 0..600 {
            let steps = random.below(30);
            let mut taken = None;
            stops_before(steps, || {
                taken = heap.take(layout(16 << random.below(2), 1));
                let Some(at) = taken.take() else { return };
                held.add(heap, at, layout(16, 1));
                held.give_back(heap, at);
            });
        }
    });
    works(&heap, &held);
}
