//! `space_switch`: per switch, from one space to another and back.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::scene::Scene;
use libvas::{Cap, Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "space_switch",
        points: &[],
        axis: "",
        what: "one switch, of two from one space to another and back",
        leaves_out: "what the spaces' translations cost anew",
        measure: |meter, _| there_and_back(meter, &program().new_space()?),
    },
    Benchmark {
        name: "space_switch_10000_mappings",
        points: &[],
        axis: "",
        what: "one switch, of two to and fro, where one of the spaces has 10,000 mappings",
        leaves_out: "using them",
        measure: |meter, _| there_and_back(meter, &Scene::beside(10_000)?.space),
    },
];

fn there_and_back(meter: &mut Meter, there: &Cap<Space>) -> Measured {
    let here = program().new_space()?;
    here.switch()?;
    let there_and_back = |()| {
        there.switch()?;
        here.switch()
    };
    let measured = meter.sample(2, || Ok(()), there_and_back);
    program().space().switch()?;
    measured
}
