//! Switching around among N spaces: per switch; and how many of the switches kept translations, and how often tags
//! ran out.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::count::counted;
use crate::support::spaces::{go_home, spaces};
use libvas::layout::Counters;
use libvas::{Cap, Error, Space};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "switch_round_robin",
        points: &[2, 4, 16, 64, 256, 1024, 2048, 4096, 8192],
        axis: "spaces",
        what: "one switch, of as many around as there are spaces, tags as the boot option has them",
        leaves_out: "refilling the TLB, which takes no instructions",
        measure: |meter, count| {
            let spaces = spaces(count)?;
            meter.at_cost(SWITCH_TICKS * count);
            let measured = meter.sample(count, || Ok(()), |()| around(&spaces));
            go_home()?;
            measured
        },
    },
    Benchmark {
        name: "switch_round_robin_tag_hits",
        points: &[2, 4, 16, 64, 256, 1024, 2048, 4096, 8192],
        axis: "spaces",
        what: "of as many switches around as there are spaces, how many could keep the translations under the \
            space's tag",
        leaves_out: "whether there are any left: the TLB is smaller than the number of tags",
        measure: |meter, count| count_around(meter, count, "hits", |counters| counters.tag_hits),
    },
    Benchmark {
        name: "switch_round_robin_rollovers",
        points: &[2, 4, 16, 64, 256, 1024, 2048, 4096, 8192],
        axis: "spaces",
        what: "in four rounds among the spaces, how often tags ran out, so that all were flushed",
        leaves_out: "the cost of that: see `switch_at_rollover`",
        measure: |meter, count| count_around(meter, count, "rollovers", |counters| counters.tag_rollovers),
    },
];

/// What a switch takes, roughly.
const SWITCH_TICKS: u64 = 100;
/// How many rounds are counted; hits are those of one of them.
const ROUNDS: u64 = 4;

#[inline(always)]
fn around(spaces: &[Cap<Space>]) -> Result<(), Error> {
    spaces.iter().try_for_each(|space| space.switch().map(|_| ()))
}

/// Counts after a round in which the spaces get their tags.
fn count_around(meter: &mut Meter, count: u64, unit: &'static str, of: fn(&Counters) -> u64) -> Measured {
    let spaces = spaces(count)?;
    around(&spaces)?;
    let counters = counted(|| (0..ROUNDS).try_for_each(|_| around(&spaces)))?;
    go_home()?;
    meter.figure(unit, of(&counters));
    Ok(())
}
