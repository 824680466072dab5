//! Calls on segments, of one page, which is cleared.

use crate::measure::Benchmark;
use libvas::{Cap, CapTable, Error, PAGE_BYTES, Rights, Segment, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    ("segment_create", |meter| meter.call(segment)),
    ("segment_create_destroy", |meter| meter.call(|| segment()?.delete())),
    // Beside so many others, kept by their capabilities in a table. They have no memory yet.
    ("segment_create_destroy_10000_segments", |meter| {
        let table = CapTable::new(program().account(), 10_000)?;
        for _ in 0..10_000 {
            Segment::new_lazy(program().account(), PAGE_BYTES)?.copy_into(&table, Rights::READ, 0)?;
        }
        meter.call(|| segment()?.delete())
    }),
    ("segment_info", |meter| {
        let segment = segment()?;
        meter.call(|| segment.info())
    }),
];

#[inline(always)]
fn segment() -> Result<Cap<Segment>, Error> {
    Segment::new(program().account(), PAGE_BYTES)
}
