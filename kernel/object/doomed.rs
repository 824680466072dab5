//! Debts: lists of objects at which something is left to be done, and what a trap asks before it leaves.
//!
//! What nothing refers to any more is *doomed*: it is put on a list when its last reference goes, and taken apart by steps
//! (`kernel/lifecycle/reap.rs`). So is what exists and has a chore that one step does not end. A list runs through the
//! stores and takes no memory, whatever the kinds of its objects are.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::ObjectKind;

use crate::cpu::debt_words::DebtWords;

/// An object on a list, by its kind and number; zero for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due(u64);

impl Due {
    /// No object.
    pub const NONE: Due = Due(0);

    /// The object of a kind with this number.
    #[inline(always)]
    pub const fn new(kind: ObjectKind, index: u32) -> Due {
        Due((kind as u64) << 32 | index as u64)
    }

    /// Its kind; `None` for no object.
    #[inline(always)]
    pub const fn kind(self) -> Option<ObjectKind> {
        ObjectKind::from_number(self.0 >> 32)
    }

    /// Its number among those of its kind.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.0 as u32
    }

    /// Whether it is none.
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// A list: its first object, to be seen to next, and its last. The objects between know each the one behind it.
///
/// Numbers and kinds apart, as it lies in the record of a thread, which has little room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debt {
    numbers: [u32; 2],
    kinds: [u8; 2],
}

impl Debt {
    /// Nothing is left to be done.
    pub const NONE: Debt = Debt { numbers: [0; 2], kinds: [0; 2] };

    /// The list from one object to another, or of none.
    pub(crate) const fn new(first: Due, last: Due) -> Debt {
        Debt { numbers: [first.index(), last.index()], kinds: [(first.0 >> 32) as u8, (last.0 >> 32) as u8] }
    }

    /// The first object.
    pub const fn first(&self) -> Due {
        Due((self.kinds[0] as u64) << 32 | self.numbers[0] as u64)
    }

    /// The last.
    pub const fn last(&self) -> Due {
        Due((self.kinds[1] as u64) << 32 | self.numbers[1] as u64)
    }

    /// Whether there is none.
    #[inline(always)]
    pub const fn is_none(&self) -> bool {
        self.kinds[0] == 0
    }
}

/// The list of what is being done: all stores share it, and put on it in front whatever is doomed. While nobody has the
/// kernel's lock it is empty: whoever gives the lock up hands it to the thread that owes it.
///
/// Beside it, whether there are debts that no thread owes; so a trap has one word to look at.
#[derive(Clone, Copy, Debug)]
pub struct Debts(&'static DebtWords);

const OWED: u64 = 1;
const UNOWED: u64 = 2;

// The kernel's lock is held: no other CPU changes any of these words meanwhile.
impl Debts {
    /// The list of which these are the words.
    pub(crate) fn new(words: &'static DebtWords) -> Debts {
        Debts(words)
    }

    /// Whether anything is on the list, or is a debt that no thread owes.
    #[inline(always)]
    pub fn is_any(&self) -> bool {
        self.0.reasons() != 0
    }

    /// Whether anything is on the list.
    #[inline(always)]
    pub fn is_owed(&self) -> bool {
        self.0.due.load(Relaxed) & OWED != 0
    }

    /// The first on the list.
    #[inline(always)]
    pub fn first(&self) -> Due {
        Due(self.0.first.load(Relaxed))
    }

    /// Takes the whole list.
    pub fn take(&self) -> Debt {
        let debt = Debt::new(self.first(), Due(self.0.last.load(Relaxed)));
        self.put(Debt::NONE);
        debt
    }

    /// Puts a list where there is none.
    pub fn put(&self, debt: Debt) {
        self.0.first.store(debt.first().0, Relaxed);
        self.0.last.store(debt.last().0, Relaxed);
        self.note(OWED, !debt.is_none());
    }

    /// Notes whether there are debts that no thread owes.
    pub fn note_unowed(&self, is_any: bool) {
        self.note(UNOWED, is_any);
    }

    /// Puts an object in front of the list; gives the one that was there.
    #[inline(always)]
    pub(super) fn push(&self, due: Due) -> Due {
        let before = self.first();
        self.0.first.store(due.0, Relaxed);
        if before.is_none() {
            self.0.last.store(due.0, Relaxed);
            self.note(OWED, true);
        }
        before
    }

    /// Takes the first object off the list; `next` is the one behind it.
    #[inline(always)]
    pub(super) fn pop(&self, next: Due) {
        self.0.first.store(next.0, Relaxed);
        if next.is_none() {
            self.0.last.store(0, Relaxed);
            self.note(OWED, false);
        }
    }

    #[inline(always)]
    fn note(&self, bit: u64, is_set: bool) {
        let others = self.0.due.load(Relaxed) & !bit;
        self.0.due.store(if is_set { others | bit } else { others }, Relaxed);
    }
}
