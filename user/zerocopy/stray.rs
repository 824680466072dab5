//! A stray access: another CPU's thread uses an address of a window that is not its own.

use crate::server::{Server, Slot, worker_on};
use crate::{Task, expect};
use libvas::{Error, Place};
use rt::println;

/// Shows that a stray access faults in a core window, and what it would read in an ordinary slot.
pub(crate) fn act(task: Task) -> Result<u64, Error> {
    println!("== a thread on another CPU uses the address of CPU 0's buffer");
    if task.cpus == 1 {
        println!("   there is no other CPU; try --smp 4");
        return Ok(0);
    }
    let mut complaints = 0;
    for cpu in 1..task.cpus {
        let (stray, wrong) = read_from(task, Slot::CoreWindows, cpu)?;
        complaints += expect(stray == Err(Error::Faulted), "in a core window it is stopped by a fault");
        complaints += expect(wrong == 0, "and CPU 0's thread goes on with its own memory");
    }
    let (stray, wrong) = read_from(task, Slot::Ordinary, 1)?;
    complaints += expect(stray.is_ok() && wrong == 0, "in an ordinary slot it reads what is CPU 0's");
    Ok(complaints)
}

/// Maps a buffer for CPU 0 and lets a thread on CPU `cpu` read there; gives what became of that, and how many words
/// were wrong for CPU 0 afterwards.
fn read_from(task: Task, slot: Slot, cpu: u64) -> Result<(Result<u64, Error>, u64), Error> {
    let server = Server::new(task, slot)?;
    let desk = server.desk(0).lend()?;
    let address = desk.address();
    desk.map(0)?;
    let place = Place::<u64>::new(address + 8)?;
    let owner = |desk: crate::server::Desk| {
        worker_on(0)?.space(&server.space).spawn(move || (desk.buffers.use_at(address, 0), desk))?.join()
    };
    let (before, desk) = owner(desk)?;
    let stray = worker_on(cpu)?.space(&server.space).spawn(move || place.get())?.join();
    let (after, desk) = owner(desk)?;
    desk.unmap()?;
    Ok((stray, before? + after?))
}
