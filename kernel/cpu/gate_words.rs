//! A gate as a call reads it without the lock.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::cpu::slice_pointer::{Kept, Pointer};
use crate::cpu::table_view::{NO_TABLE, TableView};

/// The most stacks of one gate: a bit each, and one says that somebody waits.
pub const STACKS_MAX: u64 = 63;

/// Somebody waits for a stack.
const IS_WAITED_FOR: u64 = 1 << 63;

/// What a call needs of a gate. These live for ever and are reused, as the words of spaces are.
///
/// Who closes a gate does so here first, and makes every CPU's pass to its space stale then. So a CPU whose pass is good still when
/// it has published that it comes has read what holds (`Presence::enter`), and whoever closed the gate finds it inside.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct GateWords {
    /// The stacks that nobody is on, a bit each. It comes first: an atomic change takes an address without an offset.
    free: AtomicU64,
    /// The number plus one of the space that calls go to; zero if none do.
    door: AtomicU32,
    stack_bytes: AtomicU32,
    /// Where calls begin.
    entry: AtomicU64,
    /// Where the first stack ends.
    first_end: AtomicU64,
    /// The table that calls use.
    pub(crate) table: Pointer<TableView>,
    number: AtomicU32,
}

/// Those of no gate.
pub(crate) static NO_GATE_WORDS: GateWords = GateWords::new(u32::MAX);

/// What stands in the place of a gate's in an activation that runs a guest; no gate has such a number.
pub(crate) static GUEST_WORDS: GateWords = GateWords::new(u32::MAX - 1);

const _: () = assert!(size_of::<GateWords>().is_power_of_two(), "a gate's words are found by a shift");

impl GateWords {
    /// Those of the gates that have this number, of which there is none yet.
    pub const fn new(number: u32) -> GateWords {
        GateWords {
            door: AtomicU32::new(0),
            stack_bytes: AtomicU32::new(0),
            entry: AtomicU64::new(0),
            first_end: AtomicU64::new(0),
            free: AtomicU64::new(0),
            table: Pointer::to(&NO_TABLE),
            number: AtomicU32::new(number),
        }
    }

    /// Opens a gate: into a space, with a table, at an entry, on so many stacks of so many bytes that lie one behind the other.
    pub fn open(&self, space: u32, table: &TableView, entry: u64, (stacks, bytes, count): (u64, u32, u64)) {
        self.table.set(Kept::of(table));
        self.entry.store(entry, Relaxed);
        self.first_end.store(stacks + u64::from(bytes), Relaxed);
        self.stack_bytes.store(bytes, Relaxed);
        self.free.store((1 << count) - 1, Relaxed);
        self.door.store(space + 1, Release);
    }

    /// The number of the gate.
    pub fn number(&self) -> u32 {
        self.number.load(Relaxed)
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        self.door.store(0, Release);
    }

    /// Whether it lets anybody in.
    pub fn is_open(&self) -> bool {
        self.door() != 0
    }

    /// The number plus one of the space that it leads to, zero if it is closed.
    #[inline(always)]
    pub fn door(&self) -> u32 {
        self.door.load(Relaxed)
    }

    /// Where calls begin.
    #[inline(always)]
    pub fn entry(&self) -> u64 {
        self.entry.load(Relaxed)
    }

    /// Where a stack ends.
    #[inline(always)]
    pub fn stack_end(&self, stack: u32) -> u64 {
        let bytes = u64::from(self.stack_bytes.load(Relaxed));
        self.first_end.load(Relaxed).wrapping_add(u64::from(stack) * bytes)
    }

    /// Takes a stack, unless none is free or somebody has waited for one longer.
    #[inline(always)]
    pub fn take_stack(&self) -> Option<u32> {
        loop {
            let free = self.free.load(Relaxed);
            if free == 0 || free & IS_WAITED_FOR != 0 {
                return None;
            }
            // The remainder changes nothing; it tells the compiler that the shift is in bounds.
            let stack = free.trailing_zeros() % u64::BITS;
            // Clearing a bit and looking whether it was set is one instruction on x86.
            if self.free.fetch_and(!(1 << stack), AcqRel) & 1 << stack != 0 {
                return Some(stack);
            }
        }
    }

    /// Gives a stack back; gives whether somebody waits for one.
    #[inline(always)]
    pub fn give_back(&self, stack: u32) -> bool {
        // The bit is clear. What was there before is known by adding to it with one instruction.
        self.free.fetch_add(1 << stack, AcqRel) & IS_WAITED_FOR != 0
    }

    /// Under the lock: says whether somebody waits.
    pub fn set_waited_for(&self, is_waited_for: bool) {
        if is_waited_for {
            self.free.fetch_or(IS_WAITED_FOR, AcqRel);
        } else {
            self.free.fetch_and(!IS_WAITED_FOR, AcqRel);
        }
    }

    /// Under the lock: takes a stack, whoever waits.
    pub fn take_stack_first(&self) -> Option<u32> {
        let free = self.free.load(Acquire) & !IS_WAITED_FOR;
        // Others take stacks from the same word, but not while somebody is said to wait.
        (free != 0)
            .then(|| free.trailing_zeros())
            .filter(|stack| self.free.fetch_and(!(1 << stack), AcqRel) >> stack & 1 != 0)
    }

    /// The stacks that nobody is on, a bit each.
    pub fn free_stacks(&self) -> u64 {
        self.free.load(Acquire) & !IS_WAITED_FOR
    }

    /// Whether somebody is said to wait.
    pub fn is_waited_for(&self) -> bool {
        self.free.load(Acquire) & IS_WAITED_FOR != 0
    }
}
