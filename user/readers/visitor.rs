//! Visitors: threads that come and go, each by a space of its own, and can be ended in three ways.

use crate::book::{BYTES, Book, START, perhaps_yield};
use alloc::sync::Arc;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use core::time::Duration;
use demonstration::{Failure, Random, check};
use libvas::thread::{Builder, JoinHandle, ThreadState};
use libvas::{Cap, Error, Rights, Segment, Space, clock, program};

/// How long anything may take, on however busy a machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Where a visitor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Elsewhere, or about to enter.
    Entering,
    /// Asleep, until it may come in.
    Waiting,
    /// At work inside.
    Inside,
    /// Done with that, and about to leave.
    Leaving,
}

/// All of them.
pub(crate) const STAGES: [Stage; 4] = [Stage::Entering, Stage::Waiting, Stage::Inside, Stage::Leaving];

/// How a visitor is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its thread is stopped.
    Stopped,
    /// Its space goes.
    Destroyed,
    /// The capability by which it enters is taken back.
    Revoked,
}

/// All of them.
pub(crate) const ENDS: [End; 3] = [End::Stopped, End::Destroyed, End::Revoked];

/// What a visitor tells and is told.
#[derive(Debug)]
struct Watch {
    stage: AtomicU64,
    visits: AtomicU64,
    /// Tries and waits with a deadline that did not let it in.
    refused: AtomicU64,
    leaves: AtomicBool,
}

/// A visitor.
pub(crate) struct Visitor {
    watch: Arc<Watch>,
    thread: JoinHandle<Result<(), Error>>,
    space: Cap<Space>,
    way_in: Cap<Space>,
}

impl Visitor {
    /// A new one, which writes or only reads. Its name is a number that is not 0.
    pub(crate) fn new(segment: &Cap<Segment>, name: u64, writes: bool) -> Result<Visitor, Error> {
        let space = program().new_space()?;
        space.map(START, segment, 0..BYTES, if writes { Rights::READ_WRITE } else { Rights::READ })?;
        let way_in = space.derive(Rights::SWITCH, name)?;
        let [stage, visits, refused] = [const { AtomicU64::new(0) }; 3];
        let watch = Arc::new(Watch { stage, visits, refused, leaves: AtomicBool::new(false) });
        let (own, handle, book) = (Arc::clone(&watch), way_in.handle(), Book::new()?);
        // Below that of who ends it, so that this one comes in at any moment, if there is one CPU as well.
        let priority = program().thread().info()?.priority.saturating_sub(1);
        let builder = Builder::new().name(if writes { "writer" } else { "reader" }).priority(priority);
        let thread = builder.spawn(move || {
            let way_in = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
            own.come_and_go(&way_in, &book, name, writes)
        })?;
        Ok(Visitor { watch, thread, space, way_in })
    }

    /// Where it is, at some moment of the recent past.
    pub(crate) fn stage(&self) -> Result<Stage, Error> {
        if self.thread.thread().info()?.state == ThreadState::Entering as u64 {
            return Ok(Stage::Waiting);
        }
        Ok(STAGES[self.watch.stage.load(Acquire) as usize % STAGES.len()])
    }

    /// How often it has left by now.
    pub(crate) fn visits(&self) -> u64 {
        self.watch.visits.load(Relaxed)
    }

    /// How often it was not let in.
    pub(crate) fn refused(&self) -> u64 {
        self.watch.refused.load(Relaxed)
    }

    /// Waits until it has come and gone once more.
    pub(crate) fn goes_on(&self) -> Result<(), Failure> {
        // Two: the first may have been over but for the count.
        let wanted = self.visits() + 2;
        within(|| Ok(self.visits() >= wanted), "nobody else hangs")
    }

    /// Ends it, whatever it does.
    pub(crate) fn end(self, how: End) -> Result<(), Failure> {
        let Visitor { thread, space, way_in, .. } = self;
        match how {
            End::Stopped => thread.thread().stop()?,
            End::Destroyed => {
                // The space stays for as long as there is a capability to it.
                way_in.delete()?;
                space.delete()?;
                return is_thrown_out(thread);
            }
            End::Revoked => {
                space.revoke()?;
                return is_thrown_out(thread);
            }
        }
        has_ended(&thread)?;
        check(thread.join() == Err(Error::Gone), "who was stopped has no result")
    }

    /// Tells it to go, and waits until it has.
    pub(crate) fn dismiss(self) -> Result<(), Failure> {
        self.watch.leaves.store(true, Release);
        has_ended(&self.thread)?;
        check(self.thread.join() == Ok(Ok(())), "who is told to go goes")
    }
}

/// A thread whose space went was inside and is stopped, or is told so at the door.
fn is_thrown_out(thread: JoinHandle<Result<(), Error>>) -> Result<(), Failure> {
    has_ended(&thread)?;
    let result = thread.join();
    check(matches!(result, Err(Error::Gone) | Ok(Err(Error::BadHandle))), "who has no space any more is told")
}

fn has_ended(thread: &JoinHandle<Result<(), Error>>) -> Result<(), Failure> {
    let ended = [ThreadState::Exited, ThreadState::Faulted, ThreadState::Stopped].map(|state| state as u64);
    within(|| Ok(ended.contains(&thread.thread().info()?.state)), "who is ended does not hang")
}

/// Sleeps until something is so.
fn within(is_so: impl Fn() -> Result<bool, Error>, what: &'static str) -> Result<(), Failure> {
    let deadline = clock::now() + LIMIT;
    while !is_so()? {
        check(clock::now() < deadline, what)?;
        clock::sleep(Duration::from_micros(100));
    }
    Ok(())
}

impl Watch {
    fn come_and_go(&self, way_in: &Cap<Space>, book: &Book, name: u64, writes: bool) -> Result<(), Error> {
        let mut random = Random::new(name * 0x9e37_79b9 + 1);
        while !self.leaves.load(Acquire) {
            let how = random.below(4);
            let patience = Duration::from_micros(random.below(300));
            perhaps_yield(&mut random);
            let visit = || {
                self.is(Stage::Inside);
                let result = if writes { book.write(name, &mut random) } else { book.read(&mut random) };
                self.is(Stage::Leaving);
                perhaps_yield(&mut random);
                result
            };
            let result = match how {
                0 => way_in.try_enter(visit),
                1 => way_in.enter_within(patience, visit),
                _ => way_in.enter(visit),
            };
            self.is(Stage::Entering);
            match result {
                Ok(result) => result?,
                Err(Error::Busy) if how == 0 => self.is_refused(),
                Err(Error::TimedOut) if how == 1 => self.is_refused(),
                Err(error) => return Err(error),
            }
            self.visits.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    fn is(&self, stage: Stage) {
        self.stage.store(stage as u64, Release);
    }

    fn is_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }
}
