//! A root write that changes nothing.

use tessera_arch::load_root;

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::bench::roots::Roots;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_root_write_same",
    points: &[],
    axis: "",
    what: "Loading the root that is in force, under its tag if the machine has tags",
    leaves_out: "seeing that it is in force, by which the kernel would save it",
    measure: write_root,
};

fn write_root(kernel: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let roots = Roots::new(kernel)?;
    meter.call(|| load_root(roots.word(0)));
    roots.give_back(kernel);
    Ok(())
}
