//! How late a sleeper wakes while tags run out. Booted with narrow tags only (`--tags 2` to `--tags 10`).

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::crowd::SPACES;
use crate::support::lateness::{lateness, skipped};
use crate::support::machine::machine;
use alloc::format;
use alloc::vec::Vec;
use libvas::{Cap, Error, Space, counters, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "lateness_tag_rollover",
    points: &[],
    axis: "",
    what: "how late a sleeper wakes while another thread enters fresh spaces until tags run out, beside 3,000 that \
        have been entered",
    leaves_out: "what the other spaces pay when they are next entered",
    measure,
}];

/// Wider tags take too long to run out.
const BITS_MAX: u64 = 10;

fn measure(meter: &mut Meter, _: u64) -> Measured {
    let bits = machine()?.info()?.tag_bits;
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(skipped(format!("it needs tags of 2 to {BITS_MAX} bits (--tags), and they have {bits}")));
    }
    lateness(meter, entered, |spaces| run_out().map(|()| spaces))
}

fn entered() -> Result<Vec<Cap<Space>>, Error> {
    let entered = |_| {
        let space = program().new_space()?;
        space.enter(|| ())?;
        Ok(space)
    };
    (0..SPACES).map(entered).collect()
}

fn run_out() -> Result<(), Error> {
    let before = counters::of_cpu(0)?.tag_rollovers;
    while counters::of_cpu(0)?.tag_rollovers == before {
        program().new_space()?.enter(|| ())?;
    }
    Ok(())
}
