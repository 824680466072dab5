//! What each CPU counted: switches, tag hits and flushes, faults.

use crate::call::fill_in;
use tessera_abi::layout::{Counters, Words};
use tessera_abi::{Call, Error};

/// The counters of one CPU, from boot.
///
/// # Errors
/// `BadArgument` for a CPU that is not there.
pub fn of_cpu(cpu: u64) -> Result<Counters, Error> {
    fill_in(|buffer| Call::Counters { cpu, buffer }).map(|(counters, _)| counters)
}

/// The counters of all CPUs, added up: what a thread needs that may run anywhere.
///
/// ```no_run
/// use libvas::{counters, program};
///
/// let space = program().new_space()?;
/// let before = counters::total()?.space_switches;
/// space.enter(|| ())?;
/// assert!(counters::total()?.space_switches >= before + 2);
/// # Ok::<(), libvas::Error>(())
/// ```
///
/// # Errors
/// None in practice.
pub fn total() -> Result<Counters, Error> {
    let mut sums = [0; Counters::COUNT];
    for cpu in 0..cpus()? {
        let mut words = [0; Counters::COUNT];
        of_cpu(cpu)?.write(&mut words);
        sums.iter_mut().zip(words).for_each(|(sum, word)| *sum += word);
    }
    Ok(Counters::read(&sums))
}

/// How many CPUs the machine runs.
///
/// # Errors
/// None in practice: CPU 0 is always there.
pub fn cpus() -> Result<u64, Error> {
    fill_in::<Counters>(|buffer| Call::Counters { cpu: 0, buffer }).map(|(_, cpus)| cpus)
}
