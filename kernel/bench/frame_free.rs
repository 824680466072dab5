//! A block of frames, given back.

use tessera_arch::Frame;

use crate::bench::benchmark::{Benchmark, NO_MEMORY};
use crate::bench::meter::Meter;
use crate::mem::FrameAllocator;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_frame_free",
    points: &[1, 8, 64, 512],
    axis: "frames",
    what: "Giving a block of frames back to the buddy system, where it joins its buddies that are free; a single frame \
        is kept apart",
    leaves_out: "invalidation before it",
    measure: free,
};

fn free(kernel: &mut Kernel, meter: &mut Meter, count: u64) -> Result<(), &'static str> {
    let order = count.ilog2() as u8;
    let first = kernel.frames.allocate(order).ok_or(NO_MEMORY)?;
    kernel.frames.free(first, order);
    let allocate = |frames: &mut FrameAllocator| frames.allocate(order);
    let free = |frames: &mut FrameAllocator, block: Option<Frame>| {
        block.into_iter().for_each(|first| frames.free(first, order))
    };
    meter.sample(1, &mut kernel.frames, allocate, free, |_, ()| ());
    Ok(())
}
