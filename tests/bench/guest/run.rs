//! `guest_run` and `guest_kick`.

use crate::measure::Benchmark;
use crate::support::guests::Caller;
use core::hint::black_box;
use libvas::guest::End;
use libvas::{Error, clock};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "guest_run",
        points: &[],
        axis: "",
        what: "running a guest in another space until its next system call, and back, with all registers",
        leaves_out: "looking at what it asks for",
        measure: |meter, _| {
            let guest = Caller::calling()?;
            meter.call(|| guest.run())
        },
    },
    Benchmark {
        name: "guest_run_call",
        points: &[],
        axis: "",
        what: "the same, with the call's arguments looked at and its result set",
        leaves_out: "what is done about it",
        measure: |meter, _| {
            let guest = Caller::calling()?;
            meter.call(|| {
                let End::Call(number) = guest.run()? else { return Err(Error::BadState) };
                let [first, ..] = black_box(guest.context.call_arguments());
                guest.context.set_call_result(number + first);
                Ok(())
            })
        },
    },
    Benchmark {
        name: "guest_run_fault",
        points: &[],
        axis: "",
        what: "running a guest until it reads where nothing is, and back",
        leaves_out: "what is done about it",
        measure: |meter, _| {
            let guest = Caller::faulting()?;
            meter.call(|| guest.run())
        },
    },
    Benchmark {
        name: "guest_run_until",
        points: &[],
        axis: "",
        what: "running a guest until its next system call, with a time at which it is to come out",
        leaves_out: "a look at the clock",
        measure: |meter, _| {
            let guest = Caller::calling()?;
            let deadline_ns = clock::now().as_nanos() as u64 + 3_600_000_000_000;
            // SAFETY: the space has nothing of this program.
            meter.call(|| unsafe { guest.context.run_until(&guest.space, deadline_ns) })
        },
    },
    Benchmark {
        name: "guest_kick",
        points: &[],
        axis: "",
        what: "kicking a guest that does not run",
        leaves_out: "nothing: it is the whole call, as the program makes it",
        measure: |meter, _| {
            let guest = Caller::calling()?;
            meter.call(|| guest.context.guest().kick())
        },
    },
];
