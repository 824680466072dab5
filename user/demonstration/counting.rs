//! What the CPUs counted while something was done.

use libvas::layout::{Counters, Words};
use libvas::{Error, counters};

/// What all CPUs together counted while `work` ran, and what that gave.
///
/// # Errors
/// What `work` fails with.
pub fn counted<T, E: From<Error>>(work: impl FnOnce() -> Result<T, E>) -> Result<(Counters, T), E> {
    let before = counters::total()?;
    let result = work()?;
    Ok((difference(&before, &counters::total()?), result))
}

/// How much each counter grew.
pub fn difference(before: &Counters, after: &Counters) -> Counters {
    let (mut first, mut last) = ([0; Counters::COUNT], [0; Counters::COUNT]);
    before.write(&mut first);
    after.write(&mut last);
    last.iter_mut().zip(first).for_each(|(last, first)| *last -= first);
    Counters::read(&last)
}

#[cfg(test)]
mod tests {
    use super::{Counters, difference};

    #[test]
    fn each_counter_is_taken_from_itself() {
        let before = Counters { faults: 3, space_switches: 10, ..Counters::default() };
        let after = Counters { faults: 5, space_switches: 10, shootdowns_sent: 1, ..Counters::default() };
        let expected = Counters { faults: 2, shootdowns_sent: 1, ..Counters::default() };
        assert_eq!(difference(&before, &after), expected);
    }
}
