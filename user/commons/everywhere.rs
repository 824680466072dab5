//! Changing what is public: one invalidation that reaches every CPU, and not one for each space.

use crate::commons::{self, Commons};
use crate::crowd::Crowd;
use crate::readers::Readers;
use demonstration::{Failure, chapter, check, counted, hardware_broadcasts, refused};
use libvas::layout::Counters;
use libvas::thread::Builder;
use libvas::{Error, Place, program};
use rt::println;

/// Attempts at a change during which no CPU changes its thread, so that nothing else is counted.
const ATTEMPTS_MAX: u32 = 10_000;

/// Changes one page while a thread on each other CPU uses its neighbour, and shows what that took.
pub(crate) fn show(commons: &Commons, crowd: &Crowd) -> Result<(), Failure> {
    chapter("One page changes, everywhere");
    // On CPU 0, so that the others are the readers'.
    program().thread().set_affinity(1)?;
    let readers = Readers::start(crowd.spaces())?;
    println!("   {} other CPUs read in spaces of the crowd meanwhile", readers.count());
    let cost = undisturbed(commons, &readers)?;
    tell(&cost, crowd);
    check_cost(&cost, readers.count())?;
    let visitor = Builder::new().space(crowd.last()?).name("visitor");
    let end = visitor.spawn(|| commons::changing().map(Place::get))?.join();
    refused("joining a thread that reads there", end, Error::Faulted)?;
    commons.put(1)?;
    crowd.find_version(1)?;
    println!("   another page was put there: all {} spaces read it", crowd.count());
    readers.await_turn()?;
    check(readers.end()? == 0, "what the readers read was right all the time")?;
    Ok(program().thread().set_affinity(u64::MAX)?)
}

/// What unmapping the page takes, counted while no CPU changes its thread. The page is unmapped at the end.
fn undisturbed(commons: &Commons, readers: &Readers) -> Result<Counters, Failure> {
    for _ in 0..ATTEMPTS_MAX {
        readers.await_turn()?;
        let (cost, ()) = counted(|| commons.take_away())?;
        if cost.thread_switches == 0 {
            return Ok(cost);
        }
        commons.put(0)?;
    }
    Err(Failure::NotAsTold("threads are left alone for a moment"))
}

fn tell(cost: &Counters, crowd: &Crowd) {
    println!("   unmapping one page that {} spaces show:", crowd.count());
    for (what, count) in [
        ("pages invalidated under all tags at once", cost.shared_page_flushes),
        ("interrupts sent", cost.shootdowns_sent),
        ("times everything was flushed", cost.global_flushes),
    ] {
        println!("     {what:<60} {count:>4}");
    }
}

/// One invalidation, with an interrupt for each other CPU where the hardware does not broadcast it.
fn check_cost(cost: &Counters, others: u64) -> Result<(), Failure> {
    check(cost.shared_page_flushes == 1, "one page is invalidated, not one for each space")?;
    check(cost.global_flushes == 0, "everything else stays")?;
    if hardware_broadcasts() {
        println!("   the hardware broadcasts it to all CPUs");
        check(cost.page_flushes == 0, "no CPU has more to do")?;
        return check(cost.shootdowns_sent == 0, "no CPU is interrupted");
    }
    println!("   each of the other CPUs, {others}, is interrupted, wherever it is");
    check(cost.page_flushes == others + 1, "each CPU invalidates the page once")?;
    check(cost.shootdowns_sent == others, "each other CPU is interrupted once")
}
