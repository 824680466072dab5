//! Benchmarks of the bare mechanism: what the machine takes for a root write, an invalidation, a shootdown, an entry of a
//! page table, with no system call around it.
//!
//! The boot option `bench=` asks for them: `all`, or names, curves and points of curves, with commas between. The boot CPU
//! runs them before the first program, interrupts off, while the other CPUs stand by ([`standby`]). They leave everything
//! as it was but the counters and the order of free lists, which [`run`] looks at. A file for each, and its line in
//! [`BENCHMARKS`]; what they print is in [`report`].

pub mod benchmark;
mod entries;
pub mod meter;
pub mod report;
mod roots;
pub mod standby;
mod tags;

mod clear_entries;
mod clear_large_entries;
mod context_switch;
mod frame_allocate;
mod frame_clear;
mod frame_free;
mod handshake_change;
mod handshake_enter;
mod heap_allocate;
mod heap_free;
mod invalidate_all;
mod invalidate_page;
mod invalidate_page_all_tags;
mod invalidate_page_everywhere;
mod invalidate_range;
mod invalidate_tag;
mod invalidate_tag_everywhere;
mod lock;
mod map_entries;
mod map_large_entries;
mod object_create;
mod object_destroy;
mod root_write_same;
mod root_write_tagged;
mod root_write_untagged;
mod shootdown;
mod tag_allocate;
mod tag_roll_over;
mod walk;

use crate::base::log::last_line;
use crate::bench::benchmark::{Benchmark, Point, Wanted};
use crate::bench::meter::Meter;
use crate::lifecycle::check;
use crate::state::kernel::Kernel;

/// All of them, in the order in which they run.
pub const BENCHMARKS: &[Benchmark] = &[
    root_write_tagged::BENCHMARK,
    root_write_untagged::BENCHMARK,
    root_write_same::BENCHMARK,
    invalidate_page::BENCHMARK,
    invalidate_page_everywhere::BENCHMARK,
    invalidate_page_all_tags::BENCHMARK,
    invalidate_range::BENCHMARK,
    invalidate_tag::BENCHMARK,
    invalidate_tag_everywhere::BENCHMARK,
    invalidate_all::BENCHMARK,
    shootdown::BENCHMARK,
    walk::BENCHMARK,
    map_entries::BENCHMARK,
    map_large_entries::BENCHMARK,
    clear_entries::BENCHMARK,
    clear_large_entries::BENCHMARK,
    lock::BENCHMARK,
    handshake_enter::BENCHMARK,
    handshake_change::BENCHMARK,
    tag_allocate::BENCHMARK,
    tag_roll_over::BENCHMARK,
    context_switch::BENCHMARK,
    frame_allocate::BENCHMARK,
    frame_free::BENCHMARK,
    frame_clear::BENCHMARK,
    heap_allocate::BENCHMARK,
    heap_free::BENCHMARK,
    object_create::BENCHMARK,
    object_destroy::BENCHMARK,
];

/// The first word of those that some list of names, as the option has it, does not understand.
///
/// # Errors
/// That word.
pub fn parse(words: &str) -> Result<Wanted<'_>, &str> {
    Wanted::parse(words, BENCHMARKS)
}

/// Runs those that are wanted, on the calling CPU, which leaves its space; the other CPUs stand by.
///
/// # Panics
/// If something is not as it was before.
pub fn run(kernel: &mut Kernel, wanted: Wanted<'_>) {
    let before = Balance::of(kernel);
    kernel.shared.leave_space(&kernel.shared.cpus[tessera_arch::cpu_index()]);
    let points = BENCHMARKS.iter().flat_map(|benchmark| benchmark.points().map(move |point| (benchmark, point)));
    let (mut measured, mut left_out) = (0, 0);
    for (benchmark, point) in points.filter(|(_, point)| wanted.includes(*point)) {
        match measure(kernel, benchmark, point) {
            Ok(()) => measured += 1,
            Err(reason) => {
                left_out += 1;
                last_line(&kernel.shared.console, format_args!("{point} is left out: {reason}"));
            }
        }
    }
    assert_eq!(Balance::of(kernel), before, "benchmarks leave what they find");
    let facts = check::check(kernel);
    let text = format_args!("kernel benchmarks: {measured} measured, {left_out} left out; {facts} facts hold");
    last_line(&kernel.shared.console, text);
}

fn measure(kernel: &mut Kernel, benchmark: &Benchmark, point: Point) -> Result<(), &'static str> {
    let mut meter = Meter::new();
    let result = (benchmark.measure)(kernel, &mut meter, point.x);
    if result.is_ok() {
        report::report(&kernel.shared.console, point, meter.samples());
        meter::note_complete();
    }
    drop(meter);
    kernel.top_up_heap();
    result
}

/// What is the same before and after.
#[derive(Debug, PartialEq, Eq)]
struct Balance {
    /// What is free, or the heap's; how much of its pages the heap has cut into blocks is its business.
    free_bytes: u64,
    heap_used_bytes: u64,
    tag_generation: u64,
}

impl Balance {
    fn of(kernel: &Kernel) -> Balance {
        Balance {
            free_bytes: kernel.frames.free_frames() * tessera_abi::PAGE_BYTES + kernel.heap_held_bytes(),
            heap_used_bytes: kernel.heap_used_bytes(),
            tag_generation: kernel.tags.generation(),
        }
    }
}
