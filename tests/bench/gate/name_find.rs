//! Finding what a name stands for, with the name service that is the program `names`, behind its gate.

use crate::measure::Benchmark;
use libvas::gate::Along;
use libvas::names::{Mode, NAMES_OF_CLIENT};
use libvas::{Error, Names, PAGE_BYTES, Rights, Segment, program};
use names::Service;

pub(crate) const BENCHMARKS: &[Benchmark] = &[Benchmark {
    name: "name_find",
    points: &[],
    axis: "",
    what: "finding a segment by one of 64 names of eight letters: a call into the service, and back with a derived capability",
    leaves_out: "giving the capability up",
    measure: |meter, _| {
        let service = Service::start()?;
        let (_, gate) = service.admit()?;
        let names = Names::new(gate);
        let segment = Segment::new(program().account(), PAGE_BYTES)?;
        for number in 0..NAMES_OF_CLIENT as u8 {
            let text = [b'n', b'u', b'm', b'b', b'e', b'r', b'0' + number / 10, b'0' + number % 10];
            let name = core::str::from_utf8(&text).map_err(|_| Error::BadText)?;
            names.register(name, Along::derived(&segment, Rights::READ), Mode::new(0o600))?;
        }
        meter.sample(1, || Ok(()), |()| names.find::<Segment>("number42", Rights::READ))
    },
}];
