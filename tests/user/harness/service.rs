//! Services behind gates, and threads that call them.

use core::mem::ManuallyDrop;
use core::time::Duration;

use libvas::gate::{GateWords, Request, Serve, Stacks};
use libvas::thread::{self, Builder, JoinHandle};
use libvas::{Account, Cap, CapTable, Error, Gate, Handle, Object, PAGE_BYTES, Space, program, raw};

use crate::fresh_address;

/// Names a service that does this with a call; wants `libvas::gate::{Answer, Called, Serve}` in scope.
#[macro_export]
macro_rules! serves {
    ($name:ident, |$called:ident| $body:expr) => {
        struct $name;
        impl Serve for $name {
            fn serve($called: Called) -> Answer {
                Answer { words: $body, given: None }
            }
        }
    };
}

/// Bytes of each stack of a [`Service`].
pub const STACK_BYTES: u64 = 8 * PAGE_BYTES;

/// A gate into a space of its own, with stacks in it, below which nothing is.
pub struct Service {
    /// The gate.
    pub gate: Cap<Gate>,
    /// Its space.
    pub space: Cap<Space>,
    /// Its stacks.
    pub stacks: Stacks,
}

impl Service {
    /// One with so many stacks and the program's table.
    ///
    /// # Errors
    /// Those of making its parts.
    pub fn new<S: Serve>(count: u64) -> Result<Service, Error> {
        Service::with_table::<S>(count, program().table())
    }

    /// The same with another table.
    ///
    /// # Errors
    /// Likewise.
    pub fn with_table<S: Serve>(count: u64, table: &Cap<CapTable>) -> Result<Service, Error> {
        let space = program().new_space()?;
        let stacks = Stacks::new_in(&space, fresh_address() + PAGE_BYTES, STACK_BYTES, count)?;
        let gate = gate_into::<S>(program().account(), &space, table, stacks)?;
        Ok(Service { gate, space, stacks })
    }

    /// The gate's handle, as a word.
    pub fn bits(&self) -> u64 {
        self.gate.handle().bits()
    }
}

/// A gate to a service; the stacks are for this gate alone, and lie in the space.
///
/// # Errors
/// Those of `gate_create`.
pub fn gate_into<S: Serve>(
    account: &Cap<Account>,
    space: &Cap<Space>,
    table: &Cap<CapTable>,
    stacks: Stacks,
) -> Result<Cap<Gate>, Error> {
    let entry = raw::gate_entry::<S> as *const () as usize as u64;
    // SAFETY: the entry code is made for it, and the stacks are this gate's alone, as its maker says.
    unsafe { Gate::new_at(account, space, table, entry, stacks) }
}

/// What a handle names, which somebody else owns.
pub fn lent<T: Object>(bits: u64) -> ManuallyDrop<Cap<T>> {
    ManuallyDrop::new(Cap::from_handle(Handle::from_bits(bits)))
}

/// A thread that calls a gate; its result is the answer's words.
pub type Call = JoinHandle<Result<GateWords, Error>>;

/// Has a thread call a gate, by the gate's handle.
///
/// # Errors
/// Those of making a thread.
pub fn caller(gate: u64, request: Request) -> Result<Call, Error> {
    caller_by(Builder::new(), gate, request)
}

/// The same for a thread that is made in this way.
///
/// # Errors
/// Likewise.
pub fn caller_by(builder: Builder<'_>, gate: u64, request: Request) -> Result<Call, Error> {
    builder.spawn(move || lent::<Gate>(gate).request(request).map(|(words, _)| words))
}

/// Lets others run for a while.
pub fn nap() {
    thread::sleep(Duration::from_micros(200));
}
