//! Switching around among N spaces: per switch; and how many of the switches kept translations, and how often tags
//! ran out.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::circuit::Circuit;
use libvas::layout::Counters;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "switch_round_robin",
        points: &[2, 4, 16, 64, 256, 1024, 2048, 4096, 8192],
        axis: "spaces",
        what: "one switch, of as many around as there are spaces, tags as the boot option has them",
        leaves_out: "refilling the TLB, which takes no instructions",
        measure: |meter, spaces| {
            meter.at_cost(SWITCH_TICKS * spaces);
            let circuit = Circuit::go(spaces, meter.rounds(), meter.warm_ups())?;
            meter.take_all(spaces, circuit.ticks()?.iter().copied())
        },
    },
    Benchmark {
        name: "switch_round_robin_tag_hits",
        points: &[2, 4, 16, 64, 256, 1024, 2048, 4096, 8192],
        axis: "spaces",
        what: "of as many switches around as there are spaces, how many could keep the translations under the \
            space's tag",
        leaves_out: "whether there are any left: the TLB is smaller than the number of tags",
        measure: |meter, spaces| count(meter, spaces, 1, "hits", |counters| counters.tag_hits),
    },
    Benchmark {
        name: "switch_round_robin_rollovers",
        points: &[2, 4, 16, 64, 256, 1024, 2048, 4096, 8192],
        axis: "spaces",
        what: "in four rounds among the spaces, how often tags ran out, so that all were flushed",
        leaves_out: "the cost of that: see `switch_at_rollover`",
        measure: |meter, spaces| count(meter, spaces, 4, "rollovers", |counters| counters.tag_rollovers),
    },
];

/// What a switch takes, roughly.
const SWITCH_TICKS: u64 = 100;

/// Counts in several rounds, after one in which the spaces get their tags.
fn count(meter: &mut Meter, spaces: u64, rounds: usize, unit: &'static str, of: fn(&Counters) -> u64) -> Measured {
    let circuit = Circuit::go(spaces, 1 + rounds, 1)?;
    meter.figure(unit, of(&circuit.counters()?));
    Ok(())
}
