//! `worst_lateness`: how late a sleeper ever wakes, whatever long call is made meanwhile.

use super::{asking, capability, joining, mapping, memory, nothing, segment, space, subtree, table, tags};
use crate::measure::{Benchmark, Measured, Meter, Stop};
use crate::support::lateness::take_worst;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "worst_lateness",
    points: &[],
    axis: "",
    what: "how late a sleeper of top priority ever wakes while another thread makes every long call at its worst, \
        one after the other",
    leaves_out: "calls that are not among the benchmarks named lateness_",
    measure,
}];

/// One for each long call.
const EACH: &[&[Benchmark]] = &[
    nothing::BENCHMARKS,
    segment::BENCHMARKS,
    space::BENCHMARKS,
    subtree::BENCHMARKS,
    table::BENCHMARKS,
    capability::BENCHMARKS,
    memory::BENCHMARKS,
    mapping::BENCHMARKS,
    asking::BENCHMARKS,
    joining::BENCHMARKS,
    tags::BENCHMARKS,
];

/// Where all of them have been measured just before, what they have shown is taken; else they are measured here.
fn measure(meter: &mut Meter, _: u64) -> Measured {
    let all = || EACH.iter().copied().flatten();
    let (mut worst, calls) = take_worst();
    if calls < all().count() as u64 {
        all().try_for_each(|each| match (each.measure)(&mut Meter::new(), 0) {
            Err(Stop::Skipped(_)) => Ok(()),
            measured => measured,
        })?;
        (worst, _) = take_worst();
    }
    if worst == 0 {
        return Err(Stop::Skipped("no long call could be measured".into()));
    }
    meter.ticks(worst);
    Ok(())
}
