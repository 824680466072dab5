//! What stands as an argument of a call.

use crate::{Error, Handle, Rights};

/// A type that can stand as one 64-bit argument of a call.
pub trait Argument: Sized {
    /// Reads the argument.
    ///
    /// # Errors
    /// `BadArgument` if no value of this type has these bits.
    fn from_bits(bits: u64) -> Result<Self, Error>;
    /// The argument as it crosses the boundary.
    fn bits(self) -> u64;
}

impl Argument for u64 {
    fn from_bits(bits: u64) -> Result<u64, Error> {
        Ok(bits)
    }
    fn bits(self) -> u64 {
        self
    }
}

impl Argument for Handle {
    fn from_bits(bits: u64) -> Result<Handle, Error> {
        Ok(Handle::from_bits(bits))
    }
    fn bits(self) -> u64 {
        Handle::bits(self)
    }
}

impl Argument for Rights {
    fn from_bits(bits: u64) -> Result<Rights, Error> {
        u32::try_from(bits).ok().and_then(Rights::from_bits).ok_or(Error::BadArgument)
    }
    fn bits(self) -> u64 {
        u64::from(Rights::bits(&self))
    }
}
