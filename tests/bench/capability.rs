//! Calls on capabilities, those to a segment of one page.

use crate::measure::{Benchmark, SAMPLES_AND_WARM_UPS};
use libvas::{Cap, CapTable, Error, PAGE_BYTES, Rights, Segment, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("capability_derive", |meter| {
        let segment = segment()?;
        meter.call(|| segment.derive(Rights::READ, 1))
    }),
    ("capability_delete", |meter| {
        let segment = segment()?;
        meter.sample(1, || segment.derive(Rights::READ, 1), Cap::delete)
    }),
    ("derive_delete", |meter| {
        let segment = segment()?;
        meter.call(|| segment.derive(Rights::READ, 1)?.delete())
    }),
    // Beside so many children of the same capability, in another table.
    ("derive_delete_10000_capabilities", |meter| {
        let (segment, table) = (segment()?, CapTable::new(program().account(), 10_000)?);
        (0..10_000).try_for_each(|badge| segment.copy_into(&table, Rights::READ, badge).map(|_| ()))?;
        meter.call(|| segment.derive(Rights::READ, 1)?.delete())
    }),
    ("capability_copy", |meter| {
        let (segment, table) = (segment()?, CapTable::new(program().account(), SAMPLES_AND_WARM_UPS as u64)?);
        meter.call(|| segment.copy_into(&table, Rights::READ, 1))
    }),
    ("capability_info", |meter| {
        let segment = segment()?;
        meter.call(|| segment.capability_info())
    }),
    ("object_set_name", |meter| {
        let segment = segment()?;
        meter.call(|| segment.set_name("sixteen bytes of"))
    }),
];

fn segment() -> Result<Cap<Segment>, Error> {
    Segment::new(program().account(), PAGE_BYTES)
}
