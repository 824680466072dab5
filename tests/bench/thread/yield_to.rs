//! `yield_thread` and `yield_space`: to a thread of the same space and to one of another, per change of thread.

use crate::CPU_0;
use crate::measure::{Benchmark, Measured, Meter};
use crate::support::runner::Runner;
use core::sync::atomic::{AtomicBool, Ordering};
use libvas::thread::{self, Builder};
use libvas::{Cap, Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "yield_thread",
        points: &[],
        axis: "",
        what: "one change of thread, of two from one thread to another of the same space and back",
        leaves_out: "choosing among more threads",
        measure: |meter, _| to_and_fro(meter, program().space()),
    },
    Benchmark {
        name: "yield_thread_1000_threads",
        points: &[],
        axis: "",
        what: "one change of thread, of two to and fro, beside 1,000 threads that are ready, but lower",
        leaves_out: "the making of those",
        measure: |meter, _| {
            let runner = Runner::new();
            let _others = runner.ready_threads(1000)?;
            to_and_fro(meter, program().space())
        },
    },
    Benchmark {
        name: "yield_space",
        points: &[],
        axis: "",
        what: "one change of thread, of two from one thread to another in another space and back",
        leaves_out: "what the spaces' translations cost anew",
        measure: |meter, _| to_and_fro(meter, &program().new_space()?),
    },
];

/// To a thread in this space and back, per change.
fn to_and_fro(meter: &mut Meter, space: &Cap<Space>) -> Measured {
    static STOP: AtomicBool = AtomicBool::new(false);
    STOP.store(false, Ordering::Relaxed);
    let priority = program().thread().info()?.priority;
    let other = Builder::new().space(space).cpus(CPU_0).priority(priority).spawn(|| {
        while !STOP.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    })?;
    let give_way = |()| {
        thread::yield_now();
        Ok(())
    };
    let measured = meter.sample(2, || Ok(()), give_way);
    STOP.store(true, Ordering::Relaxed);
    other.join()?;
    measured
}
