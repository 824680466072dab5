//! Entries for small pages, taken out.

use crate::bench::benchmark::Benchmark;
use crate::bench::entries::Entries;
use crate::bench::meter::Meter;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_clear_entries",
    points: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    axis: "entries",
    what: "Taking out a number of entries for pages of 4 KiB one behind the other, from a table that stays; for each, \
        with its share of the walk to the table and of making that visible",
    leaves_out: "the invalidation that is due afterwards; tables that go; records of what is mapped",
    measure: clear,
};

fn clear(kernel: &mut Kernel, meter: &mut Meter, count: u64) -> Result<(), &'static str> {
    let mut entries = Entries::new(kernel, 0, count)?;
    meter.sample(count, &mut entries, |entries| entries.map(), |entries, ()| entries.clear(), |_, ()| ());
    entries.give_back();
    Ok(())
}
