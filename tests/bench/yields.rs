//! `yield_alone`, `yield_thread`, `yield_space`: giving way to nobody, to a thread of the same space and to one of
//! another, per change of thread.

use crate::measure::Meter;
use core::sync::atomic::{AtomicBool, Ordering};
use libvas::thread::{self, Builder, yield_now};
use libvas::{Cap, Error, Space, program};

/// Both threads stay on this CPU, or nobody would have to give way.
const CPU_0: u64 = 1;

pub(crate) fn measure_alone(meter: &mut Meter) -> Result<(), Error> {
    program().thread().set_affinity(CPU_0)?;
    meter.sample(
        1,
        || Ok(()),
        |()| {
            yield_now();
            Ok(())
        },
    )
}

pub(crate) fn measure_thread(meter: &mut Meter) -> Result<(), Error> {
    measure_with(meter, program().space())
}

pub(crate) fn measure_space(meter: &mut Meter) -> Result<(), Error> {
    measure_with(meter, &program().new_space()?)
}

/// To a thread in this space and back, per change.
fn measure_with(meter: &mut Meter, space: &Cap<Space>) -> Result<(), Error> {
    static STOP: AtomicBool = AtomicBool::new(false);
    program().thread().set_affinity(CPU_0)?;
    STOP.store(false, Ordering::Relaxed);
    let priority = program().thread().info()?.priority;
    let other = Builder::new().space(space).cpus(CPU_0).priority(priority).spawn(|| {
        while !STOP.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    })?;
    let measured = meter.sample(
        2,
        || Ok(()),
        |()| {
            yield_now();
            Ok(())
        },
    );
    STOP.store(true, Ordering::Relaxed);
    other.join()?;
    measured
}
