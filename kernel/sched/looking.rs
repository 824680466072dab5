//! Looking along a list in which others' markers stand.
//!
//! Of threads that go through the same list each has a marker in it, and an entry may be over when all it has done is to go past
//! those of others. If it left its own behind them, they would do so in their turn, and all would step behind one another for
//! ever. So an entry that comes to nothing but markers moves none: it looks past them, and the next one remembers behind which it
//! was. One that comes to something else sees to that, and is a step nearer to the end for good.

use crate::base::effort::Effort;
use crate::object::derivation;
use crate::object::id::{CapId, ThreadId, UseId};
use crate::object::neighbour::Standing;
use crate::object::use_pool::UseKind;
use crate::sched::inside;
use crate::state::kernel::Kernel;

/// What a call remembers between two entries that has looked past no marker.
pub const BEGUN: u64 = 1;

/// Units of effort of looking past a marker.
const MARKER_UNITS: u32 = 4;

/// Bits of what a call remembers for the other's marker, plus one, and above these for when it had moved last.
const MARKER_BITS: u32 = 28;
const MOVED_BITS: u32 = 27;

/// Bits of all that.
pub const WORD_BITS: u32 = MARKER_BITS + MOVED_BITS;

/// Which way a call goes along a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As it stands.
    On,
    /// From behind.
    Back,
}

/// The marker of a thread that goes through what stands below a capability, and what is left then of so many units of effort, which
/// are given as a number so that the usual entry need not keep them in memory.
///
/// # Errors
/// What is to be remembered, if an earlier entry had come to others' markers, and this one comes to nothing else.
#[inline(always)]
pub fn begin(kernel: &mut Kernel, thread: ThreadId, cap: CapId, word: u64, left: u32) -> Result<(UseId, u32), u64> {
    if word > BEGUN {
        return go_on(kernel, thread, cap, word, left);
    }
    Ok((inside::marker_below(kernel, thread, cap), left))
}

#[cold]
#[inline(never)]
fn go_on(kernel: &mut Kernel, thread: ThreadId, cap: CapId, word: u64, left: u32) -> Result<(UseId, u32), u64> {
    let before = kernel.threads[thread].marker.and_then(|marker| kernel.uses.moved(marker));
    let marker = inside::marker_below(kernel, thread, cap);
    // One that was put in anew stands in front of what was seen.
    let is_same = before.is_some() && before == kernel.uses.moved(marker);
    let word = if is_same { word } else { BEGUN };
    resume(kernel, thread, marker, word, left, Way::On).map(|left| (marker, left))
}

/// Goes on with a marker that stands where it was left; gives what is left of the effort.
///
/// # Errors
/// As [`begin`].
pub fn resume(
    kernel: &mut Kernel,
    thread: ThreadId,
    marker: UseId,
    word: u64,
    left: u32,
    way: Way,
) -> Result<u32, u64> {
    match seen(kernel, word) {
        Some(other) => past_on(kernel, thread, marker, other, left, way),
        None => Ok(left),
    }
}

/// Looks past others' markers, of which one is known, as far as the effort goes. If that is to something else, the thread's own
/// marker stands before it then, and it is to be seen to in the same entry. Gives what is left of the effort for that: something is.
///
/// # Errors
/// What is to be remembered, if it came to nothing else.
#[cold]
#[inline(never)]
pub fn past(kernel: &mut Kernel, thread: ThreadId, marker: UseId, other: UseId, left: u32) -> Result<u32, u64> {
    past_on(kernel, thread, marker, other, left, Way::On)
}

/// The same either way.
///
/// # Errors
/// As [`past`].
#[cold]
#[inline(never)]
pub fn past_on(
    kernel: &mut Kernel,
    thread: ThreadId,
    marker: UseId,
    mut other: UseId,
    left: u32,
    way: Way,
) -> Result<u32, u64> {
    let mut effort = Effort::of(left);
    loop {
        effort.spend(MARKER_UNITS);
        let next = match way {
            Way::On => Some(derivation::behind(&kernel.tables, &kernel.uses, other)),
            Way::Back => derivation::before(&kernel.tables, &kernel.uses, Standing::Use(other)),
        };
        match next {
            Some(Standing::Use(next)) if kernel.uses.get(next).kind == UseKind::Marker => {
                other = next;
                if !effort.is_left() {
                    end(kernel, thread, marker, left);
                    return Err(word_of(kernel, other));
                }
            }
            _ => break,
        }
    }
    let other = Standing::Use(other);
    match way {
        Way::On => derivation::pass(&mut kernel.tables, &mut kernel.uses, marker, other),
        Way::Back => derivation::move_before(&mut kernel.tables, &mut kernel.uses, marker, other),
    }
    Ok(effort.left().max(1))
}

/// Ends an entry that is to be gone on with, and has so much effort left; if it has seen to something, some is spent. Whoever has
/// looked past the marker before does not know its place any more then.
#[inline(never)]
pub fn end(kernel: &mut Kernel, thread: ThreadId, marker: UseId, left: u32) {
    note_moved(kernel, thread, marker, left != Effort::of_entry().left());
}

/// The marker may have gone with what was seen to.
fn note_moved(kernel: &mut Kernel, thread: ThreadId, marker: UseId, has_moved: bool) {
    if has_moved && kernel.threads.find(thread).is_some_and(|thread| thread.marker == Some(marker)) {
        kernel.uses.note_moved(marker);
    }
}

/// What is remembered of a marker that was looked past: nothing, if there is no room for that.
fn word_of(kernel: &Kernel, marker: UseId) -> u64 {
    let (number, moved) = (u64::from(marker.number()) + 1, kernel.uses.moved(marker).unwrap_or(0) % (1 << MOVED_BITS));
    if moved == 0 || number >= 1 << MARKER_BITS { BEGUN } else { moved << MARKER_BITS | number }
}

/// The marker that was looked past, if it stands where it stood.
fn seen(kernel: &Kernel, word: u64) -> Option<UseId> {
    let (number, moved) = (word % (1 << MARKER_BITS), word >> MARKER_BITS);
    let marker = UseId::new((number as u32).checked_sub(1)?);
    let is_there = kernel.uses.moved(marker).is_some_and(|last| last % (1 << MOVED_BITS) == moved);
    (moved != 0 && is_there).then_some(marker)
}
