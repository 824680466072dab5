//! Faults that a handler sees to, in another space.

use crate::measure::Benchmark;
use crate::support::handlers::{Brings, Handled};
use libvas::handler::Asks;

/// Times that a handler is asked before the page is there.
const TIMES: u64 = 65;

const FAULTS: Asks = Asks { faults: true, calls: false, returns: false };

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "fault_to_handler",
        points: &[],
        axis: "",
        what: "from an instruction that reads where nothing is to the thread's handler in another space, and back to the instruction",
        leaves_out: "what the handler does: it has the thread try again",
        measure: |meter, _| {
            let handled = Handled::by::<Brings>(FAULTS)?;
            meter.sample_from(|_| {
                let once = handled.asked(1)?;
                Ok(handled.asked(TIMES)?.saturating_sub(once) / (TIMES - 1))
            })
        },
    },
    Benchmark {
        name: "pager_page",
        points: &[],
        axis: "",
        what: "the same with a page that the handler maps beside one that is there: from the instruction until that has read it",
        leaves_out: "making the page; unmapping it",
        measure: |meter, _| {
            let handled = Handled::by::<Brings>(FAULTS)?;
            handled.map_neighbour()?;
            meter.sample_from(|_| handled.asked(1))
        },
    },
    Benchmark {
        name: "pager_first_page",
        points: &[],
        axis: "",
        what: "the same with nothing near it, so that mapping makes tables of three levels",
        leaves_out: "the same",
        measure: |meter, _| {
            let handled = Handled::by::<Brings>(FAULTS)?;
            meter.sample_from(|_| handled.asked(1))
        },
    },
];
