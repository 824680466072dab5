//! Customers: each has a table with one capability, the way in, and threads that use that table in a space of its own.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libvas::gate::GateWords;
use libvas::raw::STACK_ENTRY_BIAS_BYTES;
use libvas::{Cap, CapTable, Error, Gate, Handle, Rights, Space, Thread, program, thread};

/// How many there are.
pub(crate) const CUSTOMERS: u64 = 3;

/// How often each comes. Its threads are made at once: a table is emptied when the last thread that uses it has ended.
const VISITS: usize = 3;

/// A stack, on the heap.
type Stack = [u128; 2048];

/// What a customer is to ask, and what it was told.
struct Desk {
    gate: AtomicU64,
    amount: AtomicU64,
    address: AtomicU64,
    status: AtomicU64,
    answer: [AtomicU64; 2],
}

/// The customer's with this number.
static DESKS: [Desk; CUSTOMERS as usize] = [const {
    Desk {
        gate: AtomicU64::new(0),
        amount: AtomicU64::new(0),
        address: AtomicU64::new(0),
        status: AtomicU64::new(0),
        answer: [const { AtomicU64::new(0) }; 2],
    }
}; CUSTOMERS as usize];

/// A customer. Its badge is its number plus one.
pub(crate) struct Customer {
    number: u64,
    visits: Vec<Cap<Thread>>,
    _space: Cap<Space>,
}

impl Customer {
    /// Makes one, and lends it the way in.
    pub(crate) fn new(number: u64, gate: &Cap<Gate>) -> Result<Customer, Error> {
        let (account, priority) = (program().account(), program().thread().info()?.priority);
        let (table, space) = (CapTable::new(account, 1)?, program().new_space()?);
        table.set_name("customer")?;
        let way_in = gate.copy_into(&table, Rights::CALL, number + 1)?;
        DESKS[number as usize].gate.store(way_in.bits(), Relaxed);
        let make = |_| Thread::new(account, &table, &space, priority);
        Ok(Customer { number, visits: (0..VISITS).map(make).collect::<Result<_, _>>()?, _space: space })
    }

    /// What it is known by.
    pub(crate) fn badge(&self) -> u64 {
        self.number + 1
    }

    /// Lets it come and ask, with an address that the library is to read, or 0; gives the price and how often it has come by now.
    pub(crate) fn visit(&mut self, amount: u64, address: u64) -> Result<(u64, u64), Error> {
        let (desk, thread) = (&DESKS[self.number as usize], self.visits.pop().ok_or(Error::LimitReached)?);
        desk.amount.store(amount, Relaxed);
        desk.address.store(address, Relaxed);
        // Never freed: the kernel, and not Rust, knows when the thread is done with it.
        let stack = Box::leak(Box::<Stack>::new([0; 2048]));
        let top = (&raw const *stack).expose_provenance() as u64 + size_of::<Stack>() as u64;
        // SAFETY: `begin` is this program's code, which the customer's space shows as every space of the program does, and the
        // stack, in the program's heap, is given away to this thread for good.
        unsafe { thread.start(begin as *const () as usize as u64, top - STACK_ENTRY_BIAS_BYTES, self.number) }?;
        thread.join()?;
        Error::from_status(desk.status.load(Relaxed))?;
        Ok((desk.answer[0].load(Relaxed), desk.answer[1].load(Relaxed)))
    }
}

/// Where a thread of a customer begins: it asks, and writes down what it was told.
extern "C" fn begin(number: u64) -> ! {
    let desk = &DESKS[number as usize];
    let gate = ManuallyDrop::new(Cap::<Gate>::from_handle(Handle::from_bits(desk.gate.load(Relaxed))));
    let answer: Result<GateWords, Error> =
        gate.call([desk.amount.load(Relaxed), desk.address.load(Relaxed), 0, 0, 0, 0]);
    desk.status.store(answer.err().map_or(0, Error::status), Relaxed);
    for (place, word) in desk.answer.iter().zip(answer.unwrap_or_default()) {
        place.store(word, Relaxed);
    }
    thread::exit(0)
}
