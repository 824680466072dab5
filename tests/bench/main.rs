//! Benchmarks: what an operation costs from the user's call to its return.
//!
//! The unit is the tick of `libvas::raw::ticks`, which is an instruction when QEMU runs with `-icount shift=0`. Each
//! file has the benchmarks of one kind of object. Every call of the ABI has one of its own name; others measure what
//! goes together, or what must not grow. The arguments name those to run; without any, all are run. `./x.py bench`
//! starts this, and compares medians with `budgets.json`; `docs/performance.md` is made from it.

#![no_std]
#![no_main]

extern crate alloc;

mod account;
mod attach;
mod capability;
mod clock;
mod console;
mod jump;
mod machine;
mod mapping;
mod measure;
mod memory;
mod null;
mod pages;
mod runner;
mod segment;
mod sharing;
mod space;
mod subtree;
mod table;
mod thread;
mod view;
mod yields;

use libvas::{Error, program};
use measure::{Benchmark, Meter};

rt::main!(main);

/// The CPU that measures: bit 0 of a set of CPUs. Whoever is to take turns with it stays there too.
const CPU_0: u64 = 1;

const BENCHMARKS: &[&[Benchmark]] = &[
    null::BENCHMARKS,
    clock::BENCHMARKS,
    console::BENCHMARKS,
    machine::BENCHMARKS,
    space::BENCHMARKS,
    jump::BENCHMARKS,
    view::BENCHMARKS,
    yields::BENCHMARKS,
    thread::BENCHMARKS,
    account::BENCHMARKS,
    capability::BENCHMARKS,
    table::BENCHMARKS,
    segment::BENCHMARKS,
    mapping::BENCHMARKS,
    pages::BENCHMARKS,
    memory::BENCHMARKS,
    subtree::BENCHMARKS,
    attach::BENCHMARKS,
    sharing::BENCHMARKS,
];

fn main() -> Result<(), Error> {
    program().thread().set_affinity(CPU_0)?;
    let mut wanted = program().arguments().split_whitespace().peekable();
    let all = wanted.peek().is_none();
    for (name, measure) in BENCHMARKS.iter().copied().flatten() {
        if all || program().arguments().split_whitespace().any(|wanted| wanted == *name) {
            let mut meter = Meter::new();
            measure(&mut meter)?;
            meter.report(name);
        }
    }
    Ok(())
}
