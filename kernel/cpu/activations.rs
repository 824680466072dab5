//! What a thread goes back to when what it is called into returns: its activations below the topmost.
//!
//! The topmost activation is where the thread is: in its registers, its CPU's line, or its record. Each below it is suspended in
//! a gate call; the lowest is what a thread was before it made any. They lie in the thread's own memory, and a call and a return
//! write there without the lock.
//!
//! An activation that was suspended without the lock is *fresh* until its thread is taken off its CPU, or the kernel has another
//! reason to know of it: then it is *noted*, with the uses of capabilities that it is. Whoever takes a space, a table, a gate or a
//! capability away notes all that are fresh first (`sched::activations`). So one that is fresh is sound, and going back to it
//! takes no look at anything.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::cpu::gate_words::{GUEST_WORDS, GateWords, NO_GATE_WORDS};
use crate::cpu::slice_pointer::Pointer;
use crate::cpu::table_view::{NO_TABLE, TableView};

/// So many activations a thread has at most, the topmost among them.
pub const ACTIVATIONS_MAX: usize = 16;

/// Those that can be suspended.
pub const SUSPENDED_MAX: usize = ACTIVATIONS_MAX - 1;

/// In the place of the space's number in one that was interrupted to ask a handler: its pass is never good.
pub const IN_HANDLER: u32 = u32::MAX;

/// An activation that waits for a gate call to return.
#[repr(align(64))]
#[derive(Debug)]
pub struct Suspended {
    /// Where it goes on.
    pub(crate) instruction_pointer: AtomicU64,
    /// The stack pointer there.
    pub(crate) stack_pointer: AtomicU64,
    /// The handle by which it had entered its space.
    pub(crate) entered_by: AtomicU64,
    /// The handle of the gate that it called.
    pub(crate) called: AtomicU64,
    /// The table that it uses.
    pub(crate) table: Pointer<TableView>,
    /// The number of its space.
    pub(crate) space: AtomicU32,
    /// The gate that it called.
    pub(crate) gate: Pointer<GateWords>,
    /// The gate's stack on which what it called runs.
    pub(crate) stack: AtomicU32,
}

impl Suspended {
    /// Whether what it did is running a guest.
    #[inline(always)]
    pub fn is_guest(&self) -> bool {
        core::ptr::eq(self.gate.get(), &raw const GUEST_WORDS)
    }
}

/// A thread's suspended activations, the lowest first.
#[repr(align(64))]
#[derive(Debug)]
pub struct Activations {
    /// How many are suspended.
    pub(crate) depth: AtomicU32,
    /// How many of them, from the lowest on, are noted.
    pub(crate) noted: AtomicU32,
    /// The number of the thread.
    pub(crate) thread: AtomicU32,
    /// A power of two, so that no look is too far; the last is never used.
    suspended: [Suspended; ACTIVATIONS_MAX],
}

impl Activations {
    const fn with(count: u32) -> Activations {
        let suspended = [const {
            Suspended {
                instruction_pointer: AtomicU64::new(0),
                stack_pointer: AtomicU64::new(0),
                entered_by: AtomicU64::new(0),
                called: AtomicU64::new(0),
                table: Pointer::to(&NO_TABLE),
                space: AtomicU32::new(0),
                gate: Pointer::to(&NO_GATE_WORDS),
                stack: AtomicU32::new(0),
            }
        }; ACTIVATIONS_MAX];
        Activations {
            depth: AtomicU32::new(count),
            noted: AtomicU32::new(count),
            thread: AtomicU32::new(u32::MAX),
            suspended,
        }
    }

    /// Those of a thread that makes its first call.
    pub fn new() -> Activations {
        Activations::with(0)
    }

    /// The one with so many below.
    #[inline(always)]
    pub fn at(&self, level: usize) -> &Suspended {
        &self.suspended[level % ACTIVATIONS_MAX]
    }

    /// The one that was suspended last.
    #[inline(always)]
    pub fn last(&self) -> &Suspended {
        // The last place of all, which is this if none is suspended, is never used.
        self.at(self.depth().wrapping_sub(1))
    }

    /// How many are suspended.
    #[inline(always)]
    pub fn depth(&self) -> usize {
        self.depth.load(Relaxed) as usize
    }

    /// The number of the thread whose they are.
    #[inline(always)]
    pub fn thread(&self) -> u32 {
        self.thread.load(Relaxed)
    }

    /// How many of them are noted.
    #[inline(always)]
    pub fn noted(&self) -> usize {
        self.noted.load(Relaxed) as usize
    }

    /// Whether there is room for any.
    #[inline(always)]
    pub fn has_room(&self) -> bool {
        !core::ptr::eq(self, &NO_ACTIVATIONS)
    }

    /// Whether what the last suspended one did is running a guest.
    #[inline(always)]
    pub fn is_in_guest(&self) -> bool {
        self.last().is_guest()
    }

    /// Whether what the one with so many below did is running a guest.
    pub fn is_guest_at(&self, level: usize) -> bool {
        core::ptr::eq(self.at(level).gate.get(), &raw const GUEST_WORDS)
    }

    /// How many are fresh.
    pub fn fresh(&self) -> usize {
        self.depth().saturating_sub(self.noted())
    }

    /// Whether some are fresh.
    #[inline(always)]
    pub fn is_any_fresh(&self) -> bool {
        self.depth() != self.noted()
    }
}

/// The activation of the calling CPU's thread that was suspended last, and is fresh. As long as the thread runs only its CPU notes it.
#[derive(Clone, Copy, Debug)]
pub struct Last<'a> {
    /// All of the thread's.
    pub activations: &'a Activations,
    /// The last one.
    pub last: &'a Suspended,
    /// How many are below.
    pub level: usize,
}

impl Default for Activations {
    fn default() -> Activations {
        Activations::new()
    }
}

/// Those of threads that have made no call: all are taken, so that there is no room for one.
pub(crate) static NO_ACTIVATIONS: Activations = Activations::with(SUSPENDED_MAX as u32);
