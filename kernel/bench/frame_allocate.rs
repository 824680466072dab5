//! A block of frames, taken.

use tessera_arch::Frame;

use crate::bench::benchmark::{Benchmark, NO_MEMORY};
use crate::bench::meter::Meter;
use crate::mem::FrameAllocator;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_frame_allocate",
    points: &[1, 8, 64, 512],
    axis: "frames",
    what: "Taking a block of frames from the buddy system, out of a larger one where none of its size is free; a single \
        frame from those that were given back last",
    leaves_out: "clearing it",
    measure: allocate,
};

fn allocate(kernel: &mut Kernel, meter: &mut Meter, count: u64) -> Result<(), &'static str> {
    let order = count.ilog2() as u8;
    let first = kernel.frames.allocate(order).ok_or(NO_MEMORY)?;
    kernel.frames.free(first, order);
    let allocate = |frames: &mut FrameAllocator, ()| frames.allocate(order);
    let free = |frames: &mut FrameAllocator, block: Option<Frame>| {
        block.into_iter().for_each(|first| frames.free(first, order))
    };
    meter.sample(1, &mut kernel.frames, |_| (), allocate, free);
    Ok(())
}
