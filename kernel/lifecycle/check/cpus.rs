//! Free memory, the scheduler's queues, and what CPUs read without the lock: it must say what the records behind the lock say.
//!
//! Other CPUs run meanwhile. What is compared is what they change with the lock held, or when its holder asks them to:
//! which space they enter from which root, they may change at any moment, so that only spaces that exist are looked for.

use core::sync::atomic::Ordering::Relaxed;

use crate::base::effort::Effort;
use crate::cpu::handshake::NO_SPACE;
use crate::cpu::per_cpu::PerCpu;
use crate::cpu::table_view::NO_TABLE;
use crate::object::id::{SpaceId, ThreadId};
use crate::state::kernel::Kernel;
use crate::state::scheduler::Standing;
use crate::state::self_check::Walk;

/// Effort of looking at what one CPU knows of a space, and at what a CPU's line says.
const PASS_UNITS: u32 = 9;
const LINE_UNITS: u32 = 20;

/// Free memory.
pub(super) fn check_frames(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    kernel.frames.check_further(walk.place.free_lists(), effort, &mut walk.facts)
}

/// The threads that may run on some CPUs only.
pub(super) fn check_somewhere(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    kernel.scheduler.check_somewhere(&kernel.threads, walk.place.somewhere(), effort, &mut walk.facts)
}

/// A CPU's queue.
pub(super) fn check_queue(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    let (cpu, at) = (walk.number as usize, (walk.place.run_queue(), effort));
    kernel.scheduler.cpus[cpu].check_queue(&kernel.threads, cpu, at, &mut walk.facts)
}

/// Those that sleep on a CPU.
pub(super) fn check_sleepers(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    let (cpu, at) = (walk.number as usize, (walk.place.sleepers(), effort));
    kernel.scheduler.cpus[cpu].check_sleepers(&kernel.threads, cpu, at, &mut walk.facts)
}

/// No tag was seen yet.
pub(super) fn begin_tags(kernel: &Kernel) {
    kernel.tags.begin_check();
}

/// The tag of a space.
pub(super) fn check_tag(kernel: &Kernel, walk: &mut Walk, _effort: &mut Effort) -> bool {
    walk.facts += kernel.tags.check(kernel.shared.space_words(walk.number).tag(), walk.is_whole);
    true
}

/// The words of a space.
pub(super) fn check_words(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    // Into one that is being taken apart no way leads any more.
    if let Some(id) = kernel.spaces.id_at(walk.number).filter(|id| !kernel.spaces.is_doomed(id.index())) {
        walk.facts += check_words_of(kernel, id);
        effort.spend(PASS_UNITS * kernel.cpus() as u32);
    }
    true
}

/// The line of a CPU.
pub(super) fn check_line(kernel: &Kernel, walk: &mut Walk, effort: &mut Effort) -> bool {
    walk.facts += check_line_of(kernel, &kernel.shared.lines()[walk.number as usize]);
    effort.spend(LINE_UNITS);
    true
}

/// A CPU uses its thread's table. One that may be in the middle of a gate call, or has just made one, is not looked at.
fn check_table_of(kernel: &Kernel, line: &PerCpu, current: Option<ThreadId>) {
    let is_here = line.index == tessera_arch::cpu_index();
    let activations = line.activations.get();
    if activations.is_any_fresh() || !is_here && activations.has_room() {
        return;
    }
    let view = current.map_or(&NO_TABLE, |id| kernel.threads[id].table_view.get());
    assert!(line.table.leads_to(view), "a CPU knows its current thread's table");
}

/// Each CPU's pass leads to its root, says one thing of what the CPU holds, and is what the root register takes if that is
/// good; and in a space local to a CPU only that one has been.
fn check_words_of(kernel: &Kernel, id: SpaceId) -> u64 {
    let (space, words) = (&kernel.spaces[id], kernel.shared.space_words(id.index()));
    for cpu in 0..kernel.shared.lines().len() {
        let pass = words.pass(cpu).read();
        assert_eq!(pass.root(), space.root(cpu).to_word(), "a pass leads to the space's root on its CPU");
        assert!(!(pass.is_good() && pass.is_stale()), "what a CPU holds is good or stale");
        let word = tessera_arch::root_word(space.root(cpu), words.tag().tag());
        assert!(!(pass.is_good() && words.takes_locks()), "nobody enters without the locks");
        assert!(!pass.is_good() || pass.word() == word, "a good pass is what the root register takes");
        let may_enter = words.only_cpu().is_none_or(|only| only == cpu);
        assert!(may_enter || pass.is_never(), "no other CPU has been in a local space");
    }
    assert!(words.only_cpu().is_none_or(|cpu| cpu < kernel.cpus()), "a space is local to a CPU that runs");
    if let Some(seen) = space.seen {
        let base = kernel.shared.space_words(seen.base.index());
        assert_eq!(words.only_cpu(), base.only_cpu(), "a view is local where its base is");
    }
    assert!(words.note().is_empty(), "nothing is noted between changes");
    5 * kernel.shared.lines().len() as u64 + 3
}

/// A CPU's line tells what runs there, and nothing is asked of it.
fn check_line_of(kernel: &Kernel, line: &PerCpu) -> u64 {
    let current = kernel.scheduler.cpus[line.index].current;
    check_table_of(kernel, line, current);
    assert!(line.presence.is_acknowledged(), "nothing is asked of a CPU between changes");
    let run_queue = &kernel.scheduler.cpus[line.index];
    if let Some(thread) = current.filter(|_| !run_queue.need_resched.get()).map(|id| &kernel.threads[id]) {
        let standing = Standing::of(thread, line.index, kernel.cpus());
        assert_eq!(run_queue.standing, standing, "a CPU knows where its thread waits when its turn is over");
    }
    let entered = line.presence.space();
    let is_here = line.index == tessera_arch::cpu_index();
    assert!(is_here || current.is_some() || entered == NO_SPACE, "a CPU without a thread is in no space");
    if entered == NO_SPACE {
        return 5;
    }
    let space = kernel.spaces.id_at(entered).expect("a CPU is in a space that exists");
    let words = kernel.shared.space_words(entered);
    assert!(words.only_cpu().is_none_or(|only| only == line.index), "no CPU is in another one's local space");
    assert!(kernel.tags.is_taken(words.tag()), "nobody else can get the tag of a space that a CPU is in");
    if is_here {
        assert_eq!(line.presence.places(), [entered; 2], "this CPU is about to enter no other space");
        let root = kernel.spaces[space].root(line.index).to_word();
        let root = if words.takes_locks() { kernel.shared.no_ground.load(Relaxed) } else { root };
        assert_eq!(line.root.load(Relaxed), root, "the root that is loaded is the space's");
    }
    9
}
