//! A root write that keeps what the CPU holds.

use tessera_arch::load_root;

use crate::bench::benchmark::{Benchmark, NO_TAGS};
use crate::bench::meter::Meter;
use crate::bench::roots::Roots;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_root_write_tagged",
    points: &[],
    axis: "",
    what: "Loading another root under its tag, which keeps what the CPU holds",
    leaves_out: "the pass and the handshake before it; what it costs to find the TLB as it was",
    measure: write_roots,
};

fn write_roots(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let mut roots = Roots::new(kernel)?;
    let have_tags = roots.have_tags();
    if have_tags {
        let there_and_back = |roots: &mut Roots, ()| {
            load_root(roots.word(1));
            load_root(roots.word(0))
        };
        meter.sample(2, &mut roots, |_| (), there_and_back, |_, _| ());
    }
    roots.give_back(kernel);
    if have_tags { Ok(()) } else { Err(NO_TAGS) }
}
