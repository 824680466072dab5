//! Calls on the machine, and `counters`.

use crate::measure::Benchmark;
use libvas::layout::Provocation;
use libvas::{Cap, Error, Machine, Rights, counters, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("counters", |meter| meter.call(|| counters::of_cpu(0))),
    ("machine_info", |meter| meter.call(|| machine()?.info())),
    ("machine_check", |meter| meter.fewer(50).call(|| machine()?.check())),
    // The one provocation that a machine is sure to survive: an interrupt that cannot be masked, where there are such.
    ("machine_provoke", |meter| meter.call(|| machine()?.provoke(Provocation::NonMaskableInterrupt))),
    // Granted, it never returns: this is what its refusal costs, for want of the right.
    ("machine_power_off", |meter| {
        let powerless = machine()?.derive(Rights::INSPECT, 0)?;
        meter.call(|| match powerless.power_off(0) {
            Err(Error::MissingRight) => Ok(()),
            _ => Err(Error::BadState),
        })
    }),
];

/// The machine, to which this program has all rights: its Cargo.toml asks for them.
#[inline(always)]
pub(crate) fn machine() -> Result<&'static Cap<Machine>, Error> {
    program().machine().ok_or(Error::MissingRight)
}
