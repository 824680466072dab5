//! What each CPU counted while the workers worked.

use crate::Task;
use alloc::vec::Vec;
use libvas::layout::Counters;
use libvas::{Error, counters};
use rt::println;

/// Counters of each CPU.
pub(crate) struct Traffic(Vec<Counters>);

impl Traffic {
    /// The counters now.
    pub(crate) fn read() -> Result<Traffic, Error> {
        (0..counters::cpus()?).map(counters::of_cpu).collect::<Result<_, _>>().map(Traffic)
    }

    /// What was counted since, of what this program tells about.
    pub(crate) fn since(&self, before: &Traffic) -> Traffic {
        let change = |(after, before): (&Counters, &Counters)| Counters {
            shootdowns_sent: after.shootdowns_sent - before.shootdowns_sent,
            shootdowns_received: after.shootdowns_received - before.shootdowns_received,
            page_flushes: after.page_flushes - before.page_flushes,
            range_flushes: after.range_flushes - before.range_flushes,
            stale_marks: after.stale_marks - before.stale_marks,
            ..Counters::default()
        };
        Traffic(self.0.iter().zip(&before.0).map(change).collect())
    }

    /// Shootdown interrupts sent by all CPUs.
    pub(crate) fn sent(&self) -> u64 {
        self.0.iter().map(|counters| counters.shootdowns_sent).sum()
    }

    /// Shootdown interrupts received by all CPUs.
    pub(crate) fn received(&self) -> u64 {
        self.0.iter().map(|counters| counters.shootdowns_received).sum()
    }

    /// Whether each CPU flushed at least each page that it unmapped.
    pub(crate) fn flushed_everywhere(&self, task: Task) -> bool {
        self.0.iter().all(|counters| counters.page_flushes >= task.rounds * task.pages)
    }

    /// Prints a table.
    pub(crate) fn print(&self, task: Task) {
        println!("   CPU    unmaps  interrupts sent  received  pages flushed  tags flushed");
        for (cpu, counted) in self.0.iter().enumerate() {
            println!(
                "   {cpu:>3} {:>9} {:>16} {:>9} {:>14} {:>13}",
                task.rounds,
                counted.shootdowns_sent,
                counted.shootdowns_received,
                counted.page_flushes,
                counted.range_flushes
            );
        }
    }
}
