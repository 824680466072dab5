//! The machine, as a capability.

use libvas::{Cap, Error, Machine, program};

/// The machine, to which this program has all rights: its Cargo.toml asks for them.
#[inline(always)]
pub(crate) fn machine() -> Result<&'static Cap<Machine>, Error> {
    program().machine().ok_or(Error::MissingRight)
}
