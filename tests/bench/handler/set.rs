//! `handler_set`, `interrupted_read` and `interrupted_write`.

use crate::measure::Benchmark;
use crate::support::handlers::{Brings, DOES_SET, Handled, Looks, Resumes, TOOK};
use crate::support::services::Service;
use core::sync::atomic::Ordering::Relaxed;
use libvas::handler::Asks;
use libvas::program;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "handler_set",
        points: &[],
        axis: "",
        what: "making a gate the handler of a space that has another one",
        leaves_out: "nothing: it is the whole call, as the program makes it",
        measure: |meter, _| {
            let (service, space) = (Service::short::<Resumes>()?, program().new_space()?);
            meter.call(|| space.set_handler(&service.gate))
        },
    },
    Benchmark {
        name: "handler_set_clear",
        points: &[],
        axis: "",
        what: "making a gate the handler of a space, and none again",
        leaves_out: "nothing: it is both calls, as the program makes them",
        measure: |meter, _| {
            let (service, space) = (Service::short::<Brings>()?, program().new_space()?);
            meter.call(|| {
                space.set_handler(&service.gate)?;
                space.clear_handler()
            })
        },
    },
    Benchmark {
        name: "interrupted_read",
        points: &[],
        axis: "",
        what: "reading all registers of a thread in its handler",
        leaves_out: "nothing: it is the whole call, as the program makes it",
        measure: |meter, _| looked(meter, 0),
    },
    Benchmark {
        name: "interrupted_write",
        points: &[],
        axis: "",
        what: "setting all registers of a thread in its handler",
        leaves_out: "nothing: it is the whole call, as the program makes it",
        measure: |meter, _| looked(meter, 1),
    },
];

fn looked(meter: &mut crate::measure::Meter, sets: u64) -> crate::measure::Measured {
    DOES_SET.store(sets, Relaxed);
    let _handled = Handled::by::<Looks>(Asks { faults: false, calls: true, returns: false })?;
    meter.sample_from(|_| {
        libvas::clock::now();
        Ok(TOOK.load(Relaxed))
    })
}
