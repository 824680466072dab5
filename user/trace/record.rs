//! What the tracer keeps in mind. Several threads are here at once, each at its own words; calls are kept word by word for one thread.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tessera_abi::syscall::DESCRIPTIONS;

/// How many threads can be told from each other; further ones are not followed.
pub(crate) const THREADS: usize = 32;

/// How many calls are kept word by word.
const KEPT: usize = 16;

/// How many calls there can be in the table.
const NUMBERS: usize = 128;

const _: () = assert!(DESCRIPTIONS.len() <= NUMBERS);

/// A call that is made: its number plus one, and its arguments.
type Words = [AtomicU64; 7];

/// Of each thread, the call that it is in.
static PENDING: [Words; THREADS] = [const { [const { AtomicU64::new(0) }; 7] }; THREADS];

/// The first calls, with what came of them. If several threads come at once they may mix.
static KEPT_CALLS: [[AtomicU64; 4]; KEPT] = [const { [const { AtomicU64::new(0) }; 4] }; KEPT];

static COUNTS: [AtomicU64; NUMBERS] = [const { AtomicU64::new(0) }; NUMBERS];
static CALLS: AtomicU64 = AtomicU64::new(0);
static DENIALS: AtomicU64 = AtomicU64::new(0);
/// The number of the call that is denied, plus one.
static DENIED: AtomicU64 = AtomicU64::new(0);
static FOLLOWED: AtomicU64 = AtomicU64::new(0);

/// A call as it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) number: u64,
    pub(crate) first: u64,
    pub(crate) status: u64,
    pub(crate) value: u64,
}

/// The tracer's memory.
pub(crate) struct Record;

impl Record {
    /// Forgets everything, and what is to be denied from here on.
    pub(crate) fn begin(denied: Option<u64>) {
        let kept = KEPT_CALLS.as_flattened().iter();
        let words = PENDING.as_flattened().iter().chain(kept).chain(&COUNTS);
        words.chain([&CALLS, &DENIALS, &FOLLOWED]).for_each(|word| word.store(0, Relaxed));
        DENIED.store(denied.map_or(0, |number| number + 1), Relaxed);
    }

    /// Whether a call is denied.
    pub(crate) fn denies(number: u64) -> bool {
        DENIED.load(Relaxed) == number + 1
    }

    /// A thread is about to make a call.
    pub(crate) fn called(thread: u64, number: u64, arguments: [u64; 6]) {
        CALLS.fetch_add(1, Relaxed);
        if let Some(count) = COUNTS.get(number as usize) {
            count.fetch_add(1, Relaxed);
        }
        let words = &PENDING[thread as usize % THREADS];
        let values = [number + 1].into_iter().chain(arguments);
        words.iter().zip(values).for_each(|(word, value)| word.store(value, Relaxed));
    }

    /// The call that a thread is in is over: gives its arguments, if it is that call.
    pub(crate) fn over(thread: u64, number: u64) -> Option<[u64; 6]> {
        let [first, rest @ ..] = &PENDING[thread as usize % THREADS];
        (first.swap(0, Relaxed) == number + 1).then(|| rest.each_ref().map(|word| word.load(Relaxed)))
    }

    /// A call was denied.
    pub(crate) fn denied() {
        DENIALS.fetch_add(1, Relaxed);
    }

    /// Keeps a call, if there is room.
    pub(crate) fn keep(kept: Kept) {
        let free = KEPT_CALLS.iter().find(|words| words[0].load(Relaxed) == 0);
        let values = [kept.number + 1, kept.first, kept.status, kept.value];
        free.into_iter().flatten().zip(values).for_each(|(word, value)| word.store(value, Relaxed));
    }

    /// The calls that were kept, the first ones first.
    pub(crate) fn kept() -> impl Iterator<Item = Kept> {
        let read = KEPT_CALLS.iter().map(|words| words.each_ref().map(|word| word.load(Relaxed)));
        read.filter_map(|[number, first, status, value]| {
            Some(Kept { number: number.checked_sub(1)?, first, status, value })
        })
    }

    /// A number for one more thread, if there is one left.
    pub(crate) fn next_thread() -> Option<u64> {
        let number = FOLLOWED.fetch_add(1, Relaxed) + 1;
        (number < THREADS as u64).then_some(number)
    }

    /// How many calls there were.
    pub(crate) fn calls() -> u64 {
        CALLS.load(Relaxed)
    }

    /// How many were denied.
    pub(crate) fn denials() -> u64 {
        DENIALS.load(Relaxed)
    }

    /// How many there were of this number.
    pub(crate) fn count_of(number: u64) -> u64 {
        COUNTS.get(number as usize).map_or(0, |count| count.load(Relaxed))
    }
}
