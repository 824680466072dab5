//! `yield_now`, also called `yield_alone`: giving way to nobody. `yield_thread` and `yield_space`: to a thread of the same
//! space and to one of another, per change of thread.

use crate::CPU_0;
use crate::measure::{Benchmark, Meter};
use crate::runner::Runner;
use core::sync::atomic::{AtomicBool, Ordering};
use libvas::thread::{self, Builder};
use libvas::{Cap, Error, Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("yield_now", |meter| meter.call(yield_now)),
    ("yield_alone", |meter| meter.call(yield_now)),
    ("yield_thread", |meter| measure_with(meter, program().space())),
    // Beside others that are ready, but lower.
    ("yield_thread_1000_threads", |meter| {
        let runner = Runner::new();
        let _others = runner.ready_threads(1000)?;
        measure_with(meter, program().space())
    }),
    ("yield_space", |meter| measure_with(meter, &program().new_space()?)),
];

#[inline(always)]
fn yield_now() -> Result<(), Error> {
    thread::yield_now();
    Ok(())
}

/// To a thread in this space and back, per change.
fn measure_with(meter: &mut Meter, space: &Cap<Space>) -> Result<(), Error> {
    static STOP: AtomicBool = AtomicBool::new(false);
    STOP.store(false, Ordering::Relaxed);
    let priority = program().thread().info()?.priority;
    let other = Builder::new().space(space).cpus(CPU_0).priority(priority).spawn(|| {
        while !STOP.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    })?;
    let measured = meter.sample(2, || Ok(()), |()| yield_now());
    STOP.store(true, Ordering::Relaxed);
    other.join()?;
    measured
}
