//! Entering a space: what every way into one that is not the fast path comes through.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::fence;

use tessera_abi::{Error, Handle};
use tessera_arch::Frame;

use crate::base::mutants::{Mutant, is_seeded};
use crate::cpu::handshake::NO_SPACE;
use crate::cpu::per_cpu::PerCpu;
use crate::cpu::tags::TagWord;
use crate::object::id::SpaceId;
use crate::state::kernel::Kernel;

/// Makes the calling CPU's space this one.
pub fn enter_space(kernel: &mut Kernel, cpu: usize, space: SpaceId, entered_by: Handle) {
    let (shared, line) = (kernel.shared, &kernel.shared.cpus[cpu]);
    let words = shared.space_words(space.index());
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
    line.presence.enter(space.index(), words.pass(cpu), pass);
    let root = Frame::from_word(pass.root());
    words.pass(cpu).make_good(tessera_arch::root_word(root, tag.tag()));
    tessera_arch::activate(root, tag.tag(), keep);
    line.root.store(root.to_word(), Relaxed);
    line.entered_by.store(entered_by.bits(), Relaxed);
    line.counters.count_switch(keep);
}

/// The tag under which a CPU is to enter a space; begins a new generation of tags if there is none left.
fn tag_for(kernel: &mut Kernel, cpu: usize, space: SpaceId) -> TagWord {
    let (shared, words) = (kernel.shared, kernel.shared.space_words(space.index()));
    if kernel.tags.bits() != 0 && words.tag().tag() == 0 {
        // It may get a tag now. Whoever enters it untagged at this moment is seen below, or comes too late.
        words.forget_passes();
        fence(SeqCst);
    }
    let elsewhere = |line: &PerCpu| line.index != cpu && line.presence.is_in(space.index());
    if let Some(tag) = kernel.tags.renew(words.tag(), shared.lines().iter().any(elsewhere)) {
        return tag;
    }
    shared.cpus[cpu].counters.tag_rollovers.add(1);
    // Nobody enters by a pass from here on. Who was entering meanwhile is either seen to, or goes back to the
    // space that it had loaded: both count as live.
    if !is_seeded(Mutant::PassesSurviveRollOver) {
        kernel.spaces.ids().for_each(|id| shared.space_words(id.index()).forget_passes());
    }
    fence(SeqCst);
    let spaces = shared.lines().iter().flat_map(|line| line.presence.places());
    let live = spaces.filter(|space| *space != NO_SPACE).map(|space| shared.space_words(space).tag());
    kernel.tags.roll_over(live, words.tag())
}

/// Checks that a CPU may enter a space.
///
/// # Errors
/// `WrongCpu` if the space is local to another one.
pub fn ensure_enterable(kernel: &Kernel, cpu: usize, space: SpaceId) -> Result<(), Error> {
    let only_cpu = kernel.shared.space_words(space.index()).only_cpu();
    if only_cpu.is_none_or(|only| only == cpu) { Ok(()) } else { Err(Error::WrongCpu) }
}
