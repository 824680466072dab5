//! Benchmarks: what an operation costs from the user's call to its return.
//!
//! The unit is the tick of `libvas::raw::ticks`, which is an instruction when QEMU runs with `-icount shift=0`. Each
//! file holds one benchmark, or a few of one kind. The arguments name those to run; without any, all are run.
//! `./x.py bench` starts this, and compares medians with `budgets.json`.

#![no_std]
#![no_main]

extern crate alloc;

mod common_call;
mod copies;
mod first_touch;
mod map_512_per_page;
mod measure;
mod null_call;
mod objects;
mod one_page;
mod protect_512_per_page;
mod protect_code_512_per_page;
mod protect_shared;
mod space_create_destroy;
mod space_switch;
mod subtree_attach;
mod thread_spawn_join;
mod view_create_destroy;
mod yields;

use libvas::{Error, program};
use measure::Meter;

rt::main!(main);

/// A benchmark: its name and what measures it.
type Benchmark = (&'static str, fn(&mut Meter) -> Result<(), Error>);

const BENCHMARKS: &[Benchmark] = &[
    ("null_call", null_call::measure),
    ("common_call", common_call::measure),
    ("space_switch", space_switch::measure),
    ("yield_alone", yields::measure_alone),
    ("yield_thread", yields::measure_thread),
    ("yield_space", yields::measure_space),
    ("map_1", one_page::measure_map),
    ("unmap_1", one_page::measure_unmap),
    ("unmap_1_table", one_page::measure_unmap_table),
    ("protect_1", one_page::measure_protect),
    ("map_512_per_page", map_512_per_page::measure),
    ("protect_512_per_page", protect_512_per_page::measure),
    ("protect_code_512_per_page", protect_code_512_per_page::measure),
    ("first_touch", first_touch::measure),
    ("memory_read_8", copies::measure_read::<8>),
    ("memory_read_4096", copies::measure_read::<4096>),
    ("memory_write_4096", copies::measure_write::<4096>),
    ("derive_delete", objects::measure_derive),
    ("segment_create_destroy", objects::measure_segment),
    ("table_create_destroy", objects::measure_table),
    ("subtree_create_destroy", objects::measure_subtree),
    ("thread_create_destroy", objects::measure_thread),
    ("account_create_destroy", objects::measure_account),
    ("thread_spawn_join", thread_spawn_join::measure),
    ("space_create_destroy", space_create_destroy::measure),
    ("space_create_destroy_300_threads", space_create_destroy::measure_beside_threads),
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
