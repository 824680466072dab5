//! The big lock.

use core::hint::black_box;

use crate::base::sync::BigLock;
use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_lock",
    points: &[],
    axis: "",
    what: "Taking a lock such as the kernel's, which nobody else wants, and releasing it",
    leaves_out: "waiting; a line of the cache that another CPU had last",
    measure: lock,
};

fn lock(_: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let lock = BigLock::new(());
    // As memory that others see: of its own variables the compiler knows what they hold.
    let lock = black_box(&lock);
    meter.call(|| drop(lock.lock(|| {})));
    Ok(())
}
