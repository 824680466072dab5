//! How late a sleeper wakes while capability tables are made, emptied and given up.

use crate::CPU_0;
use crate::measure::Benchmark;
use crate::support::crowd::{CAPABILITIES, SLOTS, THREADS, Threads, children};
use crate::support::lateness::lateness;
use crate::support::runner::Runner;
use libvas::{Cap, CapTable, Error, Segment, Thread, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "lateness_table_create",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread makes a capability table of 65,536 slots",
        leaves_out: "giving it up",
        measure: |meter, _| lateness(meter, || Ok(()), |()| CapTable::new(program().account(), SLOTS)),
    },
    Benchmark {
        name: "lateness_table_destroy",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread gives up a table with 65,536 capabilities",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, || children(SLOTS), |(segment, table)| table.delete().map(|()| segment)),
    },
    Benchmark {
        name: "lateness_table_stop_threads",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread stops the 2,000 threads that use a table",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(
                meter,
                || Threads::ready_in(program().space(), THREADS),
                |threads| threads.used.stop_threads().map(|_| threads),
            )
        },
    },
    Benchmark {
        name: "lateness_thread_exit",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread waits for the last thread of a table with 60,000 capabilities, which ends",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, last_thread, |last| last.end().map(|()| last)),
    },
];

/// The only thread of a full table, which does nothing but end.
struct LastThread {
    thread: Cap<Thread>,
    runner: Runner,
    _segment: Cap<Segment>,
}

fn last_thread() -> Result<LastThread, Error> {
    let (segment, table) = children(CAPABILITIES)?;
    let below = program().thread().info()?.priority - 1;
    let thread = Thread::new(program().account(), &table, program().space(), below)?;
    thread.set_affinity(CPU_0)?;
    // The last capability to the table goes here; the thread keeps it.
    Ok(LastThread { thread, runner: Runner::new(), _segment: segment })
}

impl LastThread {
    fn end(&self) -> Result<(), Error> {
        self.runner.start(&self.thread)?;
        self.thread.join().map(|_| ())
    }
}
