//! `machine_provoke`, by the one provocation that a machine is sure to survive.

use crate::measure::Benchmark;
use crate::support::machine::machine;
use libvas::layout::Provocation;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "machine_provoke",
    points: &[],
    axis: "",
    what: "an interrupt that cannot be masked, sent to every CPU; nothing on aarch64, which has no such way",
    leaves_out: "the other provocations, which end the machine",
    measure: |meter, _| meter.call(|| machine()?.provoke(Provocation::NonMaskableInterrupt)),
}];
