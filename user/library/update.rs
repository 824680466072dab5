//! A new version of the code, put in by the owner while every user has the library attached.

use crate::code::{CODE_BYTES, Version};
use crate::shelf::{self, CODE, Library};
use crate::users::Users;
use crate::{AMOUNT, RATES};
use demonstration::{Failure, chapter, check, refused};
use libvas::{Cap, Error, Place, Rights, Space};
use rt::println;

/// Makes the code writable, shows that this goes for the owner alone, puts the new version in, and lets all call it.
pub(crate) fn show(library: &Library, owner: &Cap<Space>, users: &Users) -> Result<(), Failure> {
    chapter("A new version");
    library.protect_code(Rights::READ_WRITE)?;
    println!("   the mapping of the code is writable now, for everybody; the users' entries are not. Each tries:");
    let stopped = users.store_from_all(CODE, 0)?;
    println!("   {stopped} of {} users were stopped", users.count());
    check(stopped == users.count(), "no user can write to the code, though its mapping is writable")?;
    println!("   calling it is impossible meanwhile, since a mapping that is writable is not executable:");
    refused("joining a user's thread that did", users.call_from_first(AMOUNT), Error::Faulted)?;
    owner.enter(|| write(Version::Second.code()))??;
    library.protect_code(Rights::READ_EXECUTE)?;
    let expected = AMOUNT * RATES[1] + AMOUNT;
    let answers = users.call_all(AMOUNT, expected)?;
    println!("   the owner wrote the new code in its own space; price({AMOUNT}) is {expected} for {answers} users");
    Ok(())
}

/// Stores a version of the code where the thread's space has the library.
fn write(code: [u8; CODE_BYTES]) -> Result<(), Error> {
    let start = Place::<u8>::new(shelf::address_of(CODE))?;
    code.into_iter().zip(0..).try_for_each(|(byte, index)| start.at(index).map(|place| place.set(byte)))
}
