//! `gate_create`, `gate_info`, `gate_close` and a gate's end.

use crate::measure::Benchmark;
use crate::support::services::{Echoes, Service};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "gate_create",
        points: &[],
        axis: "",
        what: "making a gate with two stacks into a space that is there",
        leaves_out: "its end; the space and the stacks",
        measure: |meter, _| {
            let service = Service::serving::<Echoes>()?;
            meter.sample(1, || Ok(()), |()| service.another())
        },
    },
    Benchmark {
        name: "gate_close",
        points: &[],
        axis: "",
        what: "closing a gate in which nobody is, for all who are inside",
        leaves_out: "making it, and its end",
        measure: |meter, _| {
            let service = Service::serving::<Echoes>()?;
            meter.sample(1, || service.another(), |gate| gate.close_now().map(|()| gate))
        },
    },
    Benchmark {
        name: "gate_destroy",
        points: &[],
        axis: "",
        what: "giving up the last capability to a gate in which nobody is",
        leaves_out: "making it",
        measure: |meter, _| {
            let service = Service::serving::<Echoes>()?;
            meter.sample(1, || service.another(), |gate| gate.delete())
        },
    },
    Benchmark {
        name: "gate_info",
        points: &[],
        axis: "",
        what: "asking what a gate leads to and who is inside",
        leaves_out: "nothing: it is the whole call, as the program makes it",
        measure: |meter, _| {
            let service = Service::serving::<Echoes>()?;
            meter.call(|| service.gate.info())
        },
    },
];
