//! Page tables of 64 MiB in small pages that N spaces show, by one shared subtree or each by tables of its own.

use crate::measure::Benchmark;
use crate::support::scene::{SLOT, subtree};
use crate::support::spaces::spaces;
use libvas::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "table_bytes_shared",
        points: &[1, 4, 16, 64, 256, 1024, 1500],
        axis: "sharers",
        what: "page tables of 64 MiB in small pages of a subtree that so many spaces show, and the roots of these",
        leaves_out: "the program's own, and records of mappings and attachments",
        measure: |meter, sharers| {
            let (subtree, spaces) = (subtree()?, spaces(sharers)?);
            subtree.map(PAGE_BYTES, &area()?, 0..AREA_BYTES, Rights::READ)?;
            spaces.iter().try_for_each(|space| space.attach(SLOT, &subtree, Rights::READ))?;
            meter.figure("bytes", subtree.info()?.table_bytes + own_bytes(&spaces)?);
            Ok(())
        },
    },
    Benchmark {
        name: "table_bytes_private",
        points: &[1, 4, 16, 64, 256, 1024, 1500],
        axis: "sharers",
        what: "page tables of 64 MiB in small pages that so many spaces show, each by tables of its own",
        leaves_out: "the program's own, and records of mappings and attachments",
        measure: |meter, sharers| {
            let (area, spaces) = (area()?, spaces(sharers)?);
            spaces.iter().try_for_each(|space| space.map(SLOT + PAGE_BYTES, &area, 0..AREA_BYTES, Rights::READ))?;
            meter.figure("bytes", own_bytes(&spaces)?);
            Ok(())
        },
    },
];

/// As much as Linux was measured with. It begins off 2 MiB, so that no large page is used.
const AREA_BYTES: u64 = 64 << 20;

fn area() -> Result<Cap<Segment>, Error> {
    Segment::new(program().account(), AREA_BYTES)
}

fn own_bytes(spaces: &[Cap<Space>]) -> Result<u64, Error> {
    spaces.iter().try_fold(0, |sum, space| Ok(sum + space.info()?.table_bytes))
}
