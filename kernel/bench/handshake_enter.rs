//! The handshake of a CPU that enters a space.

use core::hint::black_box;

use tessera_arch::{Frame, root_word};

use crate::bench::benchmark::Benchmark;
use crate::bench::meter::Meter;
use crate::cpu::handshake::{Pass, Presence};
use crate::state::kernel::Kernel;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "kernel_handshake_enter",
    points: &[],
    axis: "",
    what: "Publishing that this CPU enters a space and looking at its pass once more: the handshake's half of a switch",
    leaves_out: "the root write; a changer that looks at the same time",
    measure: enter,
};

fn enter(_: &mut Kernel, meter: &mut Meter, _: u64) -> Result<(), &'static str> {
    let (presence, pass) = (Presence::new(), Pass::new());
    // As memory that others see: of its own variables the compiler knows what they hold.
    let (presence, pass) = (black_box(&presence), black_box(&pass));
    pass.make_good(root_word(Frame::new(1), 0));
    let mut space = 0;
    meter.call(|| {
        space ^= 1;
        presence.enter(space, pass, pass.read())
    });
    Ok(())
}
