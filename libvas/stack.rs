//! Stacks of a program's threads, all in the program subtree, and what libvas keeps at the top of each.
//!
//! ```text
//! STACKS + area * STACK_STRIDE          guard: never mapped, so that an overflow faults
//!                                       the stack, growing down
//!                                       closure and result (see `spawn`)
//! STACKS + (area + 1) * STACK_STRIDE    above the header: home space, priority, thread
//! ```
//! Area 0 is the first thread's, made by whoever started the program; it has nothing at its top.
//!
//! Nothing here is locked. A thread that is stopped while it makes or gives up a stack leaves the area taken.

use crate::slots::Slots;
use crate::{Cap, Segment, Thread, program};
use core::mem::ManuallyDrop;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};
use tessera_abi::layout::ThreadState;
use tessera_abi::layout::program::{STACK_STRIDE, STACKS};
use tessera_abi::{Error, Handle, PAGE_BYTES, Rights};

/// A program has up to this many threads besides the first.
const THREADS_MAX: u64 = 1024;

/// Slot n is area n + 1.
static AREAS: Slots<{ THREADS_MAX as usize / 64 }> = Slots::new();

/// Whose stack lies in each area from 1 on: the bits of the thread's handle, 0 if nobody's. It is set before the thread
/// starts and cleared after its end, so a thread that is not in here runs no more.
static RESIDENTS: [AtomicU64; THREADS_MAX as usize] = [const { AtomicU64::new(0) }; THREADS_MAX as usize];

/// The number of all threads whose stacks libvas did not make.
pub(crate) const FOREIGN: u64 = u64::MAX;

/// What libvas must know of the thread that is running.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Header {
    /// The handle of the space that the thread started in.
    pub(crate) home: u64,
    /// The priority that it started with.
    pub(crate) priority: u64,
    /// The bits of its handle.
    pub(crate) thread: u64,
    /// Whether it is within [`unless_nested`]. Only the thread itself looks.
    pub(crate) is_within: u64,
}

/// A stack of its own area; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Stack {
    slot: u64,
    length_bytes: u64,
}

impl Stack {
    /// Makes a stack of `length_bytes`, rounded up to whole pages, with a header at its top. Its memory is made
    /// as it is touched.
    pub(crate) fn new(length_bytes: u64, header: Header) -> Result<Stack, Error> {
        let length_bytes = length_bytes.checked_next_multiple_of(PAGE_BYTES).ok_or(Error::BadArgument)?;
        if length_bytes == 0 || length_bytes > STACK_STRIDE - PAGE_BYTES {
            return Err(Error::BadArgument);
        }
        let memory = Segment::new_lazy(program().account(), length_bytes)?;
        let slot = AREAS.take().ok_or(Error::LimitReached)?;
        let bottom = area_end(slot + 1) - length_bytes;
        if let Err(error) = program().subtree().map(bottom, &memory, 0..length_bytes, Rights::READ_WRITE) {
            AREAS.give_back(slot);
            return Err(error);
        }
        let stack = Stack { slot, length_bytes };
        let goal: *mut Header = ptr::with_exposed_provenance_mut(stack.top() as usize);
        // SAFETY: the area was just mapped writable, is given to this stack alone, and its last bytes, aligned since the
        // end is, are the header's.
        unsafe { goal.write(header) };
        RESIDENTS[slot as usize].store(header.thread, Ordering::Release);
        Ok(stack)
    }

    /// Where the header begins: all below is free for use.
    pub(crate) const fn top(&self) -> u64 {
        area_end(self.slot + 1) - size_of::<Header>() as u64
    }

    /// How much there is, bytes.
    pub(crate) const fn length_bytes(&self) -> u64 {
        self.length_bytes
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        RESIDENTS[self.slot as usize].store(0, Ordering::Release);
        let end = area_end(self.slot + 1);
        // If it cannot be unmapped, the area stays taken.
        if program().subtree().unmap(end - self.length_bytes..end).is_ok() {
            AREAS.give_back(self.slot);
        }
    }
}

/// The first address after an area.
const fn area_end(area: u64) -> u64 {
    STACKS + (area + 1) * STACK_STRIDE
}

/// The area that an address lies in, if it is a thread's.
const fn area_of(address: u64) -> Option<u64> {
    match address.checked_sub(STACKS) {
        Some(offset) if offset < (THREADS_MAX + 1) * STACK_STRIDE => Some(offset / STACK_STRIDE),
        _ => None,
    }
}

/// The area of the stack that the calling thread runs on; `None` on a foreign one.
fn own_area() -> Option<u64> {
    let on_stack = 0_u8;
    area_of((&raw const on_stack).addr() as u64)
}

/// Where the header of an area is; the first has none.
const fn header_address(area: u64) -> Option<usize> {
    if area == 0 { None } else { Some(area_end(area) as usize - size_of::<Header>()) }
}

/// The header of the stack that the calling thread runs on; `None` on the first thread's, and on foreign ones.
pub(crate) fn header() -> Option<Header> {
    own_area().and_then(header_in)
}

/// The header of the area that the calling thread's stack lies in.
fn header_in(own_area: u64) -> Option<Header> {
    let source: *const Header = ptr::with_exposed_provenance(header_address(own_area)?);
    // SAFETY: this thread runs on a stack in the area, so it is mapped, and `Stack::new` wrote the header before
    // the thread began.
    Some(unsafe { *source })
}

/// A number that no other thread of the program has: the bits of the calling thread's handle; or [`FOREIGN`].
pub(crate) fn own_number() -> u64 {
    let Some(area) = own_area() else { return FOREIGN };
    header_in(area).map_or_else(|| program().thread().handle().bits(), |header| header.thread)
}

/// Whether the thread with this number is known to have ended. A foreign thread cannot know: its handles may be those of
/// another table.
pub(crate) fn has_ended(number: u64) -> bool {
    if number == FOREIGN || own_area().is_none() {
        return false;
    }
    let thread = ManuallyDrop::new(Cap::<Thread>::from_handle(Handle::from_bits(number)));
    let ended = [ThreadState::Exited, ThreadState::Faulted, ThreadState::Stopped].map(|state| state as u64);
    match thread.info() {
        Ok(info) => ended.contains(&info.state),
        // The handle is given up after the end, when the stack is; unless somebody gave it up by number.
        Err(_) => !is_first(number) && RESIDENTS.iter().all(|resident| resident.load(Ordering::Acquire) != number),
    }
}

fn is_first(number: u64) -> bool {
    program().thread().handle().bits() == number
}

/// Runs `body`, unless the calling thread is within this function already; says whether it ran.
pub(crate) fn unless_nested(body: impl FnOnce()) -> bool {
    // One word for the first thread, and one for all foreign ones: if several of these meet here, only one runs its body,
    // and none after one has ended within its own.
    static WITHIN: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
    let word = match own_area().map(header_address) {
        // SAFETY: as in `header`; the word is this thread's alone, and only ever used as an atomic.
        Some(Some(address)) => unsafe {
            AtomicU64::from_ptr(ptr::with_exposed_provenance_mut(address + core::mem::offset_of!(Header, is_within)))
        },
        Some(None) => &WITHIN[0],
        None => &WITHIN[1],
    };
    let runs = word.swap(1, Ordering::Acquire) == 0;
    if runs {
        body();
        word.store(0, Ordering::Release);
    }
    runs
}

/// The first thread's priority when it was last asked for; [`UNASKED`] before.
static FIRST_PRIORITY: AtomicU64 = AtomicU64::new(UNASKED);

/// No priority.
const UNASKED: u64 = u64::MAX;

/// The priority that the calling thread started with; on a stack that libvas did not make, the first thread's.
pub(crate) fn first_priority() -> Result<u64, Error> {
    match (header(), FIRST_PRIORITY.load(Ordering::Relaxed)) {
        (Some(header), _) => Ok(header.priority),
        (None, UNASKED) => ask_first_priority(),
        (None, priority) => Ok(priority),
    }
}

/// The first thread's priority now.
pub(crate) fn ask_first_priority() -> Result<u64, Error> {
    let priority = program().thread().info()?.priority;
    FIRST_PRIORITY.store(priority, Ordering::Relaxed);
    Ok(priority)
}

/// The space that the calling thread started in.
pub(crate) fn home() -> Handle {
    header().map_or_else(|| program().space().handle(), |header| Handle::from_bits(header.home))
}

#[cfg(test)]
mod tests {
    use super::{FOREIGN, Header, Slots, area_end, area_of, has_ended, header_address, own_number, unless_nested};
    use tessera_abi::layout::program::{SCRATCH, STACK_STRIDE, STACKS};

    #[test]
    fn areas_leave_the_first_thread_and_foreign_stacks_alone() {
        assert_eq!(area_of(STACKS - 8), None);
        assert_eq!(area_of(STACKS + STACK_STRIDE - 8), Some(0));
        assert_eq!(area_of(STACKS + STACK_STRIDE), Some(1));
        assert_eq!(area_of(area_end(1024) - 1), Some(1024));
        assert_eq!(area_of(area_end(1024)), None);
        assert_eq!(area_of(0x7fff_0000_0000), None);
        assert!(area_end(1024) < SCRATCH);
        assert_eq!(size_of::<Slots<16>>() * 8, 1024);
        assert_eq!(header_address(0), None);
        assert_eq!(header_address(3), Some(area_end(3) as usize - size_of::<Header>()));
        assert_eq!(size_of::<Header>() % 16, 0);
    }

    #[test]
    fn what_runs_within_itself_is_refused_once() {
        let mut inner = None;
        assert!(unless_nested(|| inner = Some(unless_nested(|| unreachable!("it is nested")))));
        assert_eq!(inner, Some(false));
        assert!(unless_nested(|| ()));
    }

    #[test]
    fn foreign_threads_are_never_known_to_have_ended() {
        assert_eq!(own_number(), FOREIGN);
        assert!(!has_ended(FOREIGN));
    }
}
