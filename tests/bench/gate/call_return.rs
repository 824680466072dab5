//! `gate_call` and `gate_return`: into a service in another space, and back.

use crate::measure::Benchmark;
use crate::support::services::{Adds, Asks, Echoes, Service, Stamps, Trusts};
use libvas::gate::{Along, Request};
use libvas::raw::ticks;
use libvas::{Error, Rights, Segment, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "gate_call",
        points: &[],
        axis: "",
        what: "from a call to the first instruction of the service in another space",
        leaves_out: "the way back",
        measure: |meter, _| {
            let service = Service::short::<Stamps>()?;
            meter.sample_from(|_| {
                let start = ticks();
                service.gate.call_short([0, 0]).map(|[begin, _]| begin - start)
            })
        },
    },
    Benchmark {
        name: "gate_return",
        points: &[],
        axis: "",
        what: "from a service's last instruction to the next of the program that called it",
        leaves_out: "the way there",
        measure: |meter, _| {
            let service = Service::short::<Stamps>()?;
            meter.sample_from(|_| service.gate.call_short([0, 0]).map(|[_, end]| ticks() - end))
        },
    },
    Benchmark {
        name: "gate_call_return",
        points: &[],
        axis: "",
        what: "a call into a service in another space with two words, which adds them, and back, where both trust each other",
        leaves_out: "a first touch of the stack",
        measure: |meter, _| {
            let service = Service::short::<Adds>()?;
            meter.call(|| service.gate.call_short([2, 3]))
        },
    },
    Benchmark {
        name: "gate_call_return_words",
        points: &[],
        axis: "",
        what: "a call with six words and back, where neither side shows the other more of its registers",
        leaves_out: "a first touch of the stack",
        measure: |meter, _| {
            let service = Service::serving::<Echoes>()?;
            meter.call(|| service.gate.call([1, 2, 3, 4, 5, 6]))
        },
    },
    Benchmark {
        name: "gate_call_return_trusting",
        points: &[],
        axis: "",
        what: "a call with six words and back, where each side trusts the other with vector registers and the thread pointer",
        leaves_out: "a first touch of the stack",
        measure: |meter, _| {
            let service = Service::serving::<Trusts>()?;
            meter.call(|| service.gate.request(Request::new([1, 2, 3, 4, 5, 6]).trusting()))
        },
    },
    Benchmark {
        name: "gate_call_return_cap",
        points: &[],
        axis: "",
        what: "a call with six words and a capability that is moved, and back, where each side trusts the other as above",
        leaves_out: "making the capability; giving it up",
        measure: |meter, _| {
            let service = Service::serving::<Trusts>()?;
            let segment = Segment::new(program().account(), libvas::PAGE_BYTES)?;
            let derived = || {
                Trusts::let_go();
                segment.derive(Rights::READ | Rights::GRANT, 0)
            };
            meter.sample(1, derived, |given| {
                service.gate.request(Request::new([0; 6]).along(Along::moved(given, Rights::READ)).trusting())
            })
        },
    },
    Benchmark {
        name: "gate_caller",
        points: &[],
        axis: "",
        what: "asking within a call whether its caller waits for it",
        leaves_out: "nothing: it is the whole call, as the program makes it",
        measure: |meter, _| {
            let service = Service::serving::<Asks>()?;
            meter.sample_from(|_| {
                let [ticks, gone, ..] = service.gate.call([64, 0, 0, 0, 0, 0])?;
                if gone == 0 { Ok(ticks / 64) } else { Err(Error::BadState) }
            })
        },
    },
];
