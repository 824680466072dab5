//! A block of the kernel heap, taken.

use alloc::vec::Vec;
use core::hint::black_box;

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_heap_allocate",
    points: &[16, 64, 256, 1024, 4096],
    axis: "bytes",
    what: "Taking a block of the kernel heap, the one that was last given back",
    leaves_out: "frames for the heap; what is written to the block",
    measure: allocate,
};

fn allocate(_: &mut Kernel, meter: &mut Meter, bytes: u64) -> Result<(), &'static str> {
    meter.call(|| black_box(Vec::<u8>::with_capacity(bytes as usize)));
    Ok(())
}
