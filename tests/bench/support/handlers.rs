//! Handlers, and memory for them to bring.

use crate::support::services::Service;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libvas::gate::ServeShort;
use libvas::handler::{Asks, interrupted_registers, set_interrupted_registers};
use libvas::raw::ticks;
use libvas::{Cap, Error, Handle, PAGE_BYTES, Place, Rights, Segment, program};
use tessera_abi::upcall::Answer;

/// Where nothing is, but for what a handler maps.
const MISSING: u64 = 0x5000_0000_0000;
/// The page behind it.
const NEIGHBOUR: u64 = MISSING + PAGE_BYTES;

/// After how many questions more the page is brought, and of which segment.
static LEFT: AtomicU64 = AtomicU64::new(0);
static SEGMENT: AtomicU64 = AtomicU64::new(0);

/// Has the thread try again, and the last time succeed.
pub(crate) struct Brings;

impl ServeShort for Brings {
    #[inline(always)]
    fn serve(_badge: u64, _words: [u64; 2]) -> [u64; 2] {
        if LEFT.fetch_sub(1, Relaxed) == 1 {
            let segment = Cap::<Segment>::from_handle(Handle::from_bits(SEGMENT.load(Relaxed)));
            // Without it the thread ends, and the benchmark with it.
            let _ = program().space().map(MISSING, &segment, 0..PAGE_BYTES, Rights::READ);
            core::mem::forget(segment);
        }
        [Answer::Resume as u64, 0]
    }
}

/// Has the thread go on.
pub(crate) struct Resumes;

impl ServeShort for Resumes {
    #[inline(always)]
    fn serve(_badge: u64, _words: [u64; 2]) -> [u64; 2] {
        [Answer::Resume as u64, 0]
    }
}

/// Looks at registers, or sets them, and tells how long that took.
pub(crate) struct Looks;

/// What [`Looks`] does, and how long it took.
pub(crate) static DOES_SET: AtomicU64 = AtomicU64::new(0);
pub(crate) static TOOK: AtomicU64 = AtomicU64::new(0);

impl ServeShort for Looks {
    fn serve(_badge: u64, _words: [u64; 2]) -> [u64; 2] {
        let start = ticks();
        let Ok(state) = interrupted_registers() else { return [Answer::End as u64, 0] };
        let read = ticks();
        if DOES_SET.load(Relaxed) != 0 {
            // SAFETY: they are those that it has.
            let _ = unsafe { set_interrupted_registers(&state) };
            TOOK.store(ticks() - read, Relaxed);
        } else {
            TOOK.store(read - start, Relaxed);
        }
        [Answer::Resume as u64, 0]
    }
}

/// A handler of the program's first thread, as long as it is there.
pub(crate) struct Handled {
    _service: Service,
    segment: Cap<Segment>,
}

impl Handled {
    pub(crate) fn by<S: ServeShort>(asks: Asks) -> Result<Handled, Error> {
        let (service, segment) = (Service::short::<S>()?, Segment::new(program().account(), PAGE_BYTES)?);
        // SAFETY: the handlers here have the thread go on as it would have.
        unsafe { program().thread().set_handler(&service.gate, asks) }?;
        Ok(Handled { _service: service, segment })
    }

    /// Maps the page behind the one that is missing, for as long as the handler is there.
    pub(crate) fn map_neighbour(&self) -> Result<(), Error> {
        program().space().map(NEIGHBOUR, &self.segment, 0..PAGE_BYTES, Rights::READ)
    }

    /// Reads where nothing is until the handler has been asked so often; gives how long that took.
    pub(crate) fn asked(&self, times: u64) -> Result<u64, Error> {
        let missing = Place::<u64>::new(MISSING)?;
        SEGMENT.store(self.segment.handle().bits(), Relaxed);
        LEFT.store(times, Relaxed);
        let start = ticks();
        missing.get();
        let took = ticks() - start;
        program().space().unmap(MISSING..MISSING + PAGE_BYTES)?;
        Ok(took)
    }
}

impl Drop for Handled {
    fn drop(&mut self) {
        // Of a thread that is there, by a capability with all rights, this is not refused; nor is unmapping, also of nothing.
        let _ = program().thread().clear_handler();
        let _ = program().space().unmap(NEIGHBOUR..NEIGHBOUR + PAGE_BYTES);
    }
}
