//! Calls on threads. Those that are started here have no turn before they are measured or destroyed, but for
//! `thread_exit`, `thread_join` and `thread_spawn_join`.

use crate::CPU_0;
use crate::measure::Benchmark;
use crate::runner::Runner;
use libvas::{Cap, CapTable, Error, Thread, program, thread};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("thread_create", |meter| {
        let table = small_table()?;
        meter.call(|| unstarted(&table))
    }),
    ("thread_create_destroy", |meter| {
        let table = small_table()?;
        meter.call(|| unstarted(&table)?.delete())
    }),
    // Beside others that are ready, but lower.
    ("thread_create_destroy_1000_threads", |meter| {
        let (table, _others) = (small_table()?, Runner::new().ready_threads(1000)?);
        meter.call(|| unstarted(&table)?.delete())
    }),
    ("thread_start", |meter| {
        let runner = Runner::new();
        meter.sample(1, idle, |thread| runner.start(&thread).map(|()| thread))
    }),
    // One that is ready.
    ("thread_stop", |meter| {
        let runner = Runner::new();
        let ready = || idle().and_then(|thread| runner.start(&thread).map(|()| thread));
        meter.sample(1, ready, |thread| thread.stop().map(|()| thread))
    }),
    // From the call to the next instruction of the thread that has its turn then.
    ("thread_exit", |meter| {
        let runner = Runner::new();
        meter.sample_from(|| runner.ended_thread().map(|(_, ticks)| ticks))
    }),
    // One that has ended; with the wait, see `thread_spawn_join`.
    ("thread_join", |meter| {
        let runner = Runner::new();
        meter.sample(1, || runner.ended_thread(), |(thread, _)| thread.join().map(|_| thread))
    }),
    ("thread_spawn_join", |meter| meter.call(|| thread::spawn(|| ())?.join())),
    ("thread_info", |meter| {
        let other = idle()?;
        meter.call(|| other.info())
    }),
    ("thread_set_priority", |meter| {
        let other = idle()?;
        meter.call(|| other.set_priority(1))
    }),
    ("thread_set_affinity", |meter| {
        let other = idle()?;
        meter.call(|| other.set_affinity(CPU_0))
    }),
    ("thread_set_pointer", |meter| meter.call(|| thread::set_pointer(0))),
    ("thread_set_fallback", |meter| {
        let runner = Runner::new();
        let measured = meter.call(|| runner.set_fallback());
        thread::clear_fallback();
        measured
    }),
];

fn small_table() -> Result<Cap<CapTable>, Error> {
    CapTable::new(program().account(), 8)
}

/// A thread that never starts.
#[inline(always)]
fn unstarted(table: &Cap<CapTable>) -> Result<Cap<Thread>, Error> {
    Thread::new(program().account(), table, program().space(), 0)
}

fn idle() -> Result<Cap<Thread>, Error> {
    Runner::idle_thread(program().table())
}
