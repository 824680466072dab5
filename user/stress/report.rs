//! What exists, and what the CPUs counted.

use crate::locks;
use crate::world::CLONES;
use core::sync::atomic::Ordering::Relaxed;
use libvas::layout::MachineInfo;
use libvas::{Error, counters, program};
use rt::println;

/// What exists at some moment.
pub(crate) struct Census(MachineInfo);

impl Census {
    /// Counts.
    pub(crate) fn take() -> Result<Census, Error> {
        program().machine().ok_or(Error::MissingRight)?.info().map(Census)
    }

    /// How many kinds of object have other counts now; prints each.
    pub(crate) fn compare(&self) -> Result<u64, Error> {
        let (before, after) = (&self.0, Census::take()?.0);
        let mut different = 0;
        for (kind, before, after) in [
            ("accounts", before.accounts, after.accounts),
            ("spaces", before.spaces, after.spaces),
            ("subtrees", before.subtrees, after.subtrees),
            ("threads", before.threads, after.threads),
            ("tables", before.tables, after.tables),
        ] {
            if before != after {
                println!("stress: there were {before} {kind}, now there are {after}");
                different += 1;
            }
        }
        Ok(different)
    }
}

/// Prints what was done that is not an operation of its own.
pub(crate) fn print_work() {
    let [visits, refused, ended] = locks::COUNTS.each_ref().map(|count| count.load(Relaxed));
    println!(
        "stress: {} clones, {visits} visits with a lock, {refused} refused, {ended} visitors ended",
        CLONES.load(Relaxed)
    );
}

/// Prints a table of what each CPU counted since boot.
pub(crate) fn print_counters() -> Result<(), Error> {
    println!(
        "stress: CPU  switches  kept  flushed  roll-overs  pages  ranges  sent  received  spurious  marks  threads  \
         faults"
    );
    for cpu in 0..counters::cpus()? {
        let counted = counters::of_cpu(cpu)?;
        println!(
            "stress: {cpu:>3} {:>9} {:>5} {:>8} {:>11} {:>6} {:>7} {:>5} {:>9} {:>9} {:>6} {:>8} {:>7}",
            counted.space_switches,
            counted.tag_hits,
            counted.tag_flushes,
            counted.tag_rollovers,
            counted.page_flushes,
            counted.range_flushes,
            counted.shootdowns_sent,
            counted.shootdowns_received,
            counted.shootdowns_spurious,
            counted.stale_marks,
            counted.thread_switches,
            counted.faults
        );
    }
    Ok(())
}
