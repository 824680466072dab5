//! The big lock: who takes it next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tessera_arch::fake;
use tessera_kernel::base::sync::BigLock;

/// Longer than a CPU tries its luck.
const LONG_NS: u64 = 20_000_000;
/// So many that the clock was read before.
const LOOKS: u32 = 10_000;

/// A second CPU that waits for the lock, adds its number to what is inside, and keeps it until it is let go.
struct Waiter {
    thread: thread::JoinHandle<()>,
    let_go: Arc<AtomicBool>,
}

impl Waiter {
    /// `long_ns` passes on its clock while it looks for the first time.
    fn start(lock: &Arc<BigLock<Vec<usize>>>, cpu: usize, long_ns: u64) -> Waiter {
        let (lock, let_go) = (Arc::clone(lock), Arc::new(AtomicBool::new(false)));
        let gate = Arc::clone(&let_go);
        let thread = thread::spawn(move || {
            fake::cpu::set_cpu_index(cpu);
            let mut looks = 0;
            let mut guard = lock.lock(|| {
                looks += 1;
                if looks == LOOKS {
                    fake::timer::advance_ns(long_ns);
                }
            });
            guard.push(cpu);
            while !gate.load(Ordering::Acquire) {
                thread::yield_now();
            }
        });
        Waiter { thread, let_go }
    }

    fn end(self) {
        self.let_go.store(true, Ordering::Release);
        self.thread.join().expect("the waiter ends well");
    }
}

#[test]
fn a_cpu_that_waited_long_is_next_and_the_others_leave_the_lock_to_it() {
    let lock = Arc::new(BigLock::new(Vec::new()));
    let guard = lock.lock(|| ());
    let waiter = Waiter::start(&lock, 1, LONG_NS);
    while lock.next_cpu().is_none() {
        thread::yield_now();
    }
    assert_eq!(lock.next_cpu(), Some(1));
    drop(guard);
    // From here on this one has no chance, however quick it is, before the other took it and gave it back.
    for _ in 0..1_000 {
        assert!(lock.try_lock().is_none(), "it is the other's turn");
    }
    while lock.next_cpu().is_some() {
        thread::yield_now();
    }
    assert!(lock.try_lock().is_none(), "the waiter holds it");
    waiter.end();
    assert_eq!(*lock.try_lock().expect("free, and nobody is next"), [1]);
}

#[test]
fn a_cpu_that_waited_a_moment_is_not_next() {
    let lock = Arc::new(BigLock::new(Vec::new()));
    let guard = lock.lock(|| ());
    let waiter = Waiter::start(&lock, 1, 0);
    for _ in 0..100 {
        assert_eq!(lock.next_cpu(), None);
        thread::yield_now();
    }
    drop(guard);
    waiter.end();
    assert_eq!(*lock.lock(|| ()), [1]);
}

#[test]
fn two_that_waited_long_both_have_their_turn() {
    let lock = Arc::new(BigLock::new(Vec::new()));
    let guard = lock.lock(|| ());
    let waiters = [1, 2].map(|cpu| Waiter::start(&lock, cpu, LONG_NS));
    while lock.next_cpu().is_none() {
        thread::yield_now();
    }
    drop(guard);
    for waiter in &waiters {
        waiter.let_go.store(true, Ordering::Release);
    }
    waiters.into_iter().for_each(Waiter::end);
    let mut seen = lock.lock(|| ()).clone();
    seen.sort_unstable();
    assert_eq!((seen, lock.next_cpu()), (vec![1, 2], None));
}

#[test]
fn a_lock_that_never_comes_is_told_of() {
    let lock = Arc::new(BigLock::new(()));
    let _guard = lock.lock(|| ());
    let other = Arc::clone(&lock);
    let waiter = thread::spawn(move || drop(other.lock(|| fake::timer::advance_ns(1_000_000_000))));
    let told = waiter.join().expect_err("it gives up");
    let told = told.downcast_ref::<String>().expect("a panic with arguments");
    assert_eq!(told, "the kernel's lock did not come for 300 s");
}

/// Who gives the lock up between two steps of long work gets it back after whoever waited.
#[test]
fn a_cpu_that_waits_goes_before_one_that_comes_back() {
    let lock = Arc::new(BigLock::new(Vec::new()));
    let guard = lock.lock(|| ());
    assert!(!lock.is_waited_for());
    let waiter = Waiter::start(&lock, 1, 0);
    while !lock.is_waited_for() {
        thread::yield_now();
    }
    drop(guard);
    let mut waiter = Some(waiter);
    let guard = lock.lock_behind(|| {
        // Not before the other has had it.
        waiter.take().into_iter().for_each(Waiter::end);
    });
    assert_eq!(*guard, [1]);
    drop(guard);
    waiter.into_iter().for_each(Waiter::end);
}
