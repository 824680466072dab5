//! `capability_revoke`: with nothing lent, one child, one mapped page, and many children.

use crate::measure::{Benchmark, Measured, Meter};
use crate::support::scene::{ADDRESS, page};
use alloc::vec::Vec;
use libvas::{Cap, CapTable, Error, PAGE_BYTES, Rights, Segment, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "capability_revoke",
        points: &[],
        axis: "",
        what: "revoking a capability through which nothing was lent",
        leaves_out: "taking anything back",
        measure: revoke_none,
    },
    Benchmark {
        name: "revoke_none",
        points: &[],
        axis: "",
        what: "revoking a capability through which nothing was lent",
        leaves_out: "taking anything back",
        measure: revoke_none,
    },
    Benchmark {
        name: "revoke_child",
        points: &[],
        axis: "",
        what: "revoking a capability from which one was derived that was not used",
        leaves_out: "the deriving",
        measure: |meter, _| {
            let segment = page()?;
            meter.sample(1, || segment.derive(Rights::READ, 1).map(Cap::into_handle), |_| segment.revoke())
        },
    },
    Benchmark {
        name: "revoke_mapping",
        points: &[],
        axis: "",
        what: "revoking a capability from which one was derived by which a page is mapped in a space where nobody runs",
        leaves_out: "deriving and mapping, and invalidations, as no CPU has been in the space",
        measure: |meter, _| {
            let (space, segment) = (program().new_space()?, page()?);
            let keeper = ADDRESS + 2 * PAGE_BYTES;
            space.map(keeper, &segment, 0..PAGE_BYTES, Rights::READ)?;
            let lend = || {
                let lent = segment.derive(Rights::READ, 1)?;
                space.map(ADDRESS, &lent, 0..PAGE_BYTES, Rights::READ)?;
                Ok(lent.into_handle())
            };
            meter.sample(1, lend, |_| segment.revoke())
        },
    },
    Benchmark {
        name: "revoke_10000_per_child",
        points: &[],
        axis: "",
        what: "revoking a capability with 10,000 children in another table, per child",
        leaves_out: "the deriving",
        measure: |meter, _| wide(meter, MANY, MANY),
    },
    Benchmark {
        name: "revoke_1000_deep_per_child",
        points: &[],
        axis: "",
        what: "revoking a capability with 1,000 descendants, each derived from the one before, per descendant",
        leaves_out: "the deriving",
        measure: |meter, _| {
            meter.at_cost(CHILD_TICKS * DEEP);
            let segment = page()?;
            let row = || {
                let mut last = segment.derive(Rights::READ, 1)?;
                for _ in 1..DEEP {
                    let next = last.derive(Rights::READ, 1)?;
                    core::mem::replace(&mut last, next).into_handle();
                }
                Ok(last.into_handle())
            };
            meter.sample(DEEP, row, |_| segment.revoke())
        },
    },
    Benchmark {
        name: "revoke_children",
        points: &[1, 4, 16, 64, 256, 1024, 4096, 10000],
        axis: "children",
        what: "revoking a capability from which so many were derived, all in another table",
        leaves_out: "the deriving",
        measure: |meter, children| wide(meter, children, 1),
    },
    Benchmark {
        name: "revoke_mappings",
        points: &[1, 4, 16, 64, 256, 1024, 4096],
        axis: "mappings",
        what: "revoking a capability from which one was derived by which so many pages were mapped one by one",
        leaves_out: "deriving and mapping, and invalidations, as no CPU has been in the space",
        measure: |meter, mappings| {
            meter.at_cost(MAPPING_TICKS * mappings);
            let (space, segment) = (program().new_space()?, page()?);
            let lend = || {
                let lent = segment.derive(Rights::READ, 1)?;
                let at = |index: u64| ADDRESS + index * 2 * PAGE_BYTES;
                (0..mappings).try_for_each(|index| space.map(at(index), &lent, 0..PAGE_BYTES, Rights::READ))?;
                Ok(lent.into_handle())
            };
            meter.sample(1, lend, |_| segment.revoke())
        },
    },
    Benchmark {
        name: "capability_revoke_badge",
        points: &[],
        axis: "",
        what: "revoking, by its badge, one of 16 children that were not used",
        leaves_out: "the deriving",
        measure: |meter, _| {
            let segment = page()?;
            let others = (0..15).map(|_| segment.derive(Rights::READ, 2)).collect::<Result<Vec<_>, _>>()?;
            meter.sample(1, || segment.derive(Rights::READ, 1).map(Cap::into_handle), |_| segment.revoke_badge(1))?;
            drop(others);
            Ok(())
        },
    },
    Benchmark {
        name: "lent_list",
        points: &[],
        axis: "",
        what: "the list of what is lent through a capability: one child",
        leaves_out: "more of them",
        measure: |meter, _| {
            let segment = page()?;
            let lent = segment.derive(Rights::READ, 1)?;
            meter.call(|| segment.lent().next().ok_or(Error::BadState)?)?;
            drop(lent);
            Ok(())
        },
    },
];

/// How many children there are where there are many.
const MANY: u64 = 10_000;
/// How long a row of descendants is: as long as the program's own table has room for.
const DEEP: u64 = 1000;
/// What deriving and revoking one takes, roughly, and one with a page mapped.
const CHILD_TICKS: u64 = 500;
const MAPPING_TICKS: u64 = 2000;

fn revoke_none(meter: &mut Meter, _: u64) -> Measured {
    let segment = page()?;
    meter.call(|| segment.revoke())
}

/// Revokes so many children in another table; the sample is the cost of one of so many parts.
fn wide(meter: &mut Meter, children: u64, parts: u64) -> Measured {
    meter.at_cost(CHILD_TICKS * children);
    let (segment, table): (Cap<Segment>, _) = (page()?, CapTable::new(program().account(), children)?);
    let lend = || (0..children).try_for_each(|_| segment.copy_into(&table, Rights::READ, 1).map(|_| ()));
    meter.sample(parts, lend, |()| segment.revoke())
}
