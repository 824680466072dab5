//! Making a space that shows what another one does, by how much that is: what a fork would do without clones.

use crate::measure::Benchmark;
use crate::support::scene::{SLOT, subtree};
use alloc::vec;
use libvas::{PAGE_BYTES, Rights, Segment, program};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "fork_by_copying",
        points: &[0, 1, 4],
        axis: "MiB",
        what: "making a space with the program and memory of its own that holds a copy of so much of the caller's",
        leaves_out: "the new thread, and giving the space up",
        measure: |meter, mib| {
            let (bytes, length_bytes) = (vec![1; (mib << 20) as usize], mib << 20);
            meter.at_cost(CREATE_TICKS + COPY_TICKS * mib);
            meter.call(|| {
                let space = program().new_space()?;
                if length_bytes > 0 {
                    let memory = Segment::new(program().account(), length_bytes)?;
                    space.map(SLOT + PAGE_BYTES, &memory, 0..length_bytes, Rights::READ_WRITE)?;
                    space.write(SLOT + PAGE_BYTES, &bytes)?;
                }
                Ok(space)
            })
        },
    },
    Benchmark {
        name: "fork_by_mapping",
        points: &[0, 1, 16, 64],
        axis: "MiB",
        what: "making a space with the program and so much of the caller's memory, mapped in small pages",
        leaves_out: "the new thread, and giving the space up",
        measure: |meter, mib| {
            let (memory, length_bytes) = (Segment::new(program().account(), (mib << 20).max(PAGE_BYTES))?, mib << 20);
            meter.at_cost(CREATE_TICKS + MAP_TICKS * mib);
            meter.call(|| {
                let space = program().new_space()?;
                if length_bytes > 0 {
                    space.map(SLOT + PAGE_BYTES, &memory, 0..length_bytes, Rights::READ_WRITE)?;
                }
                Ok(space)
            })
        },
    },
    Benchmark {
        name: "fork_by_attaching",
        points: &[0, 1, 16, 64],
        axis: "MiB",
        what: "making a space with the program and a subtree in which so much memory is mapped in small pages",
        leaves_out: "the new thread, and giving the space up",
        measure: |meter, mib| {
            let (subtree, length_bytes) = (subtree()?, mib << 20);
            if length_bytes > 0 {
                let memory = Segment::new(program().account(), length_bytes)?;
                subtree.map(PAGE_BYTES, &memory, 0..length_bytes, Rights::READ_WRITE)?;
            }
            meter.call(|| {
                let space = program().new_space()?;
                space.attach(SLOT, &subtree, Rights::READ_WRITE)?;
                Ok(space)
            })
        },
    },
];

/// What making and giving up a space takes, copying a MiB, and mapping and unmapping one, roughly.
const CREATE_TICKS: u64 = 3000;
const COPY_TICKS: u64 = 500_000;
const MAP_TICKS: u64 = 6000;
