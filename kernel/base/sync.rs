//! Locks with ranks, and the big lock.
//!
//! | rank | lock | held while |
//! |---|---|---|
//! | 1 | the big lock ([`BigLock`]) | the kernel works on anything in `Kernel` |
//! | 2 | the heap (`mem::heap`) | one block is allocated or freed |
//! | 3 | the console's writer (`console`) | one text is copied in |
//!
//! A lock is only taken while locks of lower rank are held; debug builds check that on every CPU. Nobody
//! waits for another CPU while holding a lock of rank 2 or 3; who waits for the big lock serves shootdowns
//! meanwhile, so its holder may wait for their acknowledgement.

use core::sync::atomic::{AtomicU32, Ordering};

use spin::{Mutex, MutexGuard};
use tessera_arch::CPUS_MAX;

/// Which ranks each CPU holds, a bit each.
static HELD: [AtomicU32; CPUS_MAX] = [const { AtomicU32::new(0) }; CPUS_MAX];

/// On a host every test thread plays the same CPUs, so there nothing is noted.
const IS_CHECKED: bool = cfg!(all(debug_assertions, target_os = "none"));

/// Notes that the calling CPU takes a lock of this rank; dropping it notes the release.
///
/// # Panics
/// In debug builds, if a lock of this or a higher rank is held.
#[derive(Debug)]
#[must_use = "the rank counts as held until this is dropped"]
pub struct Rank(u32);

impl Rank {
    /// Takes the rank.
    pub fn take(rank: u32) -> Rank {
        if IS_CHECKED {
            let held = &HELD[tessera_arch::cpu_index()];
            let before = held.load(Ordering::Relaxed);
            assert!(before >> rank == 0, "a lock of rank {rank} is taken while ranks {before:#b} are held");
            held.store(before | 1 << rank, Ordering::Relaxed);
        }
        Rank(rank)
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        if IS_CHECKED {
            HELD[tessera_arch::cpu_index()].fetch_and(!(1 << self.0), Ordering::Relaxed);
        }
    }
}

/// Rank of the big lock.
pub const RANK_KERNEL: u32 = 1;
/// Rank of the heap's lock.
pub const RANK_HEAP: u32 = 2;
/// Rank of the console's lock.
pub const RANK_CONSOLE: u32 = 3;

/// How long a CPU waits for another before it says that something is wrong: longer than an emulator on a busy host
/// leaves one of its CPUs without time.
const PATIENCE_NS: u64 = 300_000_000_000;

/// How long a CPU tries its luck for the big lock before its turn is kept for it.
const LUCK_NS: u64 = 10_000_000;

/// Looks between two glances at the clock.
const LOOKS: u32 = 1 << 10;

/// Waiting for another CPU, which must not be for ever and without a word.
#[derive(Debug, Default)]
pub struct Patience {
    looks: u32,
    begin_ns: Option<u64>,
}

impl Patience {
    /// Spins a moment. Gives how long it has waited, now and then; zero otherwise.
    ///
    /// # Panics
    /// After five minutes: `what` names what did not come.
    #[inline]
    pub fn spin(&mut self, what: &str) -> u64 {
        tessera_arch::relax();
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(LOOKS) {
            return 0;
        }
        let now_ns = tessera_arch::now_ns();
        let waited_ns = now_ns - *self.begin_ns.get_or_insert(now_ns);
        assert!(waited_ns < PATIENCE_NS, "{what} did not come for {} s", PATIENCE_NS / 1_000_000_000);
        waited_ns
    }
}

/// The lock around all kernel state. Whoever waits for it keeps serving others.
///
/// The first CPU to see it free takes it: in an emulator, or under a hypervisor, a CPU whose turn it would be may not
/// be running at all, and every other one would wait for it. But one that had no luck for long is next: the others
/// leave the lock to it. So a CPU waits for at most as many turns as there are CPUs, and a turn kept for one that
/// does not run is rare enough to cost little.
pub struct BigLock<T> {
    value: Mutex<T>,
    /// The CPU that is next, plus one; zero if the first to come takes the lock.
    next: AtomicU32,
    /// How many CPUs wait for it.
    waiting: AtomicU32,
}

/// Access to what the big lock protects.
pub struct BigGuard<'a, T> {
    value: MutexGuard<'a, T>,
    _rank: Rank,
}

impl<T> BigLock<T> {
    /// A free lock.
    pub const fn new(value: T) -> BigLock<T> {
        BigLock { value: Mutex::new(value), next: AtomicU32::new(0), waiting: AtomicU32::new(0) }
    }

    /// Takes the lock, calling `meanwhile` again and again while it waits.
    #[inline(always)]
    pub fn lock(&self, meanwhile: impl FnMut()) -> BigGuard<'_, T> {
        match self.try_lock() {
            Some(guard) => guard,
            None => self.wait(meanwhile),
        }
    }

    /// Takes the lock once more after it was given up for others: a CPU that waits for it goes first, unless it does not
    /// run just now.
    pub fn lock_behind(&self, mut meanwhile: impl FnMut()) -> BigGuard<'_, T> {
        let mut looks = 0;
        while looks < LOOKS && self.is_waited_for() && !self.value.is_locked() {
            meanwhile();
            tessera_arch::relax();
            looks += 1;
        }
        self.lock(meanwhile)
    }

    /// Whether a CPU waits for the lock.
    pub fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != 0
    }

    /// Takes the lock if it is free and no CPU has waited for it for long.
    #[inline(always)]
    pub fn try_lock(&self) -> Option<BigGuard<'_, T>> {
        if self.next.load(Ordering::Relaxed) != 0 { None } else { self.value.try_lock().map(BigGuard::new) }
    }

    /// The CPU that has waited so long that the others leave the lock to it.
    pub fn next_cpu(&self) -> Option<usize> {
        (self.next.load(Ordering::Relaxed) as usize).checked_sub(1)
    }

    #[cold]
    #[inline(never)]
    fn wait(&self, mut meanwhile: impl FnMut()) -> BigGuard<'_, T> {
        let me = tessera_arch::cpu_index() as u32 + 1;
        let mut patience = Patience::default();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        loop {
            meanwhile();
            if patience.spin("the kernel's lock") > LUCK_NS {
                // If another is next, that is no harm: it is this one's turn soon after.
                let _ = self.next.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed);
            }
            let is_next = self.next.load(Ordering::Relaxed) == me;
            if let Some(guard) = if is_next { self.take() } else { self.try_lock() } {
                if is_next {
                    self.next.store(0, Ordering::Relaxed);
                }
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                return guard;
            }
        }
    }

    #[inline(always)]
    fn take(&self) -> Option<BigGuard<'_, T>> {
        // Looking before trying leaves the line in peace while another CPU holds the lock.
        let value = if self.value.is_locked() { None } else { self.value.try_lock() };
        value.map(BigGuard::new)
    }
}

impl<'a, T> BigGuard<'a, T> {
    #[inline(always)]
    fn new(value: MutexGuard<'a, T>) -> BigGuard<'a, T> {
        BigGuard { value, _rank: Rank::take(RANK_KERNEL) }
    }
}

impl<T> core::ops::Deref for BigGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> core::ops::DerefMut for BigGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
