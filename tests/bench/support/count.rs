//! What all CPUs counted while something was done.

use libvas::layout::{Counters, Words};
use libvas::{Error, counters};

/// Does something; returns how much each counter has grown.
pub(crate) fn counted(work: impl FnOnce() -> Result<(), Error>) -> Result<Counters, Error> {
    let before = counters::total()?;
    work()?;
    Ok(difference(&before, &counters::total()?))
}

fn difference(before: &Counters, after: &Counters) -> Counters {
    let (mut first, mut last) = ([0; Counters::COUNT], [0; Counters::COUNT]);
    before.write(&mut first);
    after.write(&mut last);
    last.iter_mut().zip(first).for_each(|(last, first)| *last -= first);
    Counters::read(&last)
}
