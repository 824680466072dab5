//! A tag for a space.

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::bench::tags::Tags;
use crate::cpu::tags::TagWord;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_tag_allocate",
    points: &[],
    axis: "",
    what: "Giving a space that has no tag the next one that is free",
    leaves_out: "who else may be in the space meanwhile",
    measure: allocate,
};

fn allocate(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let mut tags = Tags::new(kernel)?;
    meter.sample(
        1,
        &mut tags,
        Tags::ensure_free,
        |tags, ()| tags.allocator.renew(TagWord::default(), false),
        |_, _| (),
    );
    Ok(())
}
