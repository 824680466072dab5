//! Invalidating a range, page by page.

use tessera_abi::PAGE_BYTES;
use tessera_arch::VirtAddr;

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::bench::roots::{ADDRESS, Roots};
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_invalidate_range",
    points: &[2, 4, 8, 16, 32, 64, 128, 256, 512],
    axis: "pages",
    what: "Dropping a number of pages under the tag in use, on this CPU, one by one",
    leaves_out: "the kernel's choice to drop the whole tag instead of more than 32 pages",
    measure: invalidate,
};

fn invalidate(kernel: &mut Kernel, meter: &mut Meter, pages: u64) -> Result<(), &'static str> {
    let roots = Roots::new(kernel)?;
    let tag = roots.tags[0];
    meter.call(|| {
        for page in 0..pages {
            tessera_arch::invalidate_page_local(VirtAddr::new(ADDRESS.value() + page * PAGE_BYTES), tag);
        }
    });
    roots.give_back(kernel);
    Ok(())
}
