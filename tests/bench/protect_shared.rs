//! `protect_shared_N`: rights of one page of a subtree that N spaces share, changed while nobody runs in them.
//!
//! The spaces have all been entered, so each may have translations of its own left somewhere.

use crate::measure::Meter;
use alloc::vec::Vec;
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, program};

pub(crate) fn measure<const SHARERS: usize>(meter: &mut Meter) -> Result<(), Error> {
    let account = program().account();
    let (subtree, segment) = (Subtree::new(account)?, Segment::new(account, PAGE_BYTES)?);
    let page = PAGE_BYTES..2 * PAGE_BYTES;
    subtree.map(page.start, &segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
    let spaces: Vec<Cap<Space>> = (0..SHARERS).map(|_| sharer(&subtree)).collect::<Result<_, Error>>()?;
    let writable = || subtree.protect(page.clone(), Rights::READ_WRITE);
    meter.sample(1, writable, |()| subtree.protect(page.clone(), Rights::READ))?;
    drop(spaces);
    Ok(())
}

/// A space that shows the subtree and has been entered.
fn sharer(subtree: &Cap<Subtree>) -> Result<Cap<Space>, Error> {
    let space = program().new_space()?;
    space.attach(TOP_SLOT_BYTES, subtree, Rights::READ_WRITE)?;
    space.enter(|| ())?;
    Ok(space)
}
