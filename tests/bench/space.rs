//! Calls on spaces; `space_switch` is per switch, from one space to another and back.

use crate::mapping::Scene;
use crate::measure::{Benchmark, Meter};
use crate::runner::Runner;
use alloc::vec::Vec;
use libvas::{Cap, Error, Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("space_create", |meter| meter.call(|| Space::new(program().account()))),
    ("space_create_destroy", |meter| meter.call(|| Space::new(program().account())?.delete())),
    // Beside threads that are elsewhere.
    ("space_create_destroy_300_threads", |meter| {
        let _threads = (0..300).map(|_| Runner::idle_thread(program().table())).collect::<Result<Vec<_>, _>>()?;
        meter.call(|| Space::new(program().account())?.delete())
    }),
    // Beside other spaces.
    ("space_create_destroy_1500_spaces", |meter| {
        let _spaces = (0..1500).map(|_| Space::new(program().account())).collect::<Result<Vec<_>, _>>()?;
        meter.call(|| Space::new(program().account())?.delete())
    }),
    ("space_create_local", |meter| meter.call(|| Space::new_local(program().account(), 0))),
    ("space_info", |meter| {
        let space = program().new_space()?;
        meter.call(|| space.info())
    }),
    ("space_switch", |meter| measure_switch(meter, &program().new_space()?)),
    ("space_switch_10000_mappings", |meter| measure_switch(meter, &Scene::beside(10_000)?.space)),
];

fn measure_switch(meter: &mut Meter, there: &Cap<Space>) -> Result<(), Error> {
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
