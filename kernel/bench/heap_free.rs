//! A block of the kernel heap, given back.

use alloc::vec::Vec;
use core::hint::black_box;

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_heap_free",
    points: &[16, 64, 256, 1024, 4096],
    axis: "bytes",
    what: "Giving a block back to the kernel heap",
    leaves_out: "frames that the heap gives back",
    measure: free,
};

fn free(_: &mut Kernel, meter: &mut Meter, bytes: u64) -> Result<(), &'static str> {
    let allocate = |(): &mut ()| black_box(Vec::<u8>::with_capacity(bytes as usize));
    meter.sample(1, &mut (), allocate, |(), block| drop(block), |(), ()| ());
    Ok(())
}
