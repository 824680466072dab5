//! The switch at which tags run out, beside N spaces, and the first one into an old space after it. Booted with
//! narrow tags only (`--tags 2` to `--tags 10`): others take too long to run out.

use crate::measure::{Benchmark, Stop};
use crate::support::machine::machine;
use crate::support::spaces::{Visit, go_home, spaces};
use alloc::format;
use alloc::vec::Vec;
use libvas::{Cap, Error, Space, counters, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "switch_at_rollover",
        points: &[1, 16, 256, 1024],
        axis: "other spaces",
        what: "the switch at which tags run out: all are free again, each CPU is to flush, and no space may be \
            entered the short way",
        leaves_out: "the flushes of other CPUs, and what the other spaces pay when they are next entered",
        measure: |meter, others| {
            let _others = entered(others)?;
            let needed = entries_until_rollover()?;
            meter.at_cost(ENTRY_TICKS * needed);
            let nearly_out = || {
                (1..needed).try_for_each(|_| enter_fresh())?;
                program().new_space()
            };
            let measured = meter.sample(1, nearly_out, |space| space.switch().map(|_| Visit(space)));
            go_home()?;
            measured
        },
    },
    Benchmark {
        name: "switch_after_rollover",
        points: &[],
        axis: "",
        what: "the first switch into a space whose tag is of the generation before",
        leaves_out: "the refills that follow from it",
        measure: |meter, _| {
            let old = entered(1)?;
            let needed = entries_until_rollover()?;
            meter.at_cost(ENTRY_TICKS * needed);
            let measured = meter.sample(1, run_out, |()| old[0].switch());
            go_home()?;
            measured
        },
    },
];

/// Wider tags take too long to run out.
const BITS_MAX: u64 = 10;
/// What making a space, entering and leaving it and giving it up takes, roughly.
const ENTRY_TICKS: u64 = 3000;

/// So many spaces that have been entered.
fn entered(count: u64) -> Result<Vec<Cap<Space>>, Stop> {
    let bits = machine()?.info()?.tag_bits;
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(Stop::Skipped(format!("it needs tags of 2 to {BITS_MAX} bits (--tags), and they have {bits}")));
    }
    let spaces = spaces(count)?;
    spaces.iter().try_for_each(|space| space.enter(|| ()))?;
    Ok(spaces)
}

/// Takes a tag: a space that nobody has been in.
fn enter_fresh() -> Result<(), Error> {
    program().new_space()?.enter(|| ())
}

/// Takes tags until there are none.
fn run_out() -> Result<(), Error> {
    go_home()?;
    let before = counters::of_cpu(0)?.tag_rollovers;
    while counters::of_cpu(0)?.tag_rollovers == before {
        enter_fresh()?;
    }
    Ok(())
}

/// How many fresh spaces have to be entered from one time that tags ran out to the next.
fn entries_until_rollover() -> Result<u64, Error> {
    run_out()?;
    let before = counters::of_cpu(0)?.tag_rollovers;
    let mut entries = 0;
    while counters::of_cpu(0)?.tag_rollovers == before {
        enter_fresh()?;
        entries += 1;
    }
    Ok(entries)
}
