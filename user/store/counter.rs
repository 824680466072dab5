//! The store behind a gate: its callers have no capability to the store's spaces, and bring and take words.

use crate::request::{Answer as Told, Fault, Request, answer_to_words};
use crate::table;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libvas::gate::{Answer, Called, Serve, Stacks};
use libvas::{Cap, Error, Gate, Handle, Space};

/// Bytes of each stack.
const STACK_BYTES: u64 = 0x2000;

/// The handles of the space in which the store may be written and of the one in which it may be read.
static WAYS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// What is behind the gate.
struct Counter;

impl Serve for Counter {
    // Callers are copies of this program, and trusted; what is compared is how they meet, and not how they hide.
    const TRUSTS: bool = true;

    fn serve(called: Called) -> Answer {
        let answer = Request::from_words(&called.words).and_then(|request| perform(&request));
        Answer { words: answer_to_words(answer), given: None }
    }
}

/// Goes to the store. The way back is the end of the call, which gives up the lock.
fn perform(request: &Request) -> Told {
    let handle = Handle::from_bits(WAYS[usize::from(!request.writes())].load(Relaxed));
    let space = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
    space.switch().map_err(|_| Fault::Closed)?;
    table::perform(request)
}

/// Opens the gate, with so many stacks. No gate leads into a space with locks, so it leads into another, and on from there; and the
/// stacks are on the heap, which is in both.
pub(crate) fn open(
    space: &Cap<Space>,
    stacks: u64,
    writers: &Cap<Space>,
    readers: &Cap<Space>,
) -> Result<Cap<Gate>, Error> {
    for (way, space) in WAYS.iter().zip([writers, readers]) {
        way.store(space.handle().bits(), Relaxed);
    }
    // Written to, so that all of it is there and paid for, however many come at once.
    let memory = alloc::vec![1_u128; (STACK_BYTES * stacks) as usize / size_of::<u128>()].leak();
    let start = memory.as_ptr().expose_provenance() as u64;
    let stacks = Stacks { start, stack_bytes: STACK_BYTES, count: stacks };
    // SAFETY: the space has the program, and with it the heap, of which this part is given away for good.
    let gate = unsafe { Gate::serving::<Counter>(space, stacks) }?;
    gate.set_name("store")?;
    Ok(gate)
}
