//! Starting closures in threads of their own by libvas: the start alone, and by how many there are at once.

use crate::CPU_0;
use crate::measure::Benchmark;
use alloc::vec::Vec;
use libvas::Error;
use libvas::thread::{Builder, JoinHandle};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "thread_spawn",
        points: &[],
        axis: "",
        what: "libvas's spawn of a closure that does nothing, on the same CPU: stack, thread, start",
        leaves_out: "its first turn, its end and its joining",
        measure: |meter, _| meter.call(|| Ok(Joined(Some(Builder::new().cpus(CPU_0).spawn(|| ())?)))),
    },
    Benchmark {
        name: "thread_spawn_join_threads",
        points: &[1, 4, 16, 64, 256],
        axis: "threads",
        what: "starting so many threads and joining them all, on the same CPU, per thread",
        leaves_out: "the closure's own work",
        measure: |meter, threads| {
            meter.at_cost(THREAD_TICKS * threads);
            meter.sample(
                threads,
                || Ok(Vec::with_capacity(threads as usize)),
                |mut all: Vec<JoinHandle<()>>| {
                    for _ in 0..threads {
                        all.push(Builder::new().cpus(CPU_0).spawn(|| ())?);
                    }
                    all.into_iter().try_for_each(JoinHandle::join)
                },
            )
        },
    },
];

/// What a thread takes from its start to its joining, roughly.
const THREAD_TICKS: u64 = 10_000;

/// A thread that is joined when this is dropped, which is not measured.
struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        // The closure does nothing that could fail.
        let _: Option<Result<(), Error>> = self.0.take().map(JoinHandle::join);
    }
}
