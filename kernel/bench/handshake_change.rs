//! The handshake of a CPU that changes a space.

use core::hint::black_box;

use tessera_arch::{Frame, root_word};

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::cpu::handshake::{Pass, Presence};
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_handshake_change",
    points: &[],
    axis: "",
    what: "Turning the pass of one other CPU stale and looking whether it is in the space: the handshake's half of a \
        change",
    leaves_out: "the change; interrupting the CPU if it is there",
    measure: change,
};

fn change(_: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let (presence, pass) = (Presence::new(), Pass::new());
    // As memory that others see: of its own variables the compiler knows what they hold.
    let (presence, mut pass) = (black_box(&presence), black_box(&pass));
    let before = |pass: &mut &Pass| pass.make_good(root_word(Frame::new(1), 0));
    let change = |pass: &mut &Pass, ()| pass.make_stale() && presence.is_in(0);
    meter.sample(1, &mut pass, before, change, |_, _| ());
    Ok(())
}
