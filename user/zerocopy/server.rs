//! The server: one space, a worker on each CPU that maps, uses and unmaps buffers.

use crate::buffers::Buffers;
use crate::gate::Gate;
use crate::report::Traffic;
use crate::{Task, expect};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use libvas::thread::{Builder, JoinHandle};
use libvas::{Cap, Error, PAGE_BYTES, Rights, Space, Subtree, TOP_SLOT_BYTES, program};

/// Where buffers are mapped: a top-level slot of the server's space.
pub(crate) const SLOT: u64 = 80 * TOP_SLOT_BYTES;

/// How far the CPUs' addresses lie apart in an ordinary slot, bytes.
const APART_BYTES: u64 = 1 << 30;

/// What is attached at [`SLOT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A subtree for each CPU, which it alone sees.
    CoreWindows,
    /// One subtree that all CPUs see.
    Ordinary,
}

/// The server's space, its slots, and all applications' buffers.
pub(crate) struct Server {
    pub(crate) space: Cap<Space>,
    task: Task,
    desks: Vec<Desk>,
    wrong: Arc<AtomicU64>,
}

/// Where one CPU's worker works.
pub(crate) struct Desk {
    cpu: u64,
    subtree: Cap<Subtree>,
    /// Where the buffer goes, from the subtree's start.
    offset: u64,
    pub(crate) buffers: Buffers,
}

impl Server {
    /// A server whose slot is of a kind.
    pub(crate) fn new(task: Task, slot: Slot) -> Result<Server, Error> {
        let space = program().new_space()?;
        space.set_name("server")?;
        let shared = Subtree::new(program().account())?;
        if slot == Slot::Ordinary {
            space.attach(SLOT, &shared, Rights::READ_WRITE)?;
        }
        let mut desks = Vec::new();
        for cpu in 0..task.cpus {
            let buffers = Buffers::new(cpu, task.pages)?;
            desks.push(match slot {
                Slot::CoreWindows => {
                    let subtree = Subtree::new(program().account())?;
                    space.attach_core(SLOT, &subtree, Rights::READ_WRITE, cpu)?;
                    Desk { cpu, subtree, offset: PAGE_BYTES, buffers }
                }
                Slot::Ordinary => {
                    let subtree = shared.derive(Rights::MAP, 0)?;
                    Desk { cpu, subtree, offset: PAGE_BYTES + cpu * APART_BYTES, buffers }
                }
            });
        }
        Ok(Server { space, task, desks, wrong: Arc::default() })
    }

    /// The desk of a CPU.
    pub(crate) fn desk(&self, cpu: u64) -> &Desk {
        &self.desks[cpu as usize]
    }

    /// Lets a worker on each CPU do its rounds, all at once; gives what the CPUs counted meanwhile.
    pub(crate) fn work(&self) -> Result<Traffic, Error> {
        let gates: Arc<[Gate; 2]> = Arc::default();
        let workers = self.desks.iter().map(|desk| self.worker(desk, &gates)).collect::<Result<Vec<_>, _>>()?;
        let [start, end] = &*gates;
        // Between the gates nobody makes a thread or gives memory back, so all that is counted is the workers'.
        start.await_arrivals(self.task.cpus)?;
        let before = Traffic::read()?;
        start.open();
        end.await_arrivals(self.task.cpus)?;
        let traffic = Traffic::read()?.since(&before);
        end.open();
        for worker in workers {
            worker.join()??;
        }
        Ok(traffic)
    }

    fn worker(&self, desk: &Desk, gates: &Arc<[Gate; 2]>) -> Result<JoinHandle<Result<(), Error>>, Error> {
        let (own, rounds) = (desk.lend()?, self.task.rounds);
        let (gates, wrong) = (Arc::clone(gates), Arc::clone(&self.wrong));
        worker_on(desk.cpu)?.space(&self.space).spawn(move || {
            gates[0].pass();
            let found = (0..rounds).try_fold(0, |found, round| Ok(found + own.serve(round)?));
            wrong.fetch_add(found.unwrap_or(1), Ordering::Relaxed);
            gates[1].pass();
            found.map(drop)
        })
    }

    /// Checks what the workers read, and their receipts; gives the number of complaints.
    pub(crate) fn complaints(&self) -> Result<u64, Error> {
        let wrong = self.wrong.load(Ordering::Relaxed);
        let mut missing = 0;
        for desk in &self.desks {
            missing += desk.buffers.missing_receipts(self.task.rounds)?;
        }
        Ok(expect(wrong == 0, "every word that was read was the right one")
            + expect(missing == 0, "every receipt is there"))
    }
}

/// A thread for one CPU, less urgent than the first one, which watches.
pub(crate) fn worker_on(cpu: u64) -> Result<Builder<'static>, Error> {
    let own = program().thread().info()?.priority;
    Ok(Builder::new().cpus(1 << cpu).priority(own.saturating_sub(1)).name("worker"))
}

impl Desk {
    /// The same desk for a thread of its own.
    pub(crate) fn lend(&self) -> Result<Desk, Error> {
        let subtree = self.subtree.derive(Rights::MAP, 0)?;
        Ok(Desk { cpu: self.cpu, subtree, offset: self.offset, buffers: self.buffers.lend()? })
    }

    /// Where the buffer is mapped, as the server's space sees it.
    pub(crate) fn address(&self) -> u64 {
        SLOT + self.offset
    }

    /// Maps the round's buffer.
    pub(crate) fn map(&self, round: u64) -> Result<(), Error> {
        let length_bytes = self.buffers.length_bytes();
        self.subtree.map(self.offset, self.buffers.of_round(round), 0..length_bytes, Rights::READ_WRITE)
    }

    /// Unmaps it.
    pub(crate) fn unmap(&self) -> Result<(), Error> {
        self.subtree.unmap(self.offset..self.offset + self.buffers.length_bytes())
    }

    /// Serves one request; gives how many words were wrong.
    fn serve(&self, round: u64) -> Result<u64, Error> {
        self.map(round)?;
        let wrong = self.buffers.use_at(self.address(), round)?;
        self.unmap()?;
        Ok(wrong)
    }
}
