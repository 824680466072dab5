//! A shootdown, from the request to the last acknowledgement.

use tessera_abi::PAGE_BYTES;

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::bench::roots::ADDRESS;
use crate::cpu::handshake::Request;
use crate::cpu::requests;
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_shootdown",
    points: &[1, 2, 3, 4, 5, 6, 7, 15, 31],
    axis: "other CPUs",
    what: "Asking a number of CPUs that sleep to drop a page, until the last has done so: an interrupt for each, \
        which wakes it, and its acknowledgement",
    leaves_out: "finding out whom to ask; what the interrupt costs a CPU that was running a program",
    measure: shoot_down,
};

fn shoot_down(kernel: &mut Kernel, meter: &mut Meter, cpus: u64) -> Result<(), &'static str> {
    let (shared, here) = (kernel.shared, tessera_arch::cpu_index());
    if cpus >= kernel.cpus() as u64 {
        return Err("too few CPUs run");
    }
    let others = || shared.lines().iter().filter(|line| line.index != here).take(cpus as usize);
    let asked = others().map(|line| 1 << line.index).sum();
    let request = Request::Global { first: ADDRESS.value() / PAGE_BYTES, count: 1 };
    meter.call(|| {
        others().for_each(|line| requests::ask(shared, line, request));
        requests::await_acknowledgements(shared, asked);
    });
    Ok(())
}
