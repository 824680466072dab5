//! Calls on subtrees of the top level, but for `subtree_attach` and `subtree_detach`.

use crate::machine::machine;
use crate::measure::Benchmark;
use libvas::{Cap, Error, Rights, Subtree, TOP_SLOT_BYTES, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("subtree_create", |meter| meter.call(subtree)),
    ("subtree_create_destroy", |meter| meter.call(|| subtree()?.delete())),
    ("subtree_info", |meter| {
        let subtree = subtree()?;
        meter.call(|| subtree.info())
    }),
    ("subtree_seal", |meter| meter.sample(1, subtree, |subtree| subtree.seal().map(|()| subtree))),
    // Out of the one place where it is attached.
    ("subtree_withdraw", |meter| {
        let (subtree, space) = (subtree()?, program().new_space()?);
        let attached = || space.attach(HERE, &subtree, Rights::READ);
        meter.sample(1, attached, |()| subtree.withdraw())
    }),
    ("subtree_publish", |meter| {
        let (subtree, machine) = (subtree()?, machine()?);
        let hidden = || subtree.withdraw();
        meter.sample(1, hidden, |_| machine.publish(&subtree, HERE, Rights::READ))
    }),
    ("subtree_attach_core", |meter| {
        let (subtree, space) = (subtree()?, program().new_space()?);
        let empty = || space.detach_core(HERE, 0).or(Ok(()));
        meter.sample(1, empty, |()| space.attach_core(HERE, &subtree, Rights::READ, 0))
    }),
    ("subtree_detach_core", |meter| {
        let (subtree, space) = (subtree()?, program().new_space()?);
        let full = || space.attach_core(HERE, &subtree, Rights::READ, 0);
        meter.sample(1, full, |()| space.detach_core(HERE, 0))
    }),
];

/// Free in every space.
const HERE: u64 = 5 * TOP_SLOT_BYTES;

#[inline(always)]
fn subtree() -> Result<Cap<Subtree>, Error> {
    Subtree::new(program().account())
}
