//! Invalidating a page here.

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::bench::roots::{ADDRESS, Roots};
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_invalidate_page",
    points: &[],
    axis: "",
    what: "Dropping one page under the tag in use, on this CPU",
    leaves_out: "who else holds the page; the walk at its next use",
    measure: invalidate,
};

fn invalidate(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let roots = Roots::new(kernel)?;
    meter.call(|| tessera_arch::invalidate_page_local(ADDRESS, roots.tags[0]));
    roots.give_back(kernel);
    Ok(())
}
