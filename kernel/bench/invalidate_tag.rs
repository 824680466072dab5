//! Invalidating a tag here.

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::bench::roots::Roots;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_invalidate_tag",
    points: &[],
    axis: "",
    what: "Dropping everything under the tag in use but what is global, on this CPU",
    leaves_out: "the misses afterwards",
    measure: invalidate,
};

fn invalidate(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let roots = Roots::new(kernel)?;
    meter.call(|| tessera_arch::invalidate_tag_local(roots.tags[0]));
    roots.give_back(kernel);
    Ok(())
}
