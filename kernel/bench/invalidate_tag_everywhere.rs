//! Invalidating a tag wherever the instruction reaches.

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::bench::roots::Roots;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_invalidate_tag_everywhere",
    points: &[],
    axis: "",
    what: "Dropping everything under a tag but what is global, as far as the instruction reaches: on aarch64 every \
        CPU, on x86_64 this one",
    leaves_out: "on x86_64 the shootdown that the others take; the misses afterwards",
    measure: invalidate,
};

fn invalidate(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let roots = Roots::new(kernel)?;
    meter.call(|| tessera_arch::invalidate_tag(roots.tags[0]));
    roots.give_back(kernel);
    Ok(())
}
