//! Invalidating everything.

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_invalidate_all",
    points: &[],
    axis: "",
    what: "Dropping everything under every tag, global translations and the kernel's included: on aarch64 on every \
        CPU, on x86_64 on this one",
    leaves_out: "the misses afterwards",
    measure: invalidate,
};

fn invalidate(_: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    meter.call(tessera_arch::invalidate_all);
    Ok(())
}
