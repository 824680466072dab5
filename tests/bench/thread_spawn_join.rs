//! `thread_spawn_join`: a thread of libvas with a stack of its own, run to its end and joined.

use crate::measure::Meter;
use libvas::{Error, thread};

pub(crate) fn measure(meter: &mut Meter) -> Result<(), Error> {
    meter.sample(1, || Ok(()), |()| thread::spawn(|| ())?.join())
}
