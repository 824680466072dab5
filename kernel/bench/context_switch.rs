//! Another thread's registers.

use tessera_arch::{ThreadContext, leave_context, resume_context};

use crate::bench::benchmark::{Benchmark, NO_MEMORY};
use crate::bench::meter::Meter;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_context_switch",
    points: &[],
    axis: "",
    what: "Making another thread's registers the CPU's own: the floating-point and thread-pointer registers of the \
        one before are saved, those of the next loaded",
    leaves_out: "the general registers, which the way into the kernel saves and the way out loads; on aarch64 the \
        vector registers, as neither thread has used them",
    measure: switch,
};

fn switch(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let reserve = |kernel: &mut Kernel| kernel.reserve_block(ThreadContext::LAYOUT.size() as u64);
    (0..2).try_for_each(|_| reserve(kernel)).map_err(|_| NO_MEMORY)?;
    let mut threads = [ThreadContext::new(), ThreadContext::new()];
    let there_and_back = |threads: &mut [ThreadContext; 2], ()| {
        resume_context(&threads[1]);
        resume_context(&threads[0]);
    };
    meter.sample(2, &mut threads, |_| (), there_and_back, |_, ()| ());
    leave_context();
    Ok(())
}
