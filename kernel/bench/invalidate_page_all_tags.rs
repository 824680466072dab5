//! Invalidating a page under every tag.

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::bench::roots::{ADDRESS, Roots};
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_invalidate_page_all_tags",
    points: &[],
    axis: "",
    what: "Dropping one page under every tag, global or not: on x86_64, where no instruction does that, everything",
    leaves_out: "what others lose at that address (on x86_64: everywhere), and find again by walks",
    measure: invalidate,
};

fn invalidate(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let roots = Roots::new(kernel)?;
    meter.call(|| tessera_arch::invalidate_page_all_tags(ADDRESS));
    roots.give_back(kernel);
    Ok(())
}
