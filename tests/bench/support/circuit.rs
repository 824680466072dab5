//! A way around among many spaces, gone by a thread with a capability table of its own: the program's has no room for so
//! many.

use crate::CPU_0;
use crate::measure::{last_measurement, mark_begin, mark_end};
use crate::support::count::counted;
use crate::support::runner::SpareStack;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::ptr;
use libvas::layout::Counters;
use libvas::{Cap, CapTable, Error, Handle, Rights, Space, Thread, program, raw, thread};

/// What the thread is to do, and what it found.
pub(crate) struct Circuit {
    /// Of the spaces, in the thread's table.
    handles: Vec<Handle>,
    warm_ups: usize,
    /// What each time around took.
    ticks: Vec<u64>,
    /// What all the times after the first ones did, or why the thread went no farther.
    result: Result<Counters, Error>,
}

impl Circuit {
    /// Goes around among so many spaces, so often; ends when the thread has.
    pub(crate) fn go(spaces: u64, rounds: usize, warm_ups: usize) -> Result<Circuit, Error> {
        let table = CapTable::new(program().account(), spaces)?;
        let enter = |_| program().new_space()?.copy_into(&table, Rights::SWITCH, 0);
        let handles = (0..spaces).map(enter).collect::<Result<Vec<_>, _>>()?;
        let mut circuit = Circuit { handles, warm_ups, ticks: vec![0; rounds], result: Err(Error::Gone) };
        let priority = program().thread().info()?.priority;
        let thread = Thread::new(program().account(), &table, program().space(), priority)?;
        thread.set_affinity(CPU_0)?;
        let (stack, lent) = (SpareStack::new(), (&raw mut circuit).expose_provenance() as u64);
        // SAFETY: the function is this program's, and nobody else uses the stack, which stays for good.
        unsafe { thread.start(begin as *const () as usize as u64, stack.top(), lent)? };
        thread.join()?;
        Ok(circuit)
    }

    /// What each time around took, in order.
    ///
    /// # Errors
    /// If a switch was refused.
    pub(crate) fn ticks(&self) -> Result<&[u64], Error> {
        self.result.map(|_| self.ticks.as_slice())
    }

    /// What CPUs counted from the first time around that is no warming up to the last.
    ///
    /// # Errors
    /// If a switch was refused.
    pub(crate) fn counters(&self) -> Result<Counters, Error> {
        self.result
    }

    /// The thread's work. Nothing here makes the heap grow, which takes the program's own table.
    fn run(&mut self) -> Result<Counters, Error> {
        let (warming, counting) = self.ticks.split_at_mut(self.warm_ups);
        for ticks in warming {
            *ticks = around(&self.handles)?;
        }
        let last = counting.len().saturating_sub(1);
        counted(|| {
            counting.iter_mut().enumerate().try_for_each(|(round, ticks)| {
                if round == last {
                    last_measurement();
                }
                mark_begin();
                *ticks = around(&self.handles)?;
                mark_end();
                Ok(())
            })
        })
    }
}

/// Switches to each of the spaces; returns the ticks that it took, one reading included.
#[inline(always)]
fn around(handles: &[Handle]) -> Result<u64, Error> {
    let before = raw::cycles();
    for handle in handles {
        ManuallyDrop::new(Cap::<Space>::from_handle(*handle)).switch()?;
    }
    Ok(raw::cycles().wrapping_sub(before))
}

/// Where the thread begins.
extern "C" fn begin(lent: u64) -> ! {
    let circuit: *mut Circuit = ptr::with_exposed_provenance_mut(lent as usize);
    // SAFETY: whoever started the thread lends it the circuit, and touches it again when the thread has ended.
    let circuit = unsafe { &mut *circuit };
    circuit.result = circuit.run();
    thread::exit(0)
}
