//! `space_info`.

use crate::measure::Benchmark;
use libvas::program;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "space_info",
    points: &[],
    axis: "",
    what: "asking about a space that shows the program: tables, mappings, tag, threads inside",
    leaves_out: "more attachments: tables are counted for each",
    measure: |meter, _| {
        let space = program().new_space()?;
        meter.call(|| space.info())
    },
}];
