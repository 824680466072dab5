//! `machine_power_off`: granted, it never returns, so this is what its refusal costs.

use crate::measure::Benchmark;
use crate::support::machine::machine;
use libvas::{Error, Rights};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "machine_power_off",
    points: &[],
    axis: "",
    what: "the refusal to power the machine off, for want of the right",
    leaves_out: "powering off, after which nothing can be counted",
    measure: |meter, _| {
        let powerless = machine()?.derive(Rights::INSPECT, 0)?;
        meter.call(|| match powerless.power_off(0) {
            Err(Error::MissingRight) => Ok(()),
            _ => Err(Error::BadState),
        })
    },
}];
