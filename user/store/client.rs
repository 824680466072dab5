//! Clients: threads with a capability table and a space of their own, which have nothing but the ways to the store.
//!
//! They use another table than the program's, so nothing here that runs on their threads uses the program's capabilities, or
//! a heap that grows by them.

use crate::door::{Door, Way};
use crate::mail;
use crate::premises::Premises;
use crate::work::{Phase, add, request};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use core::time::Duration;
use demonstration::{Failure, check};
use libvas::raw::STACK_ENTRY_BIAS_BYTES;
use libvas::{Cap, CapTable, Error, Handle, Rights, Space, Thread, clock, counters, program, thread};

/// The most clients.
pub(crate) const CLIENTS: usize = mail::BOXES as usize - 1;

const STACK_BYTES: u64 = 0x4000;

/// How long it may take until all are there.
const LIMIT: Duration = Duration::from_secs(60);

/// What a client is told, and what it tells.
#[derive(Clone, Copy)]
enum Item {
    Home,
    Writers,
    Readers,
    Gate,
    Way,
    Phase,
    Clients,
    Requests,
    Sum,
    Status,
}

struct Desk([AtomicU64; 10]);

static DESKS: [Desk; CLIENTS] = [const { Desk([const { AtomicU64::new(0) }; 10]) }; CLIENTS];

/// How many clients are there, whether they may begin, and when the last one has ended, in nanoseconds since boot.
static READY: AtomicU64 = AtomicU64::new(0);
/// See [`READY`].
static MAY_BEGIN: AtomicU64 = AtomicU64::new(0);
/// See [`READY`].
static ENDED: AtomicU64 = AtomicU64::new(0);

/// What the clients were told, and what it took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// The sum of all answers.
    pub(crate) sum: u64,
    /// Nanoseconds of each request; instructions if one takes a nanosecond.
    pub(crate) each: u64,
}

/// Stacks, and who has used them.
pub(crate) struct Crowd {
    stack_pointers: Vec<u64>,
}

impl Desk {
    fn write(&self, item: Item, number: u64) {
        self.0[item as usize].store(number, Relaxed);
    }

    fn read(&self, item: Item) -> u64 {
        self.0[item as usize].load(Relaxed)
    }

    fn door(&self, number: u64) -> Door {
        let handle = |item| Handle::from_bits(self.read(item));
        let [home, writers, readers, gate] = [Item::Home, Item::Writers, Item::Readers, Item::Gate].map(handle);
        Door { home, writers, readers, gate, number }
    }
}

impl Crowd {
    /// Nobody yet, and stacks for all. They are never freed, as the kernel, and not Rust, knows when a thread is done with its own.
    pub(crate) fn new() -> Crowd {
        let stack = || {
            let memory = alloc::vec![0_u128; STACK_BYTES as usize / size_of::<u128>()].leak();
            memory.as_ptr().expose_provenance() as u64 + STACK_BYTES - STACK_ENTRY_BIAS_BYTES
        };
        Crowd { stack_pointers: (0..CLIENTS).map(|_| stack()).collect() }
    }

    /// Lets so many clients go through a phase, one way, and waits for them.
    pub(crate) fn visit(
        &mut self,
        premises: &Premises,
        way: Way,
        phase: Phase,
        clients: u64,
        each: u64,
    ) -> Result<Outcome, Failure> {
        for (count, value) in [(&READY, 0), (&MAY_BEGIN, 0), (&ENDED, 0)] {
            count.store(value, Release);
        }
        let mut threads = Vec::new();
        for number in 0..clients {
            let desk = &DESKS[number as usize];
            let numbers = [(Item::Way, way as u64), (Item::Phase, phase as u64), (Item::Clients, clients)];
            numbers.into_iter().chain([(Item::Requests, each)]).for_each(|(item, number)| desk.write(item, number));
            threads.push(self.hire(premises, number)?);
        }
        let deadline = clock::now() + LIMIT;
        while READY.load(Acquire) < clients {
            check(clock::now() < deadline, "all clients come")?;
            thread::yield_now();
        }
        let began = clock::now();
        MAY_BEGIN.store(1, Release);
        let mut sum = 0_u64;
        for (desk, (thread, _home)) in DESKS.iter().zip(&threads) {
            thread.join()?;
            Error::from_status(desk.read(Item::Status))?;
            sum = sum.wrapping_add(desk.read(Item::Sum));
        }
        let took = ENDED.load(Acquire).saturating_sub(began.as_nanos() as u64);
        Ok(Outcome { sum, each: took / (clients * phase.requests(each)) })
    }

    /// Makes a client and lets it begin: its thread, and its space, which it does not keep itself.
    fn hire(&mut self, premises: &Premises, number: u64) -> Result<(Cap<Thread>, Cap<Space>), Error> {
        let (account, priority) = (program().account(), program().thread().info()?.priority);
        let (table, home) = (CapTable::new(account, 8)?, program().new_space()?);
        table.set_name("client")?;
        premises.show_letters(&home)?;
        let desk = &DESKS[number as usize];
        for (item, space) in
            [(Item::Home, &home), (Item::Writers, &premises.writers), (Item::Readers, &premises.readers)]
        {
            desk.write(item, space.copy_into(&table, Rights::SWITCH, 0)?.bits());
        }
        desk.write(Item::Gate, premises.gate.copy_into(&table, Rights::CALL, number + 1)?.bits());
        let thread = Thread::new(account, &table, &home, priority)?;
        thread.set_affinity(1 << (number % counters::cpus()?))?;
        // SAFETY: `begin` is this program's code, which the client's space shows, and the stack is lent to one thread after the
        // other, each of which has ended before the next one begins.
        unsafe { thread.start(begin as *const () as usize as u64, self.stack_pointers[number as usize], number) }?;
        Ok((thread, home))
    }
}

/// Where a client begins.
extern "C" fn begin(number: u64) -> ! {
    let desk = &DESKS[number as usize];
    let result = work(desk, number);
    desk.write(Item::Status, result.err().map_or(0, Error::status));
    ENDED.fetch_max(clock::now().as_nanos() as u64, Release);
    thread::exit(0)
}

fn work(desk: &Desk, number: u64) -> Result<(), Error> {
    let (door, way, phase) =
        (desk.door(number), Way::from_number(desk.read(Item::Way)), Phase::from_number(desk.read(Item::Phase)));
    // Once, so that what is made once is not counted; it does not matter what is asked.
    let first = door.ask(way, &request(Phase::Get, 1, number, 0));
    READY.fetch_add(1, Release);
    let _ = first?;
    while MAY_BEGIN.load(Acquire) == 0 {
        thread::yield_now();
    }
    let (clients, requests) = (desk.read(Item::Clients), phase.requests(desk.read(Item::Requests)));
    let mut sum = 0;
    for step in 0..requests {
        sum = add(sum, &door.ask(way, &request(phase, clients, number, step))?);
    }
    desk.write(Item::Sum, sum);
    Ok(())
}
