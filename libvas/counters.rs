//! What each CPU counted: switches, tag hits and flushes, faults.

use crate::call::fill_in;
use tessera_abi::layout::Counters;
use tessera_abi::{Call, Error};

/// The counters of one CPU, from boot.
///
/// ```no_run
/// use libvas::{counters, program};
///
/// let space = program().new_space()?;
/// let before = counters::of_cpu(0)?.space_switches;
/// space.enter(|| ())?;
/// assert!(counters::of_cpu(0)?.space_switches >= before + 2);
/// # Ok::<(), libvas::Error>(())
/// ```
///
/// # Errors
/// `BadArgument` for a CPU that is not there.
pub fn of_cpu(cpu: u64) -> Result<Counters, Error> {
    fill_in(|buffer| Call::Counters { cpu, buffer }).map(|(counters, _)| counters)
}

/// How many CPUs the machine runs.
///
/// # Errors
/// None in practice: CPU 0 is always there.
pub fn cpus() -> Result<u64, Error> {
    fill_in::<Counters>(|buffer| Call::Counters { cpu: 0, buffer }).map(|(_, cpus)| cpus)
}
