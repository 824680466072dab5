//! Services behind gates, each in a space of its own.

use crate::support::scene::SLOT;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libvas::gate::{Answer, Called, Gate, Serve, ServeShort, Stacks};
use libvas::{Cap, Error, Handle, PAGE_BYTES, Segment, Space, program};

/// Adds its words.
pub(crate) struct Adds;

impl ServeShort for Adds {
    #[inline(always)]
    fn serve(_badge: u64, [left, right]: [u64; 2]) -> [u64; 2] {
        [left.wrapping_add(right), 0]
    }
}

/// Tells when it began and ended.
pub(crate) struct Stamps;

impl ServeShort for Stamps {
    #[inline(always)]
    fn serve(_badge: u64, _words: [u64; 2]) -> [u64; 2] {
        let begin = libvas::raw::ticks();
        [begin, libvas::raw::ticks()]
    }
}

/// Gives back the words that it was given.
pub(crate) struct Echoes;

impl Serve for Echoes {
    fn serve(called: Called) -> Answer {
        Answer { words: called.words, given: None }
    }
}

/// The same for callers that are trusted; keeps the capability.
pub(crate) struct Trusts;

/// The capability that [`Trusts`] was given last.
static KEPT: AtomicU64 = AtomicU64::new(0);

impl Trusts {
    /// Gives up what it keeps.
    pub(crate) fn let_go() {
        drop(Cap::<Segment>::from_handle(Handle::from_bits(KEPT.swap(0, Relaxed))));
    }
}

impl Serve for Trusts {
    const TRUSTS: bool = true;

    fn serve(called: Called) -> Answer {
        KEPT.store(called.given.bits(), Relaxed);
        Answer { words: called.words, given: None }
    }
}

/// Asks for its caller, so many times as the first word says; the answers added up.
pub(crate) struct Asks;

impl Serve for Asks {
    fn serve(called: Called) -> Answer {
        let [times, ..] = called.words;
        let start = libvas::raw::ticks();
        let gone = (0..times).filter(|_| Called::is_awaited() != Ok(true)).count();
        Answer { words: [libvas::raw::ticks() - start, gone as u64, 0, 0, 0, 0], given: None }
    }
}

/// A space with stacks, and a gate into it.
pub(crate) struct Service {
    pub(crate) gate: Cap<Gate>,
    space: Cap<Space>,
}

impl Service {
    fn new(gate: impl FnOnce(&Cap<Space>, Stacks) -> Result<Cap<Gate>, Error>) -> Result<Service, Error> {
        let space = program().new_space()?;
        let stacks = Stacks::new_in(&space, SLOT, PAGE_BYTES, 2)?;
        Ok(Service { gate: gate(&space, stacks)?, space })
    }

    pub(crate) fn short<S: ServeShort>() -> Result<Service, Error> {
        // SAFETY: the space has the program, and the stacks were just made in it.
        Service::new(|space, stacks| unsafe { Gate::serving_short::<S>(space, stacks) })
    }

    pub(crate) fn serving<S: Serve>() -> Result<Service, Error> {
        // SAFETY: likewise.
        Service::new(|space, stacks| unsafe { Gate::serving::<S>(space, stacks) })
    }

    /// Another gate into the same space, with as many stacks, none of which is used at the same time.
    pub(crate) fn another(&self) -> Result<Cap<Gate>, Error> {
        // SAFETY: nobody calls it.
        unsafe { Gate::serving::<Echoes>(&self.space, Stacks { start: SLOT, stack_bytes: PAGE_BYTES, count: 2 }) }
    }
}
