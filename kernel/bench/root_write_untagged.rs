//! A root write that drops what the CPU holds.

use tessera_arch::load_root;

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::bench::roots::Roots;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_root_write_untagged",
    points: &[],
    axis: "",
    what: "Loading another root without a tag, which drops what the CPU holds but what is global",
    leaves_out: "the pass and the handshake before it; the misses afterwards",
    measure: write_roots,
};

fn write_roots(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let mut roots = Roots::new(kernel)?;
    let there_and_back = |roots: &mut Roots, ()| {
        load_root(roots.untagged_word(1));
        load_root(roots.untagged_word(0))
    };
    meter.sample(2, &mut roots, |_| (), there_and_back, |_, _| ());
    roots.give_back(kernel);
    Ok(())
}
