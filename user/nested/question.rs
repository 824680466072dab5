//! The call that no kernel serves: a question, and a number for an answer.

use libvas::{Error, raw};

/// The number of that call.
pub(crate) const NUMBER: u64 = 1 << 32;

/// A question for the supervisor next to who asks.
pub(crate) const PLAIN: u64 = 0;
/// One that it passes on to its own, if it has one.
pub(crate) const PASS_ON: u64 = 1;
/// One at which it makes a mistake.
pub(crate) const DEADLY: u64 = 2;

/// Asks.
pub(crate) fn ask(how: u64, number: u64) -> Result<u64, Error> {
    // SAFETY: a supervisor answers with two registers, and the kernel does not know the call: nobody writes memory.
    let (status, value) = unsafe { raw::call(NUMBER, [how, number, 0, 0, 0, 0]) };
    Error::from_status(status).map(|()| value)
}

/// The answer.
pub(crate) fn answer_to(number: u64) -> u64 {
    number.wrapping_mul(3).wrapping_add(1)
}
