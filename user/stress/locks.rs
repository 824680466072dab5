//! A lockable segment that all workers visit at once, to write or to read, and in which threads of theirs are ended.

use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use demonstration::Random;
use libvas::thread::{self, JoinHandle};
use libvas::{Cap, Error, PAGE_BYTES, Place, Rights, Segment, Space, clock, program};

/// Where the segment is, in every space that shows it.
const HERE: u64 = 0x1500_0000_0000;

/// Badges by which workers lend ways in to those whom they end are from here on.
const FIRST_BADGE: u64 = 2000;

/// How often somebody came in, was not let in, and was ended.
pub(crate) static COUNTS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// The segment, and the two spaces that all have.
pub(crate) struct Locks {
    segment: Cap<Segment>,
    writers: Cap<Space>,
    readers: Cap<Space>,
    pair: Pair,
}

/// Two numbers. Who writes makes the first one larger, and then the second as large; who is ended in between leaves them so.
#[derive(Clone, Copy)]
struct Pair(Place<u64>, Place<u64>);

impl Pair {
    /// Gives how much is wrong of what is seen, twice, with others running in between.
    fn read(self) -> u64 {
        let first = (self.0.get(), self.1.get());
        thread::yield_now();
        let second = (self.0.get(), self.1.get());
        u64::from(first != second) + u64::from(first.0 != first.1 && first.0 != first.1 + 1)
    }

    fn write(self) -> u64 {
        let next = self.1.get() + 1;
        self.0.set(next);
        let wrong = self.read();
        self.1.set(next);
        wrong
    }

    fn visit(self, writes: bool) -> u64 {
        COUNTS[0].fetch_add(1, Relaxed);
        if writes { self.write() } else { self.read() }
    }
}

impl Locks {
    /// Two numbers that are 0.
    pub(crate) fn new() -> Result<Locks, Error> {
        let segment = Segment::new_lockable(program().account(), PAGE_BYTES)?;
        let (writers, readers) = (space_with(&segment, true)?, space_with(&segment, false)?);
        let first = Place::new(HERE)?;
        Ok(Locks { segment, writers, readers, pair: Pair(first, first.at(1)?) })
    }

    fn space(&self, writes: bool) -> &Cap<Space> {
        if writes { &self.writers } else { &self.readers }
    }

    /// Goes there, tries to, or waits for a time; gives how much was wrong.
    pub(crate) fn visit(&self, random: &mut Random) -> Result<u64, Error> {
        let (writes, how, time) = (random.below(3) == 0, random.below(4), Duration::from_micros(random.below(500)));
        let (space, body) = (self.space(writes), || self.pair.visit(writes));
        let result = match how {
            0 => space.try_enter(body),
            1 => space.enter_within(time, body),
            _ => space.enter(body),
        };
        match (result, how) {
            (Err(Error::Busy), 0) | (Err(Error::TimedOut), 1) => {
                COUNTS[1].fetch_add(1, Relaxed);
                Ok(0)
            }
            (result, _) => result,
        }
    }

    /// Lets a thread come and go, and ends it: stops it, takes its way in back, or destroys its space.
    pub(crate) fn end_somebody(&self, worker: u64, random: &mut Random) -> Result<u64, Error> {
        let (writes, badge) = (random.below(2) == 0, FIRST_BADGE + worker);
        let patience = Duration::from_micros(random.below(400));
        COUNTS[2].fetch_add(1, Relaxed);
        if random.below(3) == 0 {
            let own = match space_with(&self.segment, writes) {
                // It is shown in as many spaces as it can be.
                Err(Error::LimitReached) => return Ok(0),
                own => own?,
            };
            let visitor = self.visitor(&own, writes)?;
            clock::sleep(patience);
            own.delete()?;
            return Ok(end_of(visitor));
        }
        let way_in = self.space(writes).derive(Rights::SWITCH, badge)?;
        let visitor = self.visitor(&way_in, writes)?;
        clock::sleep(patience);
        if random.below(2) == 0 {
            visitor.thread().stop()?;
            return Ok(u64::from(visitor.join() != Err(Error::Gone)));
        }
        self.space(writes).revoke_badge(badge)?;
        Ok(end_of(visitor))
    }

    /// A thread that comes and goes until that is refused, or it finds something wrong.
    fn visitor(&self, way_in: &Cap<Space>, writes: bool) -> Result<Visitor, Error> {
        let (handle, pair) = (way_in.handle(), self.pair);
        thread::spawn(move || {
            let way_in = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
            let mut wrong = 0;
            while wrong == 0 {
                wrong = way_in.enter(|| pair.visit(writes))?;
            }
            Ok(wrong)
        })
    }

    /// How many hold the lock, or wait for it: none, when nobody visits.
    pub(crate) fn still_held(&self) -> Result<u64, Error> {
        let info = self.segment.info()?;
        Ok(info.writers + info.readers + info.waiting)
    }
}

type Visitor = JoinHandle<Result<u64, Error>>;

fn space_with(segment: &Cap<Segment>, writes: bool) -> Result<Cap<Space>, Error> {
    let space = program().new_space()?;
    space.map(HERE, segment, 0..PAGE_BYTES, if writes { Rights::READ_WRITE } else { Rights::READ })?;
    Ok(space)
}

/// Whether a thread was neither thrown out nor told that there is no way in any more: 1 if so.
fn end_of(visitor: Visitor) -> u64 {
    u64::from(!matches!(visitor.join(), Err(Error::Gone) | Ok(Err(Error::BadHandle))))
}
