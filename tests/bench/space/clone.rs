//! `space_clone`: of little and of much, the first write to a page of a clone, giving a clone up, going back to a snapshot.

use crate::measure::{Benchmark, Measured, Meter};
use libvas::snapshot::Snapshot;
use libvas::{Account, Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, Subtree, TOP_SLOT_BYTES, program};

/// Where what is cloned is mapped: large pages fit.
const START: u64 = 4 * TOP_SLOT_BYTES;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "space_clone",
        points: &[],
        axis: "",
        what: "cloning a space with a mapping of 4 MiB",
        leaves_out: "making it; and giving up what was made, which is done after the measurement",
        measure: |meter, _| clone_whole(meter, 4 * MIB, 4 * MIB),
    },
    Benchmark {
        name: "space_clone_4m",
        points: &[],
        axis: "",
        what: "cloning a space with a mapping of 4 MiB",
        leaves_out: "making it; and giving up what was made, which is done after the measurement",
        measure: |meter, _| clone_whole(meter, 4 * MIB, 4 * MIB),
    },
    Benchmark {
        name: "space_clone_1g",
        points: &[],
        axis: "",
        what: "cloning a space with 1 GiB mapped, 16 times the same 64 MiB, in large pages",
        leaves_out: "making it; and giving up what was made, which is done after the measurement",
        measure: |meter, _| clone_whole(meter, 64 * MIB, GIB),
    },
    Benchmark {
        name: "space_clone_1g_small_pages",
        points: &[],
        axis: "",
        what: "cloning a space with 1 GiB mapped in 262,144 mappings of a page each, all of the same page",
        leaves_out: "making it; and giving up what was made, which is done after the measurement",
        measure: |meter, _| clone_whole(meter, PAGE_BYTES, GIB),
    },
    Benchmark {
        name: "written_list",
        points: &[],
        axis: "",
        what: "being told of a page of a space that was written to since it was cloned",
        leaves_out: "writing to it",
        measure: |meter, _| {
            let (space, segment) = (program().new_space()?, Segment::new(program().account(), PAGE_BYTES)?);
            space.map(START, &segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
            let _clone = Space::clone_of(account(), &space)?;
            space.write(START, &[1])?;
            let mut addresses = [0; 4];
            meter.sample(1, || Ok(()), |()| space.written(0, &mut addresses))
        },
    },
    Benchmark {
        name: "pin",
        points: &[],
        axis: "",
        what: "pinning a mapping of a page",
        leaves_out: "making it",
        measure: |meter, _| {
            let (space, segment) = (program().new_space()?, Segment::new(program().account(), PAGE_BYTES)?);
            space.map(START, &segment, 0..PAGE_BYTES, Rights::READ_WRITE)?;
            meter.sample(1, || Ok(()), |()| space.pin(START..START + PAGE_BYTES))
        },
    },
    Benchmark {
        name: "subtree_clone",
        points: &[],
        axis: "",
        what: "cloning a subtree of the top level with a mapping of 4 MiB, which is attached to the caller's space",
        leaves_out: "making it; and giving up what was made, which is done after the measurement",
        measure: clone_subtree,
    },
    Benchmark {
        name: "clone_first_write",
        points: &[],
        axis: "",
        what: "the first store to a page of a clone of a space with 4 MiB in small pages: from the instruction that stores to the \
               one behind it; the page is copied, and tables on the way to it are made",
        leaves_out: "making the clone, and entering it",
        measure: first_write,
    },
    Benchmark {
        name: "clone_next_write",
        points: &[],
        axis: "",
        what: "the first store to a page of a clone beside one that was copied before",
        leaves_out: "making the clone, and entering it",
        measure: next_write,
    },
    Benchmark {
        name: "clone_destroy",
        points: &[],
        axis: "",
        what: "giving up a clone of a space with 1 GiB mapped that nobody has written to",
        leaves_out: "making it",
        measure: |meter, _| {
            let space = mapped(64 * MIB, GIB)?;
            meter.sample(1, || Space::clone_of(account(), &space), Cap::delete)
        },
    },
    Benchmark {
        name: "snapshot_roll_back",
        points: &[],
        axis: "",
        what: "going back to a snapshot of a space with 4 MiB, a page of which was written to since",
        leaves_out: "taking it",
        measure: roll_back,
    },
];

fn account() -> &'static Cap<Account> {
    program().account()
}

/// A space in which so much is mapped, in mappings that each show a segment of some length from its start.
fn mapped(segment_bytes: u64, length_bytes: u64) -> Result<Cap<Space>, Error> {
    mapped_from(START, segment_bytes, length_bytes)
}

fn mapped_from(start: u64, segment_bytes: u64, length_bytes: u64) -> Result<Cap<Space>, Error> {
    let (space, segment) = (program().new_space()?, Segment::new(account(), segment_bytes)?);
    for number in 0..length_bytes / segment_bytes {
        space.map(start + number * segment_bytes, &segment, 0..segment_bytes, Rights::READ_WRITE)?;
    }
    Ok(space)
}

fn clone_whole(meter: &mut Meter, segment_bytes: u64, length_bytes: u64) -> Measured {
    let space = mapped(segment_bytes, length_bytes)?;
    meter.call(|| Space::clone_of(account(), &space))
}

fn clone_subtree(meter: &mut Meter, _: u64) -> Measured {
    let (subtree, segment) = (Subtree::new(account())?, Segment::new(account(), 4 * MIB)?);
    subtree.map(4 * MIB, &segment, 0..4 * MIB, Rights::READ_WRITE)?;
    program().space().attach(START, &subtree, Rights::READ_WRITE)?;
    let measured = meter.call(|| Subtree::clone_of(account(), &subtree));
    program().space().detach(START)?;
    measured
}

/// A page behind the start of a large one, so that all pages are small.
const SMALL: u64 = START + PAGE_BYTES;

/// Has a new clone each time, which the caller is in, in place of the one before.
fn enter_clone(of: &Cap<Space>, clone: &mut Option<Cap<Space>>) -> Result<(), Error> {
    program().space().switch()?;
    *clone = None;
    clone.insert(Space::clone_of(account(), of)?).switch()?;
    Ok(())
}

fn first_write(meter: &mut Meter, _: u64) -> Measured {
    let (space, mut clone) = (mapped_from(SMALL, 4 * MIB, 4 * MIB)?, None);
    let place = Place::<u64>::new(SMALL + MIB)?;
    let measured = meter.sample(
        1,
        || enter_clone(&space, &mut clone),
        |()| {
            place.set(1);
            Ok(())
        },
    );
    program().space().switch()?;
    measured
}

fn next_write(meter: &mut Meter, _: u64) -> Measured {
    let (space, mut clone) = (mapped_from(SMALL, 4 * MIB, 4 * MIB)?, None);
    let places = [Place::<u64>::new(SMALL + MIB)?, Place::<u64>::new(SMALL + MIB + PAGE_BYTES)?];
    let measured = meter.sample(
        1,
        || {
            enter_clone(&space, &mut clone)?;
            places[0].set(1);
            Ok(())
        },
        |()| {
            places[1].set(1);
            Ok(())
        },
    );
    program().space().switch()?;
    measured
}

fn roll_back(meter: &mut Meter, _: u64) -> Measured {
    let mut space = mapped_from(SMALL, 4 * MIB, 4 * MIB)?;
    let snapshot = Snapshot::take(account(), &space)?;
    let space = core::cell::RefCell::new(&mut space);
    meter.sample(
        1,
        || space.borrow().write(SMALL + MIB, &[1]),
        |()| snapshot.roll_back(account(), &mut space.borrow_mut()),
    )
}
