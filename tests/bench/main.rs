//! Benchmarks: what an operation costs from the user's call to its return.
//!
//! The unit is the tick of `libvas::raw::ticks`, which is an instruction when QEMU runs with `-icount shift=0`. Each
//! benchmark is one file with one function. The arguments name those to run; without any, all are run.
//! `./x.py bench` starts this, and compares medians with `budgets.json`.

#![no_std]
#![no_main]

extern crate alloc;

mod map_512_per_page;
mod measure;
mod null_call;
mod protect_512_per_page;
mod protect_shared;
mod space_create_destroy;
mod space_switch;
mod subtree_attach;
mod view_create_destroy;

use libvas::{Error, program};
use measure::Meter;

rt::main!(main);

/// A benchmark: its name and what measures it.
type Benchmark = (&'static str, fn(&mut Meter) -> Result<(), Error>);

const BENCHMARKS: &[Benchmark] = &[
    ("null_call", null_call::measure),
    ("space_switch", space_switch::measure),
    ("map_512_per_page", map_512_per_page::measure),
    ("protect_512_per_page", protect_512_per_page::measure),
    ("space_create_destroy", space_create_destroy::measure),
    ("subtree_attach", subtree_attach::measure_attach),
    ("subtree_attach_300_gib", subtree_attach::measure_attach_large),
    ("subtree_detach", subtree_attach::measure_detach),
    ("subtree_detach_300_gib", subtree_attach::measure_detach_large),
    ("view_create_destroy", view_create_destroy::measure),
    ("protect_shared_1", protect_shared::measure::<1>),
    ("protect_shared_2", protect_shared::measure::<2>),
    ("protect_shared_4", protect_shared::measure::<4>),
    ("protect_shared_5", protect_shared::measure::<5>),
    ("protect_shared_16", protect_shared::measure::<16>),
    ("protect_shared_1500", protect_shared::measure::<1500>),
];

fn main() -> Result<(), Error> {
    let mut wanted = program().arguments().split_whitespace().peekable();
    let all = wanted.peek().is_none();
    for (name, measure) in BENCHMARKS {
        if all || program().arguments().split_whitespace().any(|wanted| wanted == *name) {
            let mut meter = Meter::new();
            measure(&mut meter)?;
            meter.report(name);
        }
    }
    Ok(())
}
