//! readers: one writer and several readers of a lockable segment, each of which is ended at any step of a visit.
//!
//! The writer and the readers come and go, by entering spaces that show the segment: they enter, try, or wait for a time. Whoever
//! is inside finds what it reads whole, and nobody beside it who should not be. A controller, which comes in at any moment because it
//! has the higher priority, chooses one of them, waits until that one enters, waits, is inside, or leaves, and ends it: it stops
//! the thread, destroys its space, or revokes the capability by which it enters. All others must go on; another one takes the place.
//!
//! Where a visitor is when it is ended is what it said last, at most: on several CPUs it may be a step further by then. The
//! counts at the end say how often each was so.
//!
//! Argument: how often each is done, such as `4`.

#![no_std]
#![no_main]

extern crate alloc;

mod book;
mod visitor;

use alloc::vec::Vec;
use book::{BYTES, Book, START, TALLY};
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use demonstration::{Failure, chapter, check};
use libvas::layout::SegmentInfo;
use libvas::{Cap, Error, Rights, Segment, clock, program};
use rt::println;
use visitor::{ENDS, STAGES, Stage, Visitor};

rt::main!(main);

/// How often each end comes at each stage, for the writer and for a reader, unless the arguments say otherwise.
const TURNS: u64 = 2;

/// How many visitors there are: the first one writes.
const VISITORS: usize = 5;

/// How often the controller looks for the stage that it wants.
const LOOKS: u64 = 400;

/// How many were ended, by stage and how.
type Counts = [[u64; ENDS.len()]; STAGES.len()];

fn main() -> Result<u8, Failure> {
    let Some(turns) = turns_from(program().arguments()) else {
        println!("readers: usage: readers [TURNS], from 1 on");
        return Ok(2);
    };
    println!("One writer and {} readers, ended at every step of a visit.", VISITORS - 1);
    let segment = Segment::new_lockable(program().account(), BYTES)?;
    let (counts, endings, refused) = play(&segment, turns)?;
    let SegmentInfo { writers, readers, waiting, .. } = segment.info()?;
    check((writers, readers, waiting) == (0, 0, 0), "nobody has the lock when all have gone")?;
    look_at_the_book(&segment, endings)?;
    tell(&counts, refused)?;
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("   the kernel checked {facts} facts about itself");
    println!("readers: all as told");
    Ok(0)
}

fn turns_from(arguments: &str) -> Option<u64> {
    let mut words = arguments.split_whitespace();
    let turns = words.next().map_or(Some(TURNS), |word| word.parse().ok());
    turns.filter(|turns| (1..=1000).contains(turns) && words.next().is_none())
}

/// Ends one after the other; gives where they were, how many writers among them, and how often somebody was not let in.
fn play(segment: &Cap<Segment>, turns: u64) -> Result<(Counts, u64, u64), Failure> {
    let first = program().new_space()?;
    first.map(START, segment, 0..BYTES, Rights::READ_WRITE)?;
    first.enter(|| Book::new()?.begin())??;
    let mut names = 1..;
    let mut hire = |index: usize| Visitor::new(segment, names.next().unwrap_or(1), index == 0);
    let mut cast = (0..VISITORS).map(&mut hire).collect::<Result<Vec<_>, _>>()?;
    let (mut counts, mut writers, mut refused) = (Counts::default(), 0, 0);
    for turn in 0..turns {
        for (wanted, how) in STAGES.into_iter().flat_map(|stage| ENDS.map(|end| (stage, end))) {
            // A writer, and a reader, each time another one.
            for index in [0, 1 + turn as usize % (VISITORS - 1)] {
                let stage = await_stage(&cast[index], wanted, turn)?;
                counts[stage as usize][how as usize] += 1;
                writers += u64::from(index == 0);
                let new = hire(index)?;
                let old = core::mem::replace(&mut cast[index], new);
                refused += old.refused();
                old.end(how)?;
                cast.iter().try_for_each(Visitor::goes_on)?;
            }
        }
    }
    refused += cast.iter().map(Visitor::refused).sum::<u64>();
    cast.into_iter().try_for_each(Visitor::dismiss)?;
    Ok((counts, writers, refused))
}

/// Looks at a visitor at varying moments, until it is where it should be or was looked for often enough; says where it was.
fn await_stage(visitor: &Visitor, wanted: Stage, turn: u64) -> Result<Stage, Error> {
    let mut stage = visitor.stage()?;
    for look in 0..LOOKS {
        if stage == wanted {
            break;
        }
        clock::sleep(Duration::from_micros(5 + (13 * look + 7 * turn) % 97));
        stage = visitor.stage()?;
    }
    Ok(stage)
}

/// Nothing that was finished is lost, and nothing else is there: a writer that was ended may have finished and not counted.
fn look_at_the_book(segment: &Cap<Segment>, endings: u64) -> Result<(), Failure> {
    let space = program().new_space()?;
    space.map(START, segment, 0..BYTES, Rights::READ)?;
    let edition = space.try_enter(|| Book::new()?.edition())??;
    let written = 1 + TALLY.writes.load(Relaxed);
    chapter("The book");
    println!("   edition {edition}; {} were finished after the first, as the writers have counted", written - 1);
    check((written..=written + endings).contains(&edition), "no edition is lost, and none is made up")?;
    check(TALLY.wrong.load(Relaxed) == 0, "whoever was inside found the book whole, and nobody beside it")
}

/// Prints what was counted.
fn tell(counts: &Counts, refused: u64) -> Result<(), Failure> {
    chapter("Ended, and nobody hangs");
    println!("   {:<10} {:>9} {:>9} {:>9}", "while", "stopped", "destroyed", "revoked");
    for (stage, [stopped, destroyed, revoked]) in STAGES.iter().zip(counts) {
        println!("   {:<10} {stopped:>9} {destroyed:>9} {revoked:>9}", NAMES[*stage as usize]);
    }
    let [reads, writes, abandoned] = [&TALLY.reads, &TALLY.writes, &TALLY.abandoned].map(|count| count.load(Relaxed));
    println!(
        "   {reads} visits to read, {writes} to write; {abandoned} editions were begun by one and written by another"
    );
    println!("   {refused} times a try or a wait with a deadline let nobody in");
    check(counts[Stage::Inside as usize].iter().sum::<u64>() > 0, "some were ended inside")
}

const NAMES: [&str; STAGES.len()] = ["entering", "waiting", "inside", "leaving"];
