//! System calls of which a handler is asked, in another space.

use crate::measure::Benchmark;
use crate::support::handlers::{Handled, Resumes};
use libvas::handler::Asks;
use libvas::raw;
use tessera_abi::syscall::number;

/// Makes the call that does nothing.
fn null() -> Result<u64, libvas::Error> {
    // SAFETY: it takes nothing and gives nothing.
    let (status, value) = unsafe { raw::call_short(number::null, 0) };
    libvas::Error::from_status(status).map(|()| value)
}

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "trace_call",
        points: &[],
        axis: "",
        what: "a system call of which the thread's handler in another space is asked before it is made, which does nothing itself",
        leaves_out: "what the handler does: it lets the call be made",
        measure: |meter, _| {
            let _handled = Handled::by::<Resumes>(Asks { faults: false, calls: true, returns: false })?;
            meter.call(null)
        },
    },
    Benchmark {
        name: "trace_call_return",
        points: &[],
        axis: "",
        what: "the same, of which the handler is told as well when it is over",
        leaves_out: "what the handler does",
        measure: |meter, _| {
            let _handled = Handled::by::<Resumes>(Asks { faults: false, calls: true, returns: true })?;
            meter.call(null)
        },
    },
];
