//! Looking along a list in which others' markers stand.
//!
//! Of threads that go through the same list each has a marker in it, and an entry may be over when all it has done is to go past
//! those of others. If it moved its own behind them, they would do so in their turn, and all would step behind one another for
//! ever. So nobody moves past a marker: it is looked past, and the entry that goes on remembers behind which one it was. Only past
//! something else does a marker move, and that is a step nearer to the end for good.

use crate::object::id::{CapId, ThreadId, UseId};
use crate::sched::inside;
use crate::state::kernel::Kernel;

/// What a call remembers between two entries that has seen nothing but its own marker.
pub const BEGUN: u64 = 1;

/// Bits of what a call remembers for the other's marker, plus one, and above these for when it had moved last.
const MARKER_BITS: u32 = 28;
const MOVED_BITS: u32 = 28;

/// A thread's marker, and behind what it looks on: that, or the marker of another that it has looked past.
#[derive(Clone, Copy, Debug)]
pub struct Looking {
    /// Its own.
    pub marker: UseId,
    /// Behind this one it looks on.
    pub behind: UseId,
    has_moved: bool,
}

impl Looking {
    /// Goes on, or begins, looking along what stands below a capability, as an earlier entry remembers.
    #[inline(always)]
    pub fn below(kernel: &mut Kernel, thread: ThreadId, cap: CapId, word: u64) -> Looking {
        let before = kernel.threads[thread].marker;
        let is_new = before.is_none();
        let seen_as = before.filter(|_| word > BEGUN).and_then(|marker| kernel.uses.moved(marker));
        let marker = inside::marker_below(kernel, thread, cap);
        let behind = if word > BEGUN { place_seen(kernel, marker, seen_as, word) } else { marker };
        Looking { marker, behind, has_moved: is_new }
    }

    /// Looks past another's marker.
    pub fn look_past(&mut self, other: UseId) {
        self.behind = other;
    }

    /// Looks on from its own marker: what stood behind it may have gone.
    pub fn look_anew(&mut self) {
        self.behind = self.marker;
    }

    /// The marker was moved behind something. Whoever has looked past it before this entry knows its place no more.
    #[inline(always)]
    pub fn move_on(&mut self, kernel: &mut Kernel) {
        self.behind = self.marker;
        if !core::mem::replace(&mut self.has_moved, true) {
            kernel.uses.note_moved(self.marker);
        }
    }

    /// What is to be remembered at the end of an entry that is to be gone on with.
    pub fn word(self, kernel: &Kernel) -> u64 {
        if self.behind == self.marker { BEGUN } else { word_of(kernel, self.behind) }
    }
}

/// Behind what an entry goes on to look: a marker that was looked past, if both stand where they stood.
#[inline(never)]
fn place_seen(kernel: &Kernel, marker: UseId, seen_as: Option<u64>, word: u64) -> UseId {
    // One that was put in anew stands in front of what was seen.
    let is_same = seen_as.is_some() && seen_as == kernel.uses.moved(marker);
    seen(kernel, word).filter(|_| is_same).unwrap_or(marker)
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
