//! Threads that end with something in hand: whatever they were at, the others allocate, print, spawn, join, and lock.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use conformance::{
    Claim, Failure, Random, UNMAPPED, Verdict, claim, ensure, ensure_eq, poke, refused, run,
    the_kernel_passes_its_own_checks, wait_for_state, wait_until,
};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use libvas::sync::Mutex;
use libvas::thread::{self, JoinHandle, ThreadState};
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Thread, clock, counters, program};
use rt::{PANIC_CODE, println};

rt::main!(main);

fn main() -> u8 {
    const CLAIMS: &[Claim] = &[
        claim!(threads_stopped_while_they_allocate_hurt_nobody),
        claim!(threads_stopped_while_they_print_hurt_nobody),
        claim!(threads_stopped_while_they_spawn_hurt_nobody),
        claim!(threads_stopped_in_a_window_hurt_nobody),
        claim!(a_display_may_end_its_thread_or_print),
        claim!(a_panic_may_panic_or_fault_in_its_message),
        claim!(a_destructor_may_fault_or_panic),
        claim!(an_allocation_that_is_refused_hurts_nobody),
        claim!(heap_memory_is_what_it_was_asked_to_be),
        claim!(memory_of_large_blocks_goes_back_to_the_account),
        claim!(threads_that_allocate_at_once_get_different_memory),
        claim!(a_lock_counts_under_load),
        claim!(a_lock_whose_owner_has_ended_is_renewed_once),
        claim!(a_lock_whose_owner_has_ended_is_not_waited_for),
        claim!(a_lock_whose_owner_lives_is_waited_for),
        claim!(a_lock_taken_twice_is_noticed),
        claim!(the_kernel_passes_its_own_checks),
    ];
    run("robust", CLAIMS)
}

/// Everything that a program's threads must be able to do, done.
fn all_is_well() -> Verdict {
    let mut kept = Vec::new();
    for exponent in 0..18 {
        let mut block: Vec<u8> = Vec::with_capacity(1 << exponent);
        block.resize(1 << exponent, exponent);
        kept.push(block);
    }
    let workers = [1_u64, 2, 3].map(|number| {
        thread::spawn(move || {
            let text: Vec<String> = (0..number * 10).map(|line| alloc::format!("{line}")).collect();
            text.len() as u64
        })
    });
    for (worker, number) in workers.into_iter().zip(1..) {
        ensure_eq!(worker?.join()?, number * 10);
    }
    for (block, exponent) in kept.iter().zip(0..) {
        ensure!(block.len() == 1 << exponent && block.iter().all(|byte| *byte == exponent), "a block of {exponent}");
    }
    let (segment, mut bytes) = (Segment::new(program().account(), PAGE_BYTES)?, [0; 3]);
    segment.write(8, b"abc")?;
    segment.read(8, &mut bytes)?;
    ensure_eq!(&bytes, b"abc");
    Ok(())
}

/// How long stopping threads goes on, at least [`ROUNDS_MIN`] times: a machine that is slow shows no more by more rounds.
const ROUNDS_TIME: Duration = Duration::from_secs(8);
const ROUNDS_MIN: u64 = 20;

/// Starts a thread that does something again and again, and stops it after a while that is different each time.
fn stop_at_random(rounds: u64, act: impl Fn(&AtomicU64) + Send + Copy + 'static) -> Verdict {
    static TURNS: AtomicU64 = AtomicU64::new(0);
    let mut random = Random::new(0x0b57);
    let deadline = clock::now() + ROUNDS_TIME;
    for _ in (0..rounds).take_while(|round| *round < ROUNDS_MIN || clock::now() < deadline) {
        let before = TURNS.load(Ordering::Relaxed);
        let worker = thread::spawn(move || {
            loop {
                act(&TURNS);
                TURNS.fetch_add(1, Ordering::Relaxed);
            }
        })?;
        wait_until(|| Ok(TURNS.load(Ordering::Relaxed) != before))?;
        thread::sleep(Duration::from_nanos(random.below(100_000)));
        worker.thread().stop()?;
        refused::<()>(worker.join(), Error::Gone)?;
    }
    Ok(())
}

/// Hundreds of threads are stopped somewhere in the allocator; it serves on, and hands nothing out twice.
fn threads_stopped_while_they_allocate_hurt_nobody() -> Verdict {
    stop_at_random(300, |turns| {
        let size = 16 << (turns.load(Ordering::Relaxed) % 10);
        let block: Vec<u8> = Vec::with_capacity(size);
        drop((Box::new(size), block));
    })?;
    stop_at_random(ROUNDS_MIN, |_| drop(Vec::<u8>::with_capacity(100_000)))?;
    all_is_well()
}

/// Threads are stopped while they format and print; others print on.
fn threads_stopped_while_they_print_hurt_nobody() -> Verdict {
    stop_at_random(15, |turns| {
        if turns.load(Ordering::Relaxed).is_multiple_of(1000) {
            println!("a thread that will be stopped prints");
        }
        rt::print!("{Nothing}");
    })?;
    println!("and this one prints on");
    all_is_well()
}

/// Has nothing to display.
struct Nothing;

impl fmt::Display for Nothing {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// Threads are stopped while they start threads and wait for them; others do it on.
fn threads_stopped_while_they_spawn_hurt_nobody() -> Verdict {
    stop_at_random(60, |_| {
        // What a stopped thread left behind may be missing here.
        let _ = thread::spawn(|| 1).and_then(JoinHandle::join);
    })?;
    all_is_well()
}

/// Threads are stopped while they look into segments; others look on.
fn threads_stopped_in_a_window_hurt_nobody() -> Verdict {
    stop_at_random(60, |_| {
        let mut bytes = [0; 8];
        let _ = Segment::new(program().account(), PAGE_BYTES).and_then(|segment| segment.read(8, &mut bytes));
    })?;
    all_is_well()
}

/// What a `Display` does besides displaying.
#[derive(Clone, Copy)]
enum Manner {
    Panics,
    Faults,
    Exits,
    Prints,
    Sleeps,
}

impl fmt::Display for Manner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("begun, ")?;
        match self {
            Manner::Panics => panic!("a Display that panics"),
            Manner::Faults => poke(UNMAPPED, 1),
            Manner::Exits => thread::exit(5),
            Manner::Prints => println!("(printed within) {}", String::from("text")),
            Manner::Sleeps => thread::sleep(Duration::from_secs(3600)),
        }
        formatter.write_str("ended")
    }
}

/// How a thread ended that does this: joining it as an object.
fn end_of(body: impl FnOnce() + Send + 'static) -> Result<Result<u64, Error>, Error> {
    Ok(thread::spawn(body)?.thread().join())
}

/// A `Display` within `println!` may panic, fault, exit, print, or be stopped; then the others still print.
fn a_display_may_end_its_thread_or_print() -> Verdict {
    let ends = [
        (Manner::Panics, Ok(u64::from(PANIC_CODE))),
        (Manner::Faults, Err(Error::Faulted)),
        (Manner::Exits, Ok(5)),
        (Manner::Prints, Ok(0)),
    ];
    for (manner, end) in ends {
        ensure_eq!(end_of(move || println!("display: {manner}"))?, end);
        all_is_well()?;
    }
    let sleeper = thread::spawn(|| println!("display: {}", Manner::Sleeps))?;
    wait_for_state(sleeper.thread(), ThreadState::Sleeping)?;
    println!("printed while another thread is within a println");
    sleeper.thread().stop()?;
    refused(sleeper.join(), Error::Gone)?;
    println!("printed after it was stopped there");
    all_is_well()
}

/// A panic whose message panics ends its thread like any other, more than once; and so does a fault there.
fn a_panic_may_panic_or_fault_in_its_message() -> Verdict {
    for _ in 0..3 {
        ensure_eq!(end_of(|| panic!("{}", Manner::Panics))?, Ok(u64::from(PANIC_CODE)));
        ensure_eq!(end_of(|| panic!("{}", Manner::Faults))?, Err(Error::Faulted));
        ensure_eq!(end_of(|| panic!("{}", Manner::Prints))?, Ok(u64::from(PANIC_CODE)));
    }
    all_is_well()
}

/// Its destructor does this.
struct Dropped(Manner);

impl Drop for Dropped {
    fn drop(&mut self) {
        println!("dropped: {}", self.0);
    }
}

/// A destructor may fault or panic, also in the middle of a collection.
fn a_destructor_may_fault_or_panic() -> Verdict {
    for (manner, end) in [(Manner::Faults, Err(Error::Faulted)), (Manner::Panics, Ok(u64::from(PANIC_CODE)))] {
        let several = move || drop([Manner::Prints, manner, Manner::Prints].map(|manner| Box::new(Dropped(manner))));
        ensure_eq!(end_of(several)?, end);
        ensure_eq!(end_of(move || drop(Arc::new(Dropped(manner))))?, end);
    }
    all_is_well()
}

/// Takes all that the account can pay; what it took.
fn exhaust() -> Result<Vec<Cap<Segment>>, Error> {
    let mut taken = Vec::with_capacity(1000);
    let mut length_bytes = 64 << 20;
    loop {
        let made = match length_bytes {
            // Without memory, it costs what the object does.
            0 => Segment::new_lazy(program().account(), PAGE_BYTES),
            _ => Segment::new(program().account(), length_bytes),
        };
        match made {
            Ok(segment) => taken.push(segment),
            Err(Error::AccountExhausted | Error::OutOfMemory) if length_bytes == 0 => return Ok(taken),
            Err(Error::AccountExhausted | Error::OutOfMemory) if length_bytes == PAGE_BYTES => length_bytes = 0,
            Err(Error::AccountExhausted | Error::OutOfMemory) => length_bytes /= 2,
            Err(other) => return Err(other),
        }
    }
}

/// Makes the memory of the stack that calls to come will need.
fn touch_stack() {
    core::hint::black_box([1_u8; 0x6000]);
}

/// With nothing left, an allocation is refused, or ends its thread; what fits is served, text is printed, and all is well
/// again when there is something.
fn an_allocation_that_is_refused_hurts_nobody() -> Verdict {
    static STATE: AtomicU64 = AtomicU64::new(0);
    let spare = Vec::<u8>::with_capacity(1000);
    let panics = thread::spawn(|| {
        touch_stack();
        STATE.store(1, Ordering::Release);
        while STATE.load(Ordering::Acquire) == 1 {
            thread::sleep(Duration::from_micros(300));
        }
        drop(core::hint::black_box(Vec::<u8>::with_capacity(48 << 20)));
    })?;
    wait_until(|| Ok(STATE.load(Ordering::Acquire) == 1))?;
    touch_stack();
    let taken = exhaust()?;
    let refusals = (0..200).filter(|_| Vec::<u8>::new().try_reserve_exact(48 << 20).is_err()).count();
    STATE.store(2, Ordering::Release);
    let ended = panics.thread().join();
    drop(spare);
    let served = Vec::<u8>::new().try_reserve_exact(1000).is_ok();
    println!("printed with nothing left");
    let spawned = thread::spawn(|| ()).err();
    drop(taken);
    ensure_eq!((refusals, served), (200, true));
    ensure_eq!(ended, Ok(u64::from(PANIC_CODE)));
    ensure!(matches!(spawned, Some(Error::AccountExhausted | Error::OutOfMemory)), "{spawned:?}");
    all_is_well()
}

macro_rules! aligned {
    ($($name:ident $bytes:literal),*) => {$(
        #[repr(align($bytes))]
        struct $name;
    )*};
}

aligned!(By16 16, By64 64, By4096 4096, By64Ki 65_536, By2Mi 2_097_152);

/// Blocks for so many bytes, three at a time, are apart and aligned to what the type asks for.
fn blocks_are_aligned<T>(bytes: usize) -> Verdict {
    // A type without a size needs no block.
    let capacity = bytes.div_ceil(size_of::<(T, u8)>());
    let blocks = [(); 3].map(|()| Vec::<(T, u8)>::with_capacity(capacity));
    let mut places = blocks.each_ref().map(|block| block.as_ptr().addr());
    places.sort_unstable();
    ensure!(places.iter().all(|place| place.is_multiple_of(align_of::<T>())), "{bytes} bytes at {places:x?}");
    ensure!(places.windows(2).all(|pair| pair[0] + bytes <= pair[1]), "{bytes} bytes at {places:x?}");
    Ok(())
}

/// Blocks of every size and alignment are aligned, apart, zero if that was asked for, and keep what is in them when
/// they grow and shrink.
fn heap_memory_is_what_it_was_asked_to_be() -> Verdict {
    for exponent in [0, 3, 4, 9, 12, 15, 16, 17, 21] {
        let bytes = 1_usize << exponent;
        blocks_are_aligned::<By16>(bytes)?;
        blocks_are_aligned::<By64>(bytes)?;
        blocks_are_aligned::<By4096>(bytes)?;
        blocks_are_aligned::<By64Ki>(bytes)?;
        blocks_are_aligned::<By2Mi>(bytes)?;
        let mut block = alloc::vec![0_u8; bytes];
        ensure!(block.iter().all(|byte| *byte == 0), "{bytes} bytes are zero");
        block.fill(7);
        block.extend_from_slice(&[9; 3]);
        ensure!(block.iter().filter(|byte| **byte == 7).count() == bytes && block.ends_with(&[9; 3]), "{bytes} bytes");
        block.truncate(bytes / 2 + 1);
        block.shrink_to_fit();
        ensure!(block.iter().all(|byte| *byte == 7), "{bytes} bytes keep their value");
    }
    Ok(())
}

/// A 100 MiB block costs while it is there, as far as it is touched, and not afterwards.
fn memory_of_large_blocks_goes_back_to_the_account() -> Verdict {
    let mut left = Vec::with_capacity(3);
    for _ in 0..3 {
        let mut block: Vec<u8> = Vec::with_capacity(100 << 20);
        let before = program().account().available_bytes()?;
        block.resize(4 << 20, 1);
        ensure!(before - program().account().available_bytes()? >= 4 << 20, "what is touched is paid for");
        drop(block);
        left.push(program().account().available_bytes()?);
    }
    ensure_eq!(left[1], left[2]);
    Ok(())
}

/// Threads on all CPUs fill blocks with their own number, and find nobody else's.
fn threads_that_allocate_at_once_get_different_memory() -> Verdict {
    let threads = (1..=2 * counters::cpus()?).map(|number| {
        thread::spawn(move || {
            let mut random = Random::new(number);
            let mut blocks: Vec<Vec<u64>> = Vec::new();
            let mut wrong = 0;
            for _ in 0..1500 {
                if blocks.len() < 12 && random.below(2) == 0 {
                    let limit = 1 << random.below(12);
                    blocks.push(alloc::vec![number; 1 + random.below(limit) as usize]);
                } else if let Some(block) = blocks.pop() {
                    wrong += block.iter().filter(|word| **word != number).count();
                }
            }
            wrong
        })
    });
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        ensure_eq!(thread?.join()?, 0);
    }
    all_is_well()
}

/// Threads on all CPUs count two numbers in a lock, which are always equal and lose nothing.
fn a_lock_counts_under_load() -> Verdict {
    const TURNS: u64 = 2000;
    static COUNTS: Mutex<(u64, u64)> = Mutex::new((0, 0));
    let count = 2 * counters::cpus()?;
    let threads: Vec<_> = (0..count)
        .map(|_| {
            thread::spawn(|| {
                let mut wrong = 0;
                for turn in 0..TURNS {
                    COUNTS.lock(|(first, second)| {
                        wrong += u64::from(first != second);
                        *first += 1;
                        if turn % 256 == 0 {
                            thread::yield_now();
                        }
                        *second += 1;
                    });
                }
                wrong
            })
        })
        .collect();
    for thread in threads {
        ensure_eq!(thread?.join()?, 0);
    }
    ensure_eq!(COUNTS.try_lock(|counts| *counts), Some((count * TURNS, count * TURNS)));
    Ok(())
}

/// A lock with a value on the heap.
type Names = Mutex<Vec<u64>>;

/// A way to end with a lock in hand, and what joining the thread then gives; the first waits until it is stopped.
type End = (fn(&Names), Result<u64, Error>);

const ENDS: [End; 4] = [
    (|lock| lock.lock(|_| thread::sleep(Duration::from_secs(3600))), Err(Error::Gone)),
    (|lock| lock.lock(|_| poke(UNMAPPED, 1)), Err(Error::Faulted)),
    (|lock| lock.lock(|_| panic!("while it has the lock")), Ok(PANIC_CODE as u64)),
    (|lock| lock.lock(|_| thread::exit(3)), Ok(3)),
];

/// Lets a thread end with a lock in hand; the thread, not joined by its maker yet.
fn abandoned(lock: &Arc<Names>, way: usize) -> Result<JoinHandle<()>, Failure> {
    let owners = Arc::clone(lock);
    let owner = thread::spawn(move || ENDS[way].0(&owners))?;
    wait_until(|| Ok(lock.try_lock(|_| ()).is_none()))?;
    if ENDS[way].1 == Err(Error::Gone) {
        owner.thread().stop()?;
    }
    ensure_eq!(owner.thread().join(), ENDS[way].1);
    Ok(owner)
}

/// Several threads wait for a lock whose owner was stopped, faulted, panicked or exited, be its handle still there or
/// not: one of them renews it, and all go on.
fn a_lock_whose_owner_has_ended_is_renewed_once() -> Verdict {
    for (way, is_joined) in (0..ENDS.len()).flat_map(|way| [(way, false), (way, true)]) {
        let lock = Arc::new(Names::new(alloc::vec![1, 2, 3]));
        let owner = abandoned(&lock, way)?;
        if is_joined {
            ensure!(owner.join().is_err(), "it gave no result");
        }
        let waiters = [10_u64, 11, 12].map(|number| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || lock.lock_or_renew(|| alloc::vec![0], |names| names.push(number)))
        });
        for waiter in waiters {
            waiter?.join()?;
        }
        lock.lock(|names| names.sort_unstable());
        ensure_eq!(lock.lock(|names| names.clone()), [0, 10, 11, 12]);
    }
    all_is_well()
}

/// `lock` says so in a panic, each time, and `try_lock` that it is taken.
fn a_lock_whose_owner_has_ended_is_not_waited_for() -> Verdict {
    let lock = Arc::new(Names::new(Vec::new()));
    let _owner = abandoned(&lock, 0)?;
    for _ in 0..2 {
        let waiters = Arc::clone(&lock);
        ensure_eq!(end_of(move || waiters.lock(|names| names.push(1)))?, Ok(u64::from(PANIC_CODE)));
    }
    ensure_eq!(lock.try_lock(|names| names.len()), None);
    Ok(())
}

/// A thread that has the lock and sleeps, or whose handle was given up by number, still has it.
fn a_lock_whose_owner_lives_is_waited_for() -> Verdict {
    static GO: AtomicU64 = AtomicU64::new(0);
    for forgets_handle in [false, true] {
        GO.store(0, Ordering::Release);
        let lock = Arc::new(Names::new(Vec::new()));
        let owners = Arc::clone(&lock);
        let owner = thread::spawn(move || {
            owners.lock(|names| {
                while GO.load(Ordering::Acquire) == 0 {
                    thread::sleep(Duration::from_micros(300));
                }
                names.push(1);
            });
        })?;
        wait_until(|| Ok(lock.try_lock(|_| ()).is_none()))?;
        let kept = owner.thread().derive(Rights::all(), 0)?;
        if forgets_handle {
            drop(Cap::<Thread>::from_handle(owner.thread().handle()));
        }
        let waiters = Arc::clone(&lock);
        let waiter = thread::spawn(move || waiters.lock_or_renew(|| alloc::vec![7], |names| names.push(2)))?;
        thread::sleep(Duration::from_millis(20));
        ensure_eq!(lock.try_lock(|_| ()), None);
        GO.store(1, Ordering::Release);
        waiter.join()?;
        ensure_eq!(kept.join(), Ok(0));
        ensure_eq!(lock.lock(|names| names.clone()), [1, 2]);
    }
    Ok(())
}

/// A thread that takes a lock within itself is told, instead of waiting for ever; the lock is then an ended thread's.
fn a_lock_taken_twice_is_noticed() -> Verdict {
    let lock = Arc::new(Names::new(Vec::new()));
    let owners = Arc::clone(&lock);
    let twice = move || owners.lock(|_| owners.lock_or_renew(Vec::new, |names| names.push(1)));
    ensure_eq!(end_of(twice)?, Ok(u64::from(PANIC_CODE)));
    ensure_eq!(lock.lock_or_renew(|| alloc::vec![4], |names| names.len()), 1);
    Ok(())
}
