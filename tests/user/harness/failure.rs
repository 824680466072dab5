//! How a claim says that it does not hold.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::panic::Location;
use libvas::Error;

/// What a claim gives: nothing, or why it does not hold.
pub type Verdict = Result<(), Failure>;

/// Why a claim does not hold, and where that was noticed; or why it cannot be checked on this machine.
#[derive(Debug)]
pub struct Failure {
    reason: String,
    place: Option<&'static Location<'static>>,
}

impl Failure {
    /// A failure noticed where this is called.
    #[track_caller]
    pub fn new(reason: String) -> Failure {
        Failure { reason, place: Some(Location::caller()) }
    }

    /// Not a failure: the machine lacks what the claim speaks of. The reason says what.
    pub fn skip(reason: String) -> Failure {
        Failure { reason, place: None }
    }

    /// Whether it is no failure, but a claim that was not checked.
    pub fn is_skip(&self) -> bool {
        self.place.is_none()
    }
}

impl From<Error> for Failure {
    /// An error that the claim did not expect; the place is that of the `?`.
    #[track_caller]
    fn from(error: Error) -> Failure {
        Failure::new(format!("unexpected error {error:?}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => write!(formatter, "{} ({}:{})", self.reason, place.file(), place.line()),
            None => formatter.write_str(&self.reason),
        }
    }
}

/// Checks that a call was refused with this error.
///
/// # Errors
/// A failure that tells what came instead.
#[track_caller]
pub fn refused<T: fmt::Debug>(result: Result<T, Error>, expected: Error) -> Verdict {
    match result {
        Err(error) if error == expected => Ok(()),
        other => Err(Failure::new(format!("gave {other:?} instead of {expected:?}"))),
    }
}

/// Ends the claim as not holding unless a condition is true; the text says what should have been.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::Failure::new($crate::format_text!($($text)+)));
        }
    };
}

/// Ends the claim as not holding unless two values are equal.
#[macro_export]
macro_rules! ensure_eq {
    ($have:expr, $expected:expr) => {
        match (&$have, &$expected) {
            (have, expected) => {
                if have != expected {
                    return Err($crate::Failure::new($crate::format_text!(
                        "{} is {have:x?}, expected {expected:x?}",
                        stringify!($have)
                    )));
                }
            }
        }
    };
}
