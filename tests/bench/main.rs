//! Benchmarks: what an operation costs from the user's call to its return.
//!
//! The unit is the cycle of `libvas::raw::cycles`, which is an instruction when QEMU runs with `-icount shift=0`, unless a
//! benchmark names another. Every call of the ABI has a benchmark of its own name; others measure what goes together, what
//! must not grow, or how something grows: curves, whose points are named `NAME/POINT`. `./x.py bench` starts this and does
//! all statistics; `docs/benchmarks.md` is made from what the benchmarks say of themselves.
//!
//! The arguments name benchmarks, curves or points; without any, all are run. A benchmark is one file and one line below;
//! `example.rs` shows it.

#![no_std]
#![no_main]

extern crate alloc;

mod example;
mod measure;
mod runs;

/// What benchmarks have in common.
mod support {
    pub(crate) mod attach;
    pub(crate) mod circuit;
    pub(crate) mod count;
    pub(crate) mod crowd;
    pub(crate) mod guests;
    pub(crate) mod handlers;
    pub(crate) mod lateness;
    pub(crate) mod machine;
    pub(crate) mod others;
    pub(crate) mod pages;
    pub(crate) mod phase;
    pub(crate) mod runner;
    pub(crate) mod scene;
    pub(crate) mod services;
    pub(crate) mod shared;
    pub(crate) mod spaces;
    pub(crate) mod working_set;
}

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libvas::{Error, program};
use measure::{Benchmark, Meter, Stop};
use rt::println;
use runs::print_whole;

rt::main!(main);

/// The CPU that measures: bit 0 of a set of CPUs. Whoever is to take turns with it stays there too.
const CPU_0: u64 = 1;

/// Declares the files of benchmarks and gathers what is in them, in this order.
macro_rules! suite {
    ($(mod $folder:ident { $(mod $file:ident;)* })*) => {
        $(mod $folder { $(pub(crate) mod $file;)* })*
        const BENCHMARKS: &[&[Benchmark]] = &[example::BENCHMARKS, $($($folder::$file::BENCHMARKS,)*)*];
    };
}

suite! {
    mod call {
        mod null;
        mod clock;
        mod sleep;
        mod console_write;
        mod counters;
    }

    mod machine {
        mod info;
        mod check;
        mod provoke;
        mod power_off;
    }

    mod space {
        mod create;
        mod create_destroy;
        mod clone;
        mod create_local;
        mod info;
        mod switch;
        mod jump;
        mod destroy;
        mod by_mappings;
    }

    mod view {
        mod create;
        mod create_destroy;
        mod destroy;
    }

    mod gate {
        mod call_return;
        mod create;
        mod name_find;
    }

    mod guest {
        mod run;
        mod create;
        mod fork_exec_wait;
    }

    mod handler {
        mod faults;
        mod calls;
        mod set;
    }

    mod thread {
        mod yield_now;
        mod yield_to;
        mod create;
        mod create_destroy;
        mod start;
        mod stop;
        mod exit;
        mod join;
        mod spawn_join;
        mod info;
        mod set_priority;
        mod set_affinity;
        mod set_pointer;
        mod set_fallback;
        mod evict_revoked;
        mod destroy;
        mod spawn;
    }

    mod account {
        mod create;
        mod create_destroy;
        mod info;
        mod destroy;
        mod end;
    }

    mod capability {
        mod derive;
        mod delete;
        mod derive_delete;
        mod copy;
        mod info;
        mod set_name;
        mod revoke;
    }

    mod table {
        mod create;
        mod create_destroy;
        mod stop_threads;
        mod destroy;
        mod by_slots;
    }

    mod segment {
        mod create;
        mod create_destroy;
        mod info;
        mod destroy;
        mod by_pages;
        mod change;
    }

    mod mapping {
        mod map;
        mod private;
        mod moved;
        mod unmap;
        mod protect;
        mod list;
        mod map_512;
        mod protect_512;
        mod map_pages;
        mod protect_pages;
        mod unprotect_pages;
        mod unmap_pages;
        mod invalidations;
    }

    mod memory {
        mod first_touch;
        mod read;
        mod write;
    }

    mod subtree {
        mod create;
        mod create_destroy;
        mod info;
        mod seal;
        mod withdraw;
        mod publish;
        mod attach_core;
        mod detach_core;
        mod attach;
        mod detach;
        mod protect_shared;
        mod map_shared;
        mod unmap_shared;
        mod first_touch_shared;
        mod destroy;
        mod attach_curves;
        mod detach_curves;
        mod by_sharers;
    }

    mod switch {
        mod round_robin;
        mod into;
        mod lock;
        mod rollover;
        mod refill;
    }

    mod shootdown {
        mod cpus;
    }

    mod lateness {
        mod nothing;
        mod segment;
        mod space;
        mod subtree;
        mod table;
        mod capability;
        mod memory;
        mod mapping;
        mod asking;
        mod joining;
        mod tags;
        mod worst;
    }

    mod experiment {
        mod unmap_by_cpus;
        mod table_bytes;
        mod faults;
        mod fork;
        mod gups;
    }
}

fn main() -> Result<u8, Error> {
    program().thread().set_affinity(CPU_0)?;
    let wanted: Vec<&str> = program().arguments().split_whitespace().collect();
    let all: Vec<Point> = BENCHMARKS.iter().copied().flatten().flat_map(points_of).collect();
    if let Some(unknown) = wanted.iter().find(|word| !all.iter().any(|point| point.is_meant_by(word))) {
        println!("bench: there is no benchmark {unknown}");
        return Ok(2);
    }
    for point in all {
        if wanted.is_empty() || wanted.iter().any(|word| point.is_meant_by(word)) {
            point.run()?;
        }
    }
    Ok(0)
}

/// A benchmark, or one point of a curve.
struct Point {
    benchmark: &'static Benchmark,
    name: String,
    /// Of the curve; 0 if it is none.
    x: u64,
}

fn points_of(benchmark: &'static Benchmark) -> Vec<Point> {
    match benchmark.points {
        [] => Vec::from([Point { benchmark, name: benchmark.name.into(), x: 0 }]),
        points => points.iter().map(|&x| Point { benchmark, name: format!("{}/{x}", benchmark.name), x }).collect(),
    }
}

impl Point {
    /// By its own name or that of its curve.
    fn is_meant_by(&self, word: &str) -> bool {
        word == self.name || word == self.benchmark.name
    }

    fn run(&self) -> Result<(), Error> {
        let (name, mut meter) = (&self.name, Meter::new());
        match (self.benchmark.measure)(&mut meter, self.x) {
            Ok(()) => meter.report(name),
            Err(Stop::Skipped(reason)) => print_whole(&format!("bench {name} skipped: {reason}")),
            Err(Stop::Failed(error)) => {
                println!("bench: {name} failed");
                return Err(error);
            }
        }
        Ok(())
    }
}
