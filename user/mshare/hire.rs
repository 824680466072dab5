//! Making the consumer: a capability table, a space, and threads that use the one and begin in the other.

use crate::consumer::{self, Errand};
use crate::letter::{Item, LETTER};
use crate::region::Region;
use alloc::boxed::Box;
use alloc::vec::Vec;
use demonstration::Failure;
use libvas::raw::STACK_ENTRY_BIAS_BYTES;
use libvas::{Cap, CapTable, Error, Rights, Space, Thread, program, thread};
use rt::{Outcome, println};

/// Room in the consumer's table.
const TABLE_SLOTS: u64 = 16;

/// A stack, on the heap.
type Stack = [u128; 2048];

/// The consumer. Its threads are made at once: a table is emptied when the last thread that uses it has ended, and one
/// that has not begun counts as well.
pub(crate) struct Consumer {
    threads: Vec<Cap<Thread>>,
    _space: Cap<Space>,
}

impl Consumer {
    /// Makes the consumer, gives it what it needs, and writes the numbers of that into the letter.
    pub(crate) fn hire(region: &Region) -> Result<Consumer, Failure> {
        let account = program().account();
        let (table, space) = (CapTable::new(account, TABLE_SLOTS)?, program().new_space()?);
        table.set_name("consumer")?;
        space.set_name("consumer")?;
        let priority = program().thread().info()?.priority;
        let mut threads = Vec::new();
        for errand in &consumer::ERRANDS {
            let thread = Thread::new(account, &table, &space, priority)?;
            thread.set_name(errand.name)?;
            threads.push(thread);
        }
        give(region, &space, &table)?;
        println!("donor: made a consumer, with a space and a capability table of its own");
        Ok(Consumer { threads, _space: space })
    }

    /// Lets the consumer run an errand, by its number, to the end; gives its exit code, or why it has none.
    pub(crate) fn send_on(&self, errand: usize) -> Result<Result<u64, Error>, Failure> {
        let thread = &self.threads[errand];
        // Never freed: the kernel, and not Rust, knows when the thread is done with it.
        let stack = Box::leak(Box::<Stack>::new([0; 2048]));
        let top = (&raw const *stack).expose_provenance() as u64 + size_of::<Stack>() as u64;
        // SAFETY: `begin` is this program's code, which the consumer's space shows as every space of the program does,
        // and the stack, in the program's heap, is given away to this thread for good.
        unsafe { thread.start(begin as *const () as usize as u64, top - STACK_ENTRY_BIAS_BYTES, errand as u64) }?;
        Ok(thread.join())
    }
}

/// Copies capabilities into the consumer's table, with as few rights as will do.
fn give(region: &Region, space: &Cap<Space>, table: &Cap<CapTable>) -> Result<(), Error> {
    let subtree = region.subtree();
    let own_space = space.copy_into(table, Rights::MAP | Rights::INSPECT, 0)?;
    LETTER.write(Item::Space, own_space.bits());
    LETTER.write(Item::Region, subtree.copy_into(table, Rights::READ | Rights::INSPECT, 0)?.bits());
    LETTER.write(Item::LookOnly, subtree.copy_into(table, Rights::INSPECT, 0)?.bits());
    LETTER.write(Item::DonorsRegion, subtree.handle().bits());
    Ok(())
}

/// Where a thread of the consumer begins.
extern "C" fn begin(errand: u64) -> ! {
    let code = match consumer::ERRANDS.get(errand as usize) {
        Some(Errand { run, .. }) => run().code(),
        None => 2,
    };
    thread::exit(u64::from(code))
}
