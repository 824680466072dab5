//! Asking another CPU for something, and waiting until it is done.

use tessera_arch::Interrupt;

use crate::base::cpu_set::CpuSet;
use crate::base::sync::Patience;
use crate::cpu::handshake::Request;
use crate::cpu::per_cpu::{PerCpu, Shared};

/// Posts a request to another CPU and interrupts it. Requests before it have been acknowledged.
pub fn ask(shared: &Shared, line: &PerCpu, request: Request) {
    await_acknowledgement(line);
    line.presence.post(request);
    shared.cpus[tessera_arch::cpu_index()].counters.shootdowns_sent.add(1);
    tessera_arch::send_interrupt(line.index, Interrupt::Shootdown);
}

/// Waits until all these CPUs have done what was asked of them.
pub fn await_acknowledgements(shared: &Shared, cpus: CpuSet) {
    for line in shared.lines().iter().filter(|line| cpus & (1 << line.index) != 0) {
        await_acknowledgement(line);
    }
}

fn await_acknowledgement(line: &PerCpu) {
    let mut patience = Patience::default();
    while !line.presence.is_acknowledged() {
        patience.spin("an answer of another CPU");
    }
}
