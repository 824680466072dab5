//! Telling and checking: an example program fails if anything is not as it says.
//!
//! ```no_run
//! use demonstration::{Failure, chapter, check, refused};
//!
//! fn show() -> Result<(), Failure> {
//!     chapter("Handles");
//!     let space = libvas::program().new_space()?;
//!     check(space.info()?.mappings == 0, "a new space has no mappings of its own")?;
//!     refused("unmapping there", space.unmap(0x1000..0x2000), libvas::Error::NotMapped)
//! }
//! ```

#![cfg_attr(target_os = "none", no_std)]

mod counting;
mod random;
mod size;

use core::fmt;
use libvas::{Error, raw};
use rt::println;

pub use counting::{counted, difference};
pub use random::Random;
pub use size::Size;

/// Why a program ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel refused what should work.
    Refused(Error),
    /// Something came out differently from what the program had told.
    NotAsTold(&'static str),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Refused(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(error) => write!(formatter, "the kernel refused a step that should work: {error}"),
            Failure::NotAsTold(what) => write!(formatter, "not as told: {what}"),
        }
    }
}

/// Begins a chapter.
pub fn chapter(title: &str) {
    println!();
    println!("== {title}");
}

/// Ends the program unless `holds`.
///
/// # Errors
/// The failure that says `what` should be.
pub fn check(holds: bool, what: &'static str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::NotAsTold(what)) }
}

/// Shows an attempt that must be refused in a given way, and the kernel's words for it.
///
/// # Errors
/// A failure if it was not refused, or in another way.
pub fn refused<T>(attempt: &'static str, result: Result<T, Error>, expected: Error) -> Result<(), Failure> {
    match result {
        Err(error) if error == expected => {
            println!("   {attempt}: {error:?} ({error})");
            Ok(())
        }
        Err(error) => Err(Failure::Refused(error)),
        Ok(_) => Err(Failure::NotAsTold(attempt)),
    }
}

/// Whether this processor's invalidations reach the other CPUs by themselves, without an interrupt.
pub const fn hardware_broadcasts() -> bool {
    const AARCH64: u16 = 183;
    raw::ELF_MACHINE == AARCH64
}

#[cfg(test)]
mod tests {
    use super::{Error, Failure, check, refused};

    #[test]
    fn only_the_expected_refusal_will_do() {
        let overlap: Result<(), Error> = Err(Error::Overlap);
        assert_eq!(refused("it", overlap, Error::Overlap), Ok(()));
        assert_eq!(refused("it", overlap, Error::Gone), Err(Failure::Refused(Error::Overlap)));
        assert_eq!(refused("it", Ok(()), Error::Gone), Err(Failure::NotAsTold("it")));
        assert_eq!(check(false, "that"), Err(Failure::NotAsTold("that")));
    }
}
