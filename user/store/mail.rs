//! Letters: memory in which clients leave requests and a server thread leaves answers, which is mapped where either is.

use crate::request::{Request, Words, answer_to_words};
use crate::table;
use core::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence};
use libvas::{Cap, Error, Place, Space, TOP_SLOT_BYTES, thread};

/// Where it is.
pub(crate) const START: u64 = 41 * TOP_SLOT_BYTES;

/// How many boxes there are: one for each client, and the last for who looks after the store.
pub(crate) const BOXES: u64 = 13;

/// How far one box is from the next: two lines of cache.
const STRIDE: u64 = 128;

// What the first word of a box says.
const IDLE: u64 = 0;
const ASKED: u64 = 1;
const ANSWERED: u64 = 2;

/// Whether the server is to end.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Puts a request into a box, and waits for the answer.
pub(crate) fn ask(number: u64, words: &Words) -> Result<Words, Error> {
    let state = Place::<u64>::new(START + number * STRIDE)?;
    write(state, words)?;
    fence(Release);
    state.set(ASKED);
    while state.get() != ANSWERED {
        thread::yield_now();
    }
    fence(Acquire);
    let answer = read(state)?;
    state.set(IDLE);
    Ok(answer)
}

fn write(state: Place<u64>, words: &Words) -> Result<(), Error> {
    (1..).zip(words).try_for_each(|(index, word)| state.at(index).map(|place| place.set(*word)))
}

fn read(state: Place<u64>) -> Result<Words, Error> {
    let mut words = Words::default();
    for (index, word) in (1..).zip(&mut words) {
        *word = state.at(index)?.get();
    }
    Ok(words)
}

/// Answers letters until it is told to end. It stays in the store's space for all that time, and so has the lock.
pub(crate) fn serve(store: &Cap<Space>) -> Result<(), Error> {
    store.enter(|| {
        while !IS_OVER.load(Relaxed) {
            let mut answered = 0;
            for number in 0..BOXES {
                answered += u64::from(answer(Place::new(START + number * STRIDE)?)?);
            }
            if answered == 0 {
                thread::yield_now();
            }
        }
        Ok(())
    })?
}

/// Answers what lies in a box; says whether there was anything.
fn answer(state: Place<u64>) -> Result<bool, Error> {
    if state.get() != ASKED {
        return Ok(false);
    }
    fence(Acquire);
    let answer = Request::from_words(&read(state)?).and_then(|request| table::perform(&request));
    write(state, &answer_to_words(answer))?;
    fence(Release);
    state.set(ANSWERED);
    Ok(true)
}

/// Says whether the server is to end.
pub(crate) fn set_over(is_over: bool) {
    IS_OVER.store(is_over, Relaxed);
}
