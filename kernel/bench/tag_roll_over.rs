//! A new generation of tags.

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::bench::tags::Tags;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_tag_roll_over",
    points: &[],
    axis: "",
    what: "Beginning a new generation of tags, in which each CPU's live tag stays with its owner, and giving one out. \
        A machine without tags does so as if it had 12 bits",
    leaves_out: "taking every space's passes away; each CPU's flush when it next enters a space \
        (kernel_invalidate_all)",
    measure: roll_over,
};

fn roll_over(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let mut tags = Tags::new(kernel)?;
    meter.sample(1, &mut tags, |_| (), |tags, ()| tags.roll_over(), |_, _| ());
    Ok(())
}
