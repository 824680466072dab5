//! Desks: memory in which clients are told what to do and tell what came of it, mapped where they are and where the program is.

use core::sync::atomic::{Ordering::Acquire, Ordering::Release, fence};
use libvas::{Error, Place, TOP_SLOT_BYTES};

/// Where it is.
const START: u64 = 42 * TOP_SLOT_BYTES;

/// How many desks there are.
pub(crate) const DESKS: u64 = 12;

/// Bytes of all.
pub(crate) const BYTES: u64 = 0x1000;

/// Where they are mapped.
pub(crate) const ADDRESS: u64 = START;

/// Words of a desk; the first one behind the desks is for all clients.
const STRIDE: u64 = 16;

const _: () = assert!((DESKS + 1) * STRIDE * 8 <= BYTES, "they fit in");

/// What a client is told, and what it tells.
#[derive(Clone, Copy)]
pub(crate) enum Item {
    /// A handle of the client's table: the store's segment.
    Segment,
    /// One to a space of the program's, in which the client could not go on.
    Foreign,
    /// The gate.
    Gate,
    Way,
    Phase,
    Clients,
    Requests,
    /// That it is there.
    IsReady,
    /// The sum of all answers.
    Sum,
    /// When it was done, in nanoseconds since boot.
    Ended,
}

/// A desk. Each word has one who writes it.
#[derive(Clone, Copy)]
pub(crate) struct Desk(u64);

impl Desk {
    /// A client's.
    pub(crate) fn of(number: u64) -> Desk {
        Desk(number % DESKS)
    }

    fn place(self, item: Item) -> Result<Place<u64>, Error> {
        Place::new(START + (self.0 * STRIDE + item as u64) * 8)
    }

    /// Writes a word, which is seen behind all that was written before.
    pub(crate) fn write(self, item: Item, word: u64) -> Result<(), Error> {
        fence(Release);
        self.place(item).map(|place| place.set(word))
    }

    /// Reads one.
    pub(crate) fn read(self, item: Item) -> Result<u64, Error> {
        let word = self.place(item)?.get();
        fence(Acquire);
        Ok(word)
    }
}

/// Whether all clients may begin: a word of its own.
pub(crate) fn may_begin() -> Result<bool, Error> {
    let word = Place::<u64>::new(START + DESKS * STRIDE * 8)?.get();
    fence(Acquire);
    Ok(word != 0)
}

/// Says whether they may.
pub(crate) fn set_may_begin(they_may: bool) -> Result<(), Error> {
    fence(Release);
    Place::<u64>::new(START + DESKS * STRIDE * 8).map(|place| place.set(u64::from(they_may)))
}
