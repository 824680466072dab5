//! `subtree_attach` and `subtree_detach`: a subtree into a space in which nobody runs, and out of it again.
//!
//! With 2 MiB mapped in it or 300 GiB, and with no other space that has it or 1,500: that must make no difference.

use crate::measure::{Benchmark, Meter};
use crate::sharing::sharers;
use libvas::{Cap, Error, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("subtree_attach", |meter| attach(meter, &subtree_with(SMALL_BYTES)?)),
    ("subtree_attach_300_gib", |meter| attach(meter, &subtree_with(LARGE_BYTES)?)),
    ("subtree_attach_1500_sharers", |meter| {
        let subtree = subtree_with(SMALL_BYTES)?;
        let _others = sharers::<1500>(&subtree)?;
        attach(meter, &subtree)
    }),
    ("subtree_detach", |meter| detach(meter, &subtree_with(SMALL_BYTES)?)),
    ("subtree_detach_300_gib", |meter| detach(meter, &subtree_with(LARGE_BYTES)?)),
    ("subtree_detach_1500_sharers", |meter| {
        let subtree = subtree_with(SMALL_BYTES)?;
        let _others = sharers::<1500>(&subtree)?;
        detach(meter, &subtree)
    }),
];

const LARGE_PAGE_BYTES: u64 = 2 << 20;
const SMALL_BYTES: u64 = LARGE_PAGE_BYTES;
const LARGE_BYTES: u64 = 300 << 30;

fn attach(meter: &mut Meter, subtree: &Cap<Subtree>) -> Result<(), Error> {
    let space = program().new_space()?;
    let empty = || space.detach(TOP_SLOT_BYTES).or(Ok(()));
    meter.sample(1, empty, |()| space.attach(TOP_SLOT_BYTES, subtree, Rights::READ))
}

fn detach(meter: &mut Meter, subtree: &Cap<Subtree>) -> Result<(), Error> {
    let space = Space::new(program().account())?;
    let full = || space.attach(TOP_SLOT_BYTES, subtree, Rights::READ);
    meter.sample(1, full, |()| space.detach(TOP_SLOT_BYTES))
}

/// A subtree with so much mapped in it, all of it the same 2 MiB.
fn subtree_with(mapped_bytes: u64) -> Result<Cap<Subtree>, Error> {
    let account = program().account();
    let (subtree, segment) = (Subtree::new(account)?, Segment::new(account, LARGE_PAGE_BYTES)?);
    for address in (LARGE_PAGE_BYTES..=mapped_bytes).step_by(LARGE_PAGE_BYTES as usize) {
        subtree.map(address, &segment, 0..LARGE_PAGE_BYTES, Rights::READ)?;
    }
    Ok(subtree)
}
