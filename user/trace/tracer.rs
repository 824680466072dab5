//! The handler: a gate into a space of this program, which threads call that are about to make a system call.

use crate::line::{CallLine, Outcome};
use crate::record::{Kept, Record, THREADS};
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use demonstration::Failure;
use libvas::gate::{Answer, Called, Serve, Stacks};
use libvas::guest::arguments_of;
use libvas::handler::{Asks, Decide, Deciding, Decision, Upcall, interrupted_registers};
use libvas::{
    Cap, CapTable, Error, Gate, Handle, Object, PAGE_BYTES, Rights, Space, TOP_SLOT_BYTES, Thread, program, raw,
};
use rt::println;
use tessera_abi::syscall::number;

/// Where the stacks are: one for each thread, so that none waits for another.
const STACKS: u64 = 60 * TOP_SLOT_BYTES;
const STACK_BYTES: u64 = 8 * PAGE_BYTES;
const STACKS_COUNT: u64 = THREADS as u64;

/// How much of a text is shown.
const TEXT_BYTES: usize = 48;

const BOTH: Asks = Asks { faults: false, calls: true, returns: true };

/// The handler's gate, and the gate into the traced program's table, in this program's table; the way from there back.
static HANDLER: AtomicU64 = AtomicU64::new(0);
static FETCHES: AtomicU64 = AtomicU64::new(0);
static WAY_BACK: AtomicU64 = AtomicU64::new(0);
/// The space in which texts are read.
static SPACE: AtomicU64 = AtomicU64::new(0);

/// The handler, and what it needs.
pub(crate) struct Tracer {
    gate: Cap<Gate>,
    space: Cap<Space>,
}

/// What lets the tracer follow threads, for as long as it is there.
pub(crate) struct Following {
    _gate: Cap<Gate>,
}

impl Tracer {
    pub(crate) fn new() -> Result<Tracer, Error> {
        let space = program().new_space()?;
        space.set_name("tracer")?;
        let stacks = Stacks::new_in(&space, STACKS, STACK_BYTES, STACKS_COUNT)?;
        // SAFETY: the space has the program, and nobody else knows of the stacks.
        let gate = unsafe { Gate::serving::<Deciding<Tracing>>(&space, stacks) }?;
        HANDLER.store(gate.handle().bits(), Relaxed);
        Ok(Tracer { gate, space })
    }

    /// From now on a thread's calls are shown.
    pub(crate) fn watch(&self, thread: &Cap<Thread>) -> Result<(), Error> {
        // SAFETY: calls are made as without it, or refused as any can be; no register is changed.
        unsafe { thread.set_handler(&self.gate, BOTH) }
    }

    /// Threads are followed that are made by a program with this table, and its texts are read in this space.
    ///
    /// A thread's handle means nothing here. So there is a gate that leads into the tracer's space, but with the program's table:
    /// what comes in by it can copy the capability into the tracer's table, to which the program gets the right to insert.
    pub(crate) fn follow_those_of(&self, table: &Cap<CapTable>, space: &Cap<Space>) -> Result<Following, Failure> {
        let stacks = Stacks::new_in(&self.space, STACKS + TOP_SLOT_BYTES, STACK_BYTES, STACKS_COUNT)?;
        let entry = raw::gate_entry::<Fetching> as *const () as usize as u64;
        // SAFETY: the entry code is made for it, and nobody else knows of the stacks.
        let gate = unsafe { Gate::new_at(program().account(), &self.space, table, entry, stacks) }?;
        WAY_BACK.store(program().table().copy_into(table, Rights::INSERT, 0)?.bits(), Relaxed);
        FETCHES.store(gate.handle().bits(), Relaxed);
        SPACE.store(space.handle().bits(), Relaxed);
        Ok(Following { _gate: gate })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        [&FETCHES, &WAY_BACK, &SPACE].into_iter().for_each(|handle| handle.store(0, Relaxed));
    }
}

/// What is done when a call is asked of, and when it is over. This runs on the traced thread, with this program's table.
pub(crate) struct Tracing;

impl Decide for Tracing {
    fn decide(thread: u64, upcall: Upcall) -> Decision {
        match upcall {
            Upcall::Call { number, arguments: [first, second, third] } => {
                let registers = interrupted_registers();
                let arguments = registers.map_or([first, second, third, 0, 0, 0], |registers| arguments_of(&registers));
                called(thread, number, arguments)
            }
            Upcall::Return { number, result } => {
                returned(thread, number, result);
                Decision::Resume
            }
            _ => Decision::Pass,
        }
    }
}

fn called(thread: u64, number: u64, arguments: [u64; 6]) -> Decision {
    Record::called(thread, number, arguments);
    if Record::denies(number) {
        Record::denied();
        let refusal = Error::MissingRight.status();
        show(thread, number, Record::over(thread, number), Err(refusal), ", denied");
        return Decision::Cancel(Err(Error::MissingRight));
    }
    if number == number::thread_exit {
        // It does not come back.
        println!("[{thread}] {}", CallLine { number, arguments: Some(arguments), text: None });
    }
    Decision::Resume
}

fn returned(thread: u64, number: u64, result: Result<u64, u64>) {
    show(thread, number, Record::over(thread, number), result, "");
    if let (number::thread_create, Ok(handle)) = (number, result)
        && FETCHES.load(Relaxed) != 0
    {
        match follow(handle) {
            Ok(follower) => println!("[{thread}] and the new thread is [{follower}]"),
            Err(error) => println!("[{thread}] and the new thread is not followed: {error}"),
        }
    }
}

/// Prints and keeps a call that is over.
fn show(thread: u64, number: u64, arguments: Option<[u64; 6]>, result: Result<u64, u64>, remark: &str) {
    let mut bytes = [0; TEXT_BYTES];
    let text = match (number, arguments) {
        (number::console_write, Some([text, length, ..])) => read_text(text, length, &mut bytes),
        _ => None,
    };
    println!("[{thread}] {} = {}{remark}", CallLine { number, arguments, text }, Outcome(result));
    let [first, ..] = arguments.unwrap_or_default();
    let (status, value) = (result.err().unwrap_or(0), result.unwrap_or(0));
    Record::keep(Kept { number, first, status, value });
}

/// The beginning of a text of the traced program's.
fn read_text(address: u64, length_bytes: u64, bytes: &mut [u8; TEXT_BYTES]) -> Option<&str> {
    let space = named::<Space>(SPACE.load(Relaxed));
    let bytes = &mut bytes[..TEXT_BYTES.min(usize::try_from(length_bytes).ok()?)];
    if space.handle() == Handle::NONE || space.read(address, bytes).is_err() {
        return None;
    }
    match core::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        // It was cut within a letter.
        Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
    }
}

/// Makes the tracer the handler of a thread that the traced program has just made; gives the number by which it is shown.
fn follow(handle: u64) -> Result<u64, Error> {
    let follower = Record::next_thread().ok_or(Error::LimitReached)?;
    let fetches = named::<Gate>(FETCHES.load(Relaxed));
    let [status, copy, ..] = fetches.call([handle, WAY_BACK.load(Relaxed), 0, 0, 0, 0])?;
    Error::from_status(status)?;
    let thread = Cap::<Thread>::from_handle(Handle::from_bits(copy));
    let gate = named::<Gate>(HANDLER.load(Relaxed)).derive(Rights::CALL, follower)?;
    // SAFETY: as in `watch`. The handler stays when the two capabilities go.
    unsafe { thread.set_handler(&gate, BOTH) }?;
    Ok(follower)
}

/// Copies a capability to a thread from the traced program's table into the tracer's. It runs with the former.
struct Fetching;

impl Serve for Fetching {
    fn serve(called: Called) -> Answer {
        let [thread, table, ..] = called.words;
        let (thread, table) = (named::<Thread>(thread), named::<CapTable>(table));
        let copy = thread.copy_into(&table, Rights::CONTROL | Rights::REGISTERS, 0);
        let (status, handle) = (copy.err().map_or(0, Error::status), copy.unwrap_or(Handle::NONE));
        Answer { words: [status, handle.bits(), 0, 0, 0, 0], given: None }
    }
}

/// What a handle names, which somebody else owns.
fn named<T: Object>(bits: u64) -> ManuallyDrop<Cap<T>> {
    ManuallyDrop::new(Cap::from_handle(Handle::from_bits(bits)))
}
