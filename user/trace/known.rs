//! Calls that are known beforehand, made by a thread of this program.

use crate::record::{Kept, Record};
use crate::tracer::Tracer;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use core::time::Duration;
use demonstration::{Failure, check};
use libvas::thread::{self, Builder};
use libvas::{Error, PAGE_BYTES, Segment, clock, program};
use tessera_abi::syscall::number;

/// How long the thread sleeps.
const NAP: Duration = Duration::from_micros(100);

/// Whether the thread may begin.
static MAY_BEGIN: AtomicU64 = AtomicU64::new(0);

/// Every call is told of, in order, with arguments and results.
pub(crate) fn all_are_told() -> Result<(), Failure> {
    let (time, handle) = traced(None)?;
    let account = program().account().handle().bits();
    let done = |number, first, value| Kept { number, first, status: 0, value };
    let expected = [
        done(number::clock, 0, time),
        done(number::yield_now, 0, 0),
        done(number::sleep, NAP.as_nanos() as u64, 0),
        Kept { number: number::segment_create, first: account, status: Error::BadArgument.status(), value: 0 },
        done(number::segment_create, account, handle),
        done(number::segment_info, handle, 0),
        done(number::capability_delete, handle, 0),
    ];
    let of_the_table = |kept: Kept| Kept { first: if takes_arguments(kept.number) { kept.first } else { 0 }, ..kept };
    check(Record::kept().map(of_the_table).eq(expected), "the calls are those that the thread has made")?;
    check(Record::calls() == expected.len() as u64 + 1, "and one more")?;
    check(Record::count_of(number::thread_exit) == 1, "which is its end")
}

/// Whether a call has arguments at all: words beyond them mean nothing.
fn takes_arguments(number: u64) -> bool {
    ![number::clock, number::yield_now].contains(&number)
}

/// A call that is denied is not made; the others are.
pub(crate) fn one_is_denied() -> Result<(), Failure> {
    let (time, handle) = traced(Some(number::clock))?;
    check(time == 0, "a clock that may not be asked shows nothing")?;
    check(handle != 0, "everything else works")?;
    check(Record::denials() == 1, "one call was denied")?;
    let refusal = Record::kept().next().map(|kept| (kept.number, kept.status));
    check(refusal == Some((number::clock, Error::MissingRight.status())), "with the error that the thread saw")
}

/// Makes the calls in a thread with a tracer; gives what time it was, and the handle that it made.
fn traced(denied: Option<u64>) -> Result<(u64, u64), Failure> {
    Record::begin(denied);
    MAY_BEGIN.store(0, SeqCst);
    let tracer = Tracer::new()?;
    let thread = Builder::new().name("known").spawn(|| {
        // Without a call, so that there are none but those that are known.
        while MAY_BEGIN.load(SeqCst) == 0 {
            core::hint::spin_loop();
        }
        make_calls()
    })?;
    tracer.watch(thread.thread())?;
    MAY_BEGIN.store(1, SeqCst);
    Ok(thread.join()??)
}

fn make_calls() -> Result<(u64, u64), Error> {
    let time = clock::now().as_nanos() as u64;
    thread::yield_now();
    clock::sleep(NAP);
    if Segment::new(program().account(), 0).err() != Some(Error::BadArgument) {
        return Err(Error::BadState);
    }
    let segment = Segment::new(program().account(), PAGE_BYTES)?;
    segment.info()?;
    let handle = segment.handle().bits();
    segment.delete()?;
    Ok((time, handle))
}
