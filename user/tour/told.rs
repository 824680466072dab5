//! Telling and checking: the tour fails if anything is not as it says.

use core::fmt;
use libvas::Error;
use rt::println;

/// Why the tour ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The kernel refused what should work.
    Refused(Error),
    /// Something came out differently from what the tour had told.
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
            Failure::Refused(error) => write!(formatter, "the kernel refused a step of the tour: {error}"),
            Failure::NotAsTold(what) => write!(formatter, "not as told: {what}"),
        }
    }
}

/// Begins a chapter.
pub(crate) fn chapter(title: &str) {
    println!();
    println!("== {title}");
}

/// Ends the tour unless `holds`.
pub(crate) fn check(holds: bool, what: &'static str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::NotAsTold(what)) }
}

/// Shows an attempt that must be refused in a given way, and the kernel's words for it.
pub(crate) fn refused<T>(attempt: &'static str, result: Result<T, Error>, expected: Error) -> Result<(), Failure> {
    match result {
        Err(error) if error == expected => {
            println!("   {attempt}: {error:?} ({error})");
            Ok(())
        }
        Err(error) => Err(Failure::Refused(error)),
        Ok(_) => Err(Failure::NotAsTold(attempt)),
    }
}
