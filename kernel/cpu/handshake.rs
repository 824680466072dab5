//! The shootdown handshake: how a CPU that changed a translation reaches those that may use the old one.
//!
//! For each space a CPU has a [`Pass`]: the root table and tag it loads there, and whether the translations it may still
//! hold under the space's tag are good. A CPU publishes in its [`Presence`] the space it is about to enter, then
//! looks at its pass once more, then enters. Who changes a space's tables does so first, then turns the passes of
//! the CPUs that may hold old translations stale, then asks which of them are in the space, and interrupts exactly
//! these. A full fence on each side makes it impossible that both miss each other: either the changer sees the CPU
//! in the space, or the CPU sees its pass stale and goes the long way, which flushes. (Dekker's argument; Intel SDM
//! volume 3, section 9.2.3.4 names the reordering that the fences exclude.) Until it has looked, the CPU counts as
//! in both spaces, the one it is in and the one it may enter: it may yet have to stay where it was.
//!
//! The request itself lies in the target's line. Only the holder of the kernel's lock posts one, and it waits
//! for the acknowledgement, so there is at most one at a time.

use tessera_arch::PASS_MARKS;

use crate::base::atomic::{AtomicU32, AtomicU64, Ordering, const_unless_modelled, fence};
use crate::base::mutants::{Mutant, is_seeded};

/// No space: the CPU is in the kernel's empty root. Spaces are told by their numbers here, without a generation: a space
/// does not go, nor its number to another, before every CPU that was in it has been made to leave (`sched::eviction::evict_threads`).
pub const NO_SPACE: u32 = u32::MAX;

const IDLE: u32 = 0;
const POSTED: u32 = 1;

/// Kinds of request, in the lowest byte of the word that tells.
const PARK: u64 = 0;
const PAGES: u64 = 1;
const GLOBAL: u64 = 2;

/// What one CPU asks of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Invalidate pages of a space, if the CPU is in it still.
    Pages {
        /// The space's number.
        space: u32,
        /// Its tag.
        tag: u16,
        /// The first page.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Invalidate pages that all spaces show, in whatever space the CPU is, or in none; everything, if they are many.
    Global {
        /// The first page.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Let go of the thread and the space the CPU is in: save its registers, enter the empty root.
    Park,
}

/// One CPU's way into one space, in one word: what the CPU's root register takes there, root table and tag together, if
/// the translations that the CPU may still hold under the tag are good. A bit that no such value has says that they are not, and
/// one more each why: the CPU has *never* been in the space under its tag and holds nothing; or it has been, and what it may hold is
/// *stale*. So a good pass is loaded as it is.
///
/// To a space that takes locks no pass is ever good: it is *locked* where it would be. What the CPU holds is worth keeping, but
/// whoever enters goes the long way, by the locks (`sched::locks`).
#[derive(Debug)]
pub struct Pass(AtomicU64);

const NOT_GOOD: u64 = PASS_MARKS[0];
const HOLDS_OLD: u64 = PASS_MARKS[1];
const HOLDS_NOTHING: u64 = PASS_MARKS[2];
const NEVER: u64 = NOT_GOOD | HOLDS_NOTHING;
const STALE: u64 = NOT_GOOD | HOLDS_OLD;
const LOCKED: u64 = NOT_GOOD;
const MARKS: u64 = NEVER | STALE;

/// What a pass said at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassWord(u64);

impl PassWord {
    /// Whether the CPU may enter without a flush: by loading the [word](PassWord::word).
    #[inline(always)]
    pub fn is_good(self) -> bool {
        self.0 & NOT_GOOD == 0
    }

    /// Whether what the CPU holds must be flushed when it enters.
    pub fn is_stale(self) -> bool {
        self.0 & HOLDS_OLD != 0
    }

    /// Whether the CPU holds nothing of the space.
    pub fn is_never(self) -> bool {
        self.0 & HOLDS_NOTHING != 0
    }

    /// Whether what the CPU holds is worth keeping.
    #[inline(always)]
    fn is_kept(self) -> bool {
        self.0 & (HOLDS_OLD | HOLDS_NOTHING) == 0
    }

    /// Whether it would be good if the space took no locks.
    #[inline(always)]
    pub fn is_locked(self) -> bool {
        self.0 & MARKS == LOCKED
    }

    /// The root table's address.
    #[inline(always)]
    pub fn root(self) -> u64 {
        tessera_arch::root_of_word(self.0)
    }

    /// What the root register takes, if the pass is good, or locked and whoever enters has the locks.
    #[inline(always)]
    pub fn word_behind_locks(self) -> u64 {
        self.0 & !MARKS
    }

    /// What the root register takes, if the pass is good.
    #[inline(always)]
    pub fn word(self) -> u64 {
        self.0
    }
}

impl Pass {
    const_unless_modelled! {
        /// A pass to nowhere.
        pub fn new() -> Pass {
            Pass(AtomicU64::new(NEVER))
        }
    }

    /// What it says now.
    #[inline(always)]
    pub fn read(&self) -> PassWord {
        PassWord(self.0.load(Ordering::Relaxed))
    }

    /// Under the lock: a new way in, by this root; the CPU holds nothing. 0 closes the way for good.
    pub fn reset(&self, root: u64) {
        self.0.store(root | NEVER, Ordering::Relaxed);
    }

    /// Under the lock: the way in leads to another root. What the CPU holds, it holds from the old one.
    pub fn redirect(&self, root: u64) {
        let pass = self.read();
        let held = if pass.is_never() { NEVER } else { STALE };
        self.0.store(root | held, Ordering::Relaxed);
    }

    /// Under the lock: the CPU holds nothing that is worth keeping. If it is in the space, it stays under its tag, which the
    /// word keeps for [`Presence::invalidate`].
    pub fn forget(&self) {
        self.0.store(self.read().0 & !MARKS | NEVER, Ordering::Relaxed);
    }

    /// Under the lock, on the CPU itself: what it holds under the root register's value `word` is good from here on,
    /// because it was flushed or is nothing.
    pub fn make_good(&self, word: u64) {
        self.0.store(word, Ordering::Relaxed);
    }

    /// The same of a space that takes locks.
    pub fn make_locked(&self, word: u64) {
        self.0.store(word | LOCKED, Ordering::Relaxed);
    }

    /// Under the lock: the space takes locks from here on, so that nobody enters without.
    pub fn lock(&self) {
        let pass = self.read();
        if pass.is_good() {
            self.make_locked(pass.0);
        }
    }

    /// For the changer, after its change: turns a good pass stale; gives whether it was good, so that the CPU may be
    /// in the space at this moment. Only the holder of the lock changes passes, or a CPU that it waits for.
    pub fn make_stale(&self) -> bool {
        let pass = self.read();
        if pass.is_kept() {
            self.0.store(pass.0 | STALE, Ordering::Relaxed);
        }
        pass.is_kept()
    }

    /// On the CPU itself, which is in the space, while the changer waits for it: what it held was flushed, and the rest of
    /// the word is as when it came.
    fn refresh(&self) {
        self.0.store(self.read().0 & !MARKS, Ordering::Relaxed);
    }
}

impl Default for Pass {
    fn default() -> Pass {
        Pass::new()
    }
}

/// Where one CPU is, and what is asked of it.
#[derive(Debug)]
pub struct Presence {
    /// The space it is about to enter, or is in.
    next: AtomicU32,
    /// The space it is in.
    entered: AtomicU32,
    state: AtomicU32,
    kind: AtomicU64,
    first: AtomicU64,
    count: AtomicU64,
}

impl Presence {
    const_unless_modelled! {
        /// A CPU in no space.
        pub fn new() -> Presence {
            Presence {
                next: AtomicU32::new(NO_SPACE),
                entered: AtomicU32::new(NO_SPACE),
                state: AtomicU32::new(IDLE),
                kind: AtomicU64::new(0),
                first: AtomicU64::new(0),
                count: AtomicU64::new(0),
            }
        }
    }

    /// The space the CPU is in. Its own answer is exact; others may be a switch behind.
    #[inline(always)]
    pub fn space(&self) -> u32 {
        self.entered.load(Ordering::Relaxed)
    }

    /// On the CPU itself: publishes that it is about to enter a space by a pass that said `pass`; gives whether the
    /// pass says so still. If not, the CPU is where it was.
    #[inline(always)]
    pub fn enter(&self, space: u32, way: &Pass, pass: PassWord) -> bool {
        // Release: who sees this sees where the CPU has been so far.
        self.next.store(space, Ordering::Release);
        fence(Ordering::SeqCst);
        let good = way.read() == pass || is_seeded(Mutant::NotLookedAgain);
        if good {
            self.entered.store(space, Ordering::Relaxed);
        } else {
            self.next.store(self.entered.load(Ordering::Relaxed), Ordering::Release);
        }
        good
    }

    /// On the CPU itself: it goes to a space that needs no look at a pass.
    pub fn stay(&self, space: u32) {
        self.next.store(space, Ordering::Release);
        self.entered.store(space, Ordering::Relaxed);
    }

    /// For the changer, after its change and after turning passes stale: whether the CPU is in the space, or may yet
    /// turn out to be, so that it must be interrupted.
    pub fn is_in(&self, space: u32) -> bool {
        self.places_after_change().contains(&space)
    }

    /// For the changer, likewise: all spaces that the CPU may be in, so that it must be interrupted for them.
    pub fn places_after_change(&self) -> [u32; 2] {
        if !is_seeded(Mutant::ChangerWithoutFence) {
            fence(Ordering::SeqCst);
        }
        let [next, entered] = self.places();
        [next, if is_seeded(Mutant::TriedSwitchHides) { next } else { entered }]
    }

    /// Where the CPU may be: the space it is about to enter, and the one it is in, mostly the same.
    pub fn places(&self) -> [u32; 2] {
        [self.next.load(Ordering::Acquire), self.entered.load(Ordering::Relaxed)]
    }

    /// On the CPU itself, asked to invalidate pages: does so if it is in the space, which makes its pass good again;
    /// gives whether it is. If not, the pass is stale and stays so. One change must not ask twice for one space: the
    /// first answer would make the pass good while the second is due.
    ///
    /// Where no pass may become good (`stays_stale`), it stays stale as well.
    pub fn invalidate(&self, space: u32, way: &Pass, stays_stale: bool, flush: impl FnOnce()) -> bool {
        if self.space() != space {
            return false;
        }
        flush();
        if !stays_stale {
            way.refresh();
        }
        true
    }

    /// For the changer: puts a request into the CPU's line. The interrupt is the caller's to send.
    pub fn post(&self, request: Request) {
        let (kind, first, count) = match request {
            Request::Park => (PARK, 0, 0),
            Request::Global { first, count } => (GLOBAL, first, count),
            Request::Pages { space, tag, first, count } => {
                (PAGES | u64::from(tag) << 16 | u64::from(space) << 32, first, count)
            }
        };
        self.kind.store(kind, Ordering::Relaxed);
        self.first.store(first, Ordering::Relaxed);
        self.count.store(count, Ordering::Relaxed);
        self.state.store(POSTED, Ordering::Release);
    }

    /// For the changer: whether the CPU has done what was asked.
    pub fn is_acknowledged(&self) -> bool {
        self.state.load(Ordering::Acquire) == IDLE
    }

    /// On the CPU itself: does what was asked and acknowledges it; gives whether anything was.
    #[inline]
    pub fn handle_request(&self, act: impl FnOnce(Request)) -> bool {
        if self.state.load(Ordering::Acquire) != POSTED {
            return false;
        }
        let kind = self.kind.load(Ordering::Relaxed);
        if is_seeded(Mutant::AcknowledgedBefore) {
            self.state.store(IDLE, Ordering::Release);
        }
        let (first, count) = (self.first.load(Ordering::Relaxed), self.count.load(Ordering::Relaxed));
        act(match kind & 0xff {
            PARK => Request::Park,
            GLOBAL => Request::Global { first, count },
            _ => Request::Pages { space: (kind >> 32) as u32, tag: (kind >> 16) as u16, first, count },
        });
        self.state.store(IDLE, Ordering::Release);
        true
    }
}

impl Default for Presence {
    fn default() -> Presence {
        Presence::new()
    }
}
