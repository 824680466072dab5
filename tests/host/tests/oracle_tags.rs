//! Tags, exhaustively: two CPUs, five spaces, 2-bit tags (three that can be given out), so that almost every switch
//! begins a new generation.
//!
//! Once on the whole kernel under the oracle, every sequence of four switches and changes; once on the allocator alone,
//! every sequence of its questions up to a depth.

use host_tests::FLAVOURS;
use host_tests::oracle::play_all_sequences;
use tessera_kernel::cpu::handshake::{Pass, Presence};
use tessera_kernel::cpu::tags::{TagAllocator, TagWord};

const SPACES: usize = 5;
const CPUS: usize = 2;
const BITS: u32 = 2;
const DEPTH: usize = 8;

#[test]
fn every_sequence_of_four_switches_and_changes_keeps_the_rules() {
    // With one unit, a generation is closed space by space, while others switch and change.
    for (units, (flavour, broadcasts)) in
        [1000, 1].into_iter().flat_map(|units| FLAVOURS.into_iter().zip([false, true]).map(move |kind| (units, kind)))
    {
        let steps = play_all_sequences(4, units, flavour, broadcasts);
        assert_eq!(steps, Ok(12_usize.pow(4) + 3), "{flavour:?} {units}");
    }
}

/// The allocator, and what depends on it.
#[derive(Clone)]
struct State {
    tags: TagAllocator,
    words: [TagWord; SPACES],
    /// The space each CPU is in, and the tag it has loaded.
    loaded: [Option<(usize, u16)>; CPUS],
    /// The spaces whose translations a CPU may hold under each tag, a bit each.
    held: [[u8; 1 << BITS]; CPUS],
}

impl State {
    /// A CPU enters a space the long way. No translation is changed here, so none is stale but for its tag.
    fn enter(&mut self, cpu: usize, space: usize) {
        let elsewhere = self.loaded[1 - cpu].is_some_and(|(other, _)| other == space);
        let old = self.words[space];
        let tag = self.tags.renew(old, elsewhere).unwrap_or_else(|| {
            let live: Vec<TagWord> = self.loaded.iter().flatten().map(|(space, _)| self.words[*space]).collect();
            self.tags.roll_over(live.into_iter(), (old, elsewhere))
        });
        self.words[space] = tag;
        if self.tags.take_flush_pending(cpu) {
            self.held[cpu].fill(0);
        }
        let number = usize::from(tag.tag());
        if number == 0 {
            self.held[cpu][0] = 0;
        }
        self.held[cpu][number] |= 1 << space;
        self.loaded[cpu] = Some((space, tag.tag()));
        self.check(cpu, space, number);
    }

    fn check(&self, cpu: usize, space: usize, tag: usize) {
        assert!(tag < 1 << BITS, "a tag has its width");
        assert_eq!(self.held[cpu][tag], 1 << space, "nothing of another space is held under the tag that is loaded");
        if let Some((other, number)) = self.loaded[1 - cpu] {
            let same_tag = usize::from(number) == tag;
            assert!(tag == 0 || (other == space) == same_tag, "a tag that is live has one owner, and a space one tag");
            assert!(other != space || same_tag, "a space is live under one tag, or untagged everywhere");
        }
        let now = self.tags.generation();
        let owners = |tag: u16| self.words.iter().filter(|word| word.generation() == now && word.tag() == tag).count();
        assert!((1..1 << BITS).all(|tag| owners(tag) <= 1), "in one generation a tag has one owner");
    }

    /// Every CPU enters every space, or idles, or a space is given up: to this depth. Spaces that were never entered
    /// are alike, so that only the first of them is.
    fn explore(&self, depth: usize, fresh: usize, steps: &mut u64) {
        if depth == 0 {
            return;
        }
        for cpu in 0..CPUS {
            for space in 0..SPACES.min(fresh + 1) {
                let mut next = self.clone();
                next.enter(cpu, space);
                *steps += 1;
                next.explore(depth - 1, fresh.max(space + 1), steps);
            }
            if self.loaded[cpu].is_some() {
                let mut next = self.clone();
                next.loaded[cpu] = None;
                next.explore(depth - 1, fresh, steps);
            }
        }
        for space in (0..fresh).filter(|space| self.loaded.iter().flatten().all(|(live, _)| live != space)) {
            let mut next = self.clone();
            next.words[space] = TagWord::default();
            next.held
                .iter_mut()
                .flatten()
                .for_each(|spaces| *spaces = *spaces & !(1 << space) | (*spaces >> space & 1) << 7);
            next.explore(depth - 1, fresh, steps);
        }
    }
}

#[test]
fn every_sequence_of_questions_gets_tags_that_are_safe() {
    let state = State {
        tags: TagAllocator::new(BITS, CPUS),
        words: [TagWord::default(); SPACES],
        loaded: [None; CPUS],
        held: [[0; 1 << BITS]; CPUS],
    };
    let mut steps = 0;
    state.explore(DEPTH, 0, &mut steps);
    assert!(steps > 100_000, "{steps} steps");
}

/// A CPU that is in a space when it is asked to flush may leave it before the new generation begins: its pass must not be good
/// then.
#[test]
fn a_flush_makes_no_pass_good_while_tags_are_taken_back() {
    for is_closing in [false, true] {
        let (presence, pass, mut flushes) = (Presence::new(), Pass::new(), 0);
        presence.stay(7);
        pass.make_good(0x5000);
        assert!(pass.make_stale());
        assert!(presence.invalidate(7, &pass, is_closing, || flushes += 1));
        assert_eq!(pass.read().is_good(), !is_closing);
        assert!(!presence.invalidate(8, &pass, is_closing, || flushes += 1));
        assert_eq!(flushes, 1);
    }
}
