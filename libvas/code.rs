//! Code that a program writes itself: when it can be run.
//!
//! Memory is never writable and executable by one mapping, so code is written through one and run through another, or
//! through one that `protect` changes in between. Processors fetch instructions ahead and keep them in caches that need
//! not see what is written:
//!
//! * Code that was in memory **before** it was mapped executable, or before [`Mapped::protect`](crate::Mapped::protect) or a
//!   first touch made it so, can be run at once, by every thread: the kernel publishes what becomes executable.
//! * Code that changes **while** it is mapped executable somewhere (through another mapping of the segment, or by a call
//!   that writes to segments and spaces) can be run once the writer has called [`publish`], and a thread that learned of it
//!   later has called [`synchronize`]. Until then a thread may run the old instructions, the new ones, or some of each.

use crate::raw;
use core::ops::Range;

/// Makes code that was written fit to be run at these addresses, by the calling thread at once, by another thread of any
/// CPU when it has called [`synchronize`] afterwards.
///
/// The addresses are those at which the code will be run, in the space that the thread is in; they must be readable, or the
/// thread may fault. Code that is run at several addresses is published at each: the instruction caches of some Arm CPUs go
/// by them (CTR_EL0.L1Ip). On x86_64 this is [`synchronize`] alone, as caches see what is written.
///
/// ```no_run
/// use libvas::{Cap, Error, Segment, code};
///
/// fn renew(segment: &Cap<Segment>, new: &[u8], at: u64) -> Result<(), Error> {
///     segment.write(0, new)?;
///     code::publish(at..at + new.len() as u64);
///     Ok(())
/// }
/// ```
pub fn publish(addresses: Range<u64>) {
    raw::publish_code(addresses.start, addresses.end);
}

/// Drops what the CPU has fetched ahead on the calling thread's behalf, so that it runs what others have published before.
///
/// To be called by each other thread between learning of new code and running it (aarch64: ISB; x86_64: CPUID, a
/// serializing instruction: SDM volume 3, "Handling Self- and Cross-Modifying Code"). A thread that comes to the code for
/// the first time after a call of its own into the kernel needs it as well.
pub fn synchronize() {
    raw::synchronize_fetches();
}
