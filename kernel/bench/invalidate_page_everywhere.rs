//! Invalidating a page wherever the instruction reaches.

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::bench::roots::{ADDRESS, Roots};
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_invalidate_page_everywhere",
    points: &[],
    axis: "",
    what: "Dropping one page under a tag, as far as the instruction reaches: on aarch64 every CPU, on x86_64 this one",
    leaves_out: "on x86_64 the shootdown that the others take; the walk at its next use",
    measure: invalidate,
};

fn invalidate(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let roots = Roots::new(kernel)?;
    meter.call(|| tessera_arch::invalidate_page(ADDRESS, roots.tags[0]));
    roots.give_back(kernel);
    Ok(())
}
