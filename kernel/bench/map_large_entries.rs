//! Entries for large pages, written.

use crate::bench::benchmark::Benchmark;
use crate::bench::entries::Entries;
use crate::bench::meter::Meter;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_map_large_entries",
    points: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    axis: "entries",
    what: "Writing a number of entries for pages of 2 MiB one behind the other, where there is a table for them; for \
        each, with its share of the walk to the table and of making them visible",
    leaves_out: "new tables; records of what is mapped; memory and its clearing",
    measure: map,
};

fn map(kernel: &mut Kernel, meter: &mut Meter, count: u64) -> Result<(), &'static str> {
    let mut entries = Entries::new(kernel, 1, count)?;
    meter.sample(count, &mut entries, |_| (), |entries, ()| entries.map(), |entries, ()| entries.clear());
    entries.give_back();
    Ok(())
}
