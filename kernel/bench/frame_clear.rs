//! Frames, filled with zeros.

use crate::bench::benchmark::{Benchmark, NO_MEMORY};
use crate::bench::meter::Meter;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_frame_clear",
    points: &[1, 8, 64, 512],
    axis: "frames",
    what: "Filling frames that lie one behind the other with zeros",
    leaves_out: "taking them",
    measure: clear,
};

fn clear(kernel: &mut Kernel, meter: &mut Meter, count: u64) -> Result<(), &'static str> {
    kernel.ensure_frames(count).map_err(|_| NO_MEMORY)?;
    let first = kernel.frames.allocate(count.ilog2() as u8).ok_or(NO_MEMORY)?;
    meter.call(|| tessera_arch::clear_frames(first, count));
    kernel.frames.free(first, count.ilog2() as u8);
    Ok(())
}
