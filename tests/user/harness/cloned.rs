//! Spaces to be cloned, and what is in them.

use libvas::{Account, Cap, Error, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, program};

use crate::fresh_address;

/// The account of the program.
pub fn account() -> &'static Cap<Account> {
    program().account()
}

/// A clone, at the program's cost.
///
/// # Errors
/// As the calls.
pub fn clone_of(space: &Cap<Space>) -> Result<Cap<Space>, Error> {
    Space::clone_of(account(), space)
}

/// A space with the program and so many pages of memory of its own.
///
/// # Errors
/// As the calls.
pub fn space_with_pages(pages: u64) -> Result<(Cap<Space>, u64), Error> {
    let (space, address) = (program().new_space()?, fresh_address());
    let segment = Segment::new(account(), pages * PAGE)?;
    space.map(address, &segment, 0..pages * PAGE, Rights::READ_WRITE)?;
    Ok((space, address))
}

/// A word of the nth page behind an address.
///
/// # Errors
/// As [`Place::new`].
pub fn word(address: u64, page: u64) -> Result<Place<u64>, Error> {
    Place::new(address + page * PAGE + 24)
}

/// A word of a space.
///
/// # Errors
/// As the calls.
pub fn get(space: &Cap<Space>, place: Place<u64>) -> Result<u64, Error> {
    space.enter(|| place.get())
}

/// Writes a word of a space.
///
/// # Errors
/// As the calls.
pub fn set(space: &Cap<Space>, place: Place<u64>, value: u64) -> Result<(), Error> {
    space.enter(|| place.set(value))
}

/// Bytes that the program's account has left.
///
/// # Errors
/// As the call.
pub fn available() -> Result<u64, Error> {
    account().available_bytes()
}
