//! Entering a space: what every way into one that is not the fast path comes through.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::fence;

use tessera_abi::{Error, Handle};
use tessera_arch::Frame;

use crate::base::effort::Effort;
use crate::base::mutants::{Mutant, is_seeded};
use crate::cpu::handshake::{NO_SPACE, PassWord};
use crate::cpu::per_cpu::PerCpu;
use crate::cpu::switch;
use crate::cpu::tags::TagWord;
use crate::object::id::SpaceId;
use crate::state::kernel::Kernel;

/// Makes the calling CPU's space the one with this number.
pub fn enter_space(kernel: &mut Kernel, cpu: usize, space: u32, entered_by: Handle) {
    let (shared, line) = (kernel.shared, &kernel.shared.cpus[cpu]);
    let words = shared.space_words(space);
    let tag = tag_for(kernel, cpu, space);
    if tag != words.tag() {
        words.set_tag(tag);
    }
    let flush_all = kernel.tags.take_flush_pending(cpu);
    if flush_all {
        // From the empty root, or the CPU might hold translations of the space it leaves again, and no pass says.
        shared.leave_space(line);
        tessera_arch::invalidate_all();
    }
    // The lock is held, so nobody changes the pass between a look at it and the entry.
    let pass = words.pass(cpu).read();
    let is_tagged = tag.tag() != 0 || is_seeded(Mutant::UntaggedKept);
    let keep = is_tagged && !flush_all && !pass.is_stale();
    line.presence.enter(space, words.pass(cpu), pass);
    let (root, takes_locks) = (Frame::from_word(pass.root()), words.takes_locks());
    let word = tessera_arch::root_word(root, tag.tag());
    if takes_locks && !is_seeded(Mutant::LockPassedBy) {
        words.pass(cpu).make_locked(word)
    } else {
        words.pass(cpu).make_good(word)
    }
    if kernel.tags.is_closing() {
        words.pass(cpu).make_stale();
    }
    tessera_arch::activate(root, tag.tag(), keep);
    let ground = if takes_locks && !is_seeded(Mutant::LockLeftByFastPath) {
        shared.no_ground.load(Relaxed)
    } else {
        root.to_word()
    };
    line.root.store(ground, Relaxed);
    line.entered_by.store(entered_by.bits(), Relaxed);
    line.counters.count_switch(keep);
}

/// Effort that an entry spends on closing a generation of tags.
const CLOSING_UNITS: u32 = 300;

/// The tag under which a CPU is to enter a space; begins a new generation of tags if there is none left, and the old one is
/// closed.
fn tag_for(kernel: &mut Kernel, cpu: usize, space: u32) -> TagWord {
    let (shared, words) = (kernel.shared, kernel.shared.space_words(space));
    if kernel.tags.bits() != 0 && words.tag().tag() == 0 {
        // It may get a tag now. Whoever enters it untagged at this moment is seen below, or comes too late.
        words.forget_passes();
        fence(SeqCst);
    }
    let is_elsewhere = |line: &PerCpu| line.index != cpu && line.presence.is_in(space);
    let old = (words.tag(), shared.lines().iter().any(is_elsewhere));
    let is_closing = kernel.tags.is_closing();
    if !(is_closing && close_generation(kernel)) {
        if let Some(tag) = kernel.tags.renew(old.0, old.1) {
            return tag;
        }
        if is_closing || !close_generation(kernel) {
            return TagWord::new(kernel.tags.generation(), 0);
        }
    }
    shared.cpus[cpu].counters.tag_rollovers.add(1);
    // Nobody enters by a pass from here on. Who was entering meanwhile is either seen to, or goes back to the
    // space that it had loaded: both count as live.
    fence(SeqCst);
    let spaces = shared.lines().iter().flat_map(|line| line.presence.places());
    let live = spaces.filter(|other| *other != NO_SPACE).map(|other| shared.space_words(other).tag());
    kernel.tags.roll_over(live, old)
}

/// Turns passes stale, as far as an entry's share of effort goes; gives whether none is good any more, nor will be before the
/// next generation.
#[cold]
#[inline(never)]
fn close_generation(kernel: &mut Kernel) -> bool {
    if is_seeded(Mutant::PassesSurviveRollOver) {
        return true;
    }
    let (mut effort, mut next) = (Effort::of(closing_units()), kernel.tags.closed_to());
    kernel.shared.is_closing_tags.store(true, Relaxed);
    loop {
        match kernel.spaces.first_from(next, &mut effort) {
            Err(reached) => {
                kernel.tags.note_closed(reached);
                return false;
            }
            Ok(Some(id)) => {
                kernel.shared.space_words(id.index()).make_passes_stale();
                effort.spend(1 + kernel.cpus() as u32 / 2);
                next = id.index() + 1;
            }
            Ok(None) => {
                kernel.shared.is_closing_tags.store(false, Relaxed);
                return true;
            }
        }
    }
}

/// Where entries have less to spend than usual, closing has.
fn closing_units() -> u32 {
    let mut effort = Effort::of_entry();
    effort.spend(effort.left().saturating_sub(CLOSING_UNITS));
    effort.left()
}

/// Checks that a CPU may enter a space.
///
/// # Errors
/// `WrongCpu` if the space is local to another one.
pub fn ensure_enterable(kernel: &Kernel, cpu: usize, space: SpaceId) -> Result<(), Error> {
    let only_cpu = kernel.shared.space_words(space.index()).only_cpu();
    if only_cpu.is_none_or(|only| only == cpu) { Ok(()) } else { Err(Error::WrongCpu) }
}

/// Has the calling CPU enter the space with this number, in which its thread may be, by its pass if that is good.
#[inline(always)]
pub fn go_to(kernel: &mut Kernel, cpu: usize, space: u32, by: Handle) {
    let line = &kernel.shared.cpus[cpu];
    if line.presence.space() == space {
        line.entered_by.store(by.bits(), Relaxed);
    } else if !switch::enter_by_pass(line, space, by) {
        enter_space(kernel, cpu, space, by);
    }
}

/// Has a CPU enter a space by a good pass. The lock is held, so nobody turns that stale meanwhile.
#[inline(always)]
pub(super) fn by_good_pass(line: &PerCpu, space: u32, pass: PassWord, entered_by: u64) {
    line.presence.stay(space);
    line.root.store(pass.root(), Relaxed);
    line.entered_by.store(entered_by, Relaxed);
    line.counters.count_switch(tessera_arch::load_root(pass.word()));
}
