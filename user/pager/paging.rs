//! What the pager does when it is asked. It runs on the client's thread, in the pager's space and with its table, so nothing here may
//! use the program's objects. The gate has one stack: one client is seen to at a time, and whoever comes meanwhile waits.

use crate::contents::{WORDS, word};
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libvas::handler::{Decide, Decision, Upcall};
use libvas::{Cap, Error, Handle, Object, PAGE_BYTES, Place, Rights, Segment, Subtree, TOP_SLOT_BYTES};

/// How many pages clients may read.
pub(crate) const PAGES: u64 = 24;

/// How many of them there is memory for.
pub(crate) const FRAMES: u64 = 8;

/// Where in the subtree the pages begin: nothing can be mapped at its address 0.
pub(crate) const BEGIN: u64 = PAGE_BYTES;

/// Where the pager has its memory, to write to.
pub(crate) const MEMORY: u64 = 62 * TOP_SLOT_BYTES;

/// Where in the subtree the pages are.
const PLACES: Range<u64> = BEGIN..BEGIN + PAGES * PAGE_BYTES;

/// The pager's handles, in its own table.
pub(crate) static REGION_HANDLE: AtomicU64 = AtomicU64::new(0);
/// See [`REGION_HANDLE`].
pub(crate) static MEMORY_HANDLE: AtomicU64 = AtomicU64::new(0);

/// Which page is in each frame: its number plus one, or 0 for none.
static HELD: [AtomicU64; FRAMES as usize] = [const { AtomicU64::new(0) }; FRAMES as usize];

static FILLED: AtomicU64 = AtomicU64::new(0);
static TAKEN_BACK: AtomicU64 = AtomicU64::new(0);
static PASSED_ON: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

/// What the pager has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Pages that it filled and mapped.
    pub(crate) filled: u64,
    /// Pages that it unmapped.
    pub(crate) taken_back: u64,
    /// Faults that were none of its business.
    pub(crate) passed_on: u64,
    /// Faults at which something was refused to it.
    pub(crate) failed: u64,
}

impl Done {
    /// As it stands.
    pub(crate) fn now() -> Done {
        let [filled, taken_back, passed_on, failed] =
            [&FILLED, &TAKEN_BACK, &PASSED_ON, &FAILED].map(|count| count.load(Relaxed));
        Done { filled, taken_back, passed_on, failed }
    }
}

/// The pager, as a handler.
pub(crate) struct Paging;

impl Decide for Paging {
    fn decide(_badge: u64, upcall: Upcall) -> Decision {
        let page = match upcall {
            Upcall::Fault { access: Rights::READ, place, .. } if PLACES.contains(&place) => {
                (place - BEGIN) / PAGE_BYTES
            }
            _ => {
                PASSED_ON.fetch_add(1, Relaxed);
                return Decision::Pass;
            }
        };
        match bring(page) {
            Ok(()) => Decision::Resume,
            Err(_) => {
                FAILED.fetch_add(1, Relaxed);
                Decision::Pass
            }
        }
    }
}

/// Has a page be there, which somebody else may have asked for just before.
fn bring(page: u64) -> Result<(), Error> {
    if HELD.iter().any(|held| held.load(Relaxed) == page + 1) {
        return Ok(());
    }
    // Frames are filled in turn, so that the next one is the oldest.
    let frame = FILLED.load(Relaxed) % FRAMES;
    let (held, region) = (&HELD[frame as usize], named::<Subtree>(&REGION_HANDLE));
    if let Some(old) = held.load(Relaxed).checked_sub(1) {
        let place = BEGIN + old * PAGE_BYTES;
        region.unmap(place..place + PAGE_BYTES)?;
        held.store(0, Relaxed);
        TAKEN_BACK.fetch_add(1, Relaxed);
    }
    let offset = frame * PAGE_BYTES;
    for index in 0..WORDS {
        Place::<u64>::new(MEMORY + offset + 8 * index)?.set(word(page, index));
    }
    let memory = named::<Segment>(&MEMORY_HANDLE);
    region.map(BEGIN + page * PAGE_BYTES, &memory, offset..offset + PAGE_BYTES, Rights::READ)?;
    held.store(page + 1, Relaxed);
    FILLED.fetch_add(1, Relaxed);
    Ok(())
}

/// The capability that a number means in the pager's table. It stays where it is.
fn named<T: Object>(handle: &AtomicU64) -> ManuallyDrop<Cap<T>> {
    ManuallyDrop::new(Cap::from_handle(Handle::from_bits(handle.load(Relaxed))))
}
