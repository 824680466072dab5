//! Spaces with lockable segments, and threads that are in them until they are told to go.

use crate::{Failure, fresh_address, wait_for_state, wait_until};
use alloc::sync::Arc;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use core::time::Duration;
use libvas::layout::SegmentInfo;
use libvas::thread::{self, Builder, JoinHandle, ThreadState};
use libvas::{Cap, Enterable, Error, PAGE_BYTES as PAGE, Place, Rights, Segment, Space, Thread, program};

/// A lockable segment of two pages, in a space where it may be written and in one where it may be read.
pub struct Locked {
    /// The segment.
    pub segment: Cap<Segment>,
    /// Where it may be written.
    pub writers: Cap<Space>,
    /// Where it may be read.
    pub readers: Cap<Space>,
    /// Where it is mapped in both.
    pub address: u64,
}

impl Locked {
    /// Makes one.
    ///
    /// # Errors
    /// Those of making its parts.
    pub fn new() -> Result<Locked, Error> {
        let segment = lockable()?;
        let (writers, readers, address) = (program().new_space()?, program().new_space()?, fresh_address());
        writers.map(address, &segment, 0..2 * PAGE, Rights::READ_WRITE)?;
        readers.map(address, &segment, 0..2 * PAGE, Rights::READ)?;
        Ok(Locked { segment, writers, readers, address })
    }

    /// A word of it.
    ///
    /// # Errors
    /// As [`Place::new`].
    pub fn word(&self) -> Result<Place<u64>, Error> {
        Place::new(self.address + 8)
    }

    /// Writers, readers and those who wait.
    ///
    /// # Errors
    /// As the call.
    pub fn holders(&self) -> Result<(u64, u64, u64), Error> {
        holders(&self.segment)
    }
}

/// A lockable segment of two pages.
///
/// # Errors
/// As [`Segment::new_lockable`].
pub fn lockable() -> Result<Cap<Segment>, Error> {
    Segment::new_lockable(program().account(), 2 * PAGE)
}

/// A space with the program and a lockable segment.
///
/// # Errors
/// As the calls.
pub fn space_with(segment: &Cap<Segment>, address: u64, rights: Rights) -> Result<Cap<Space>, Error> {
    let space = program().new_space()?;
    space.map(address, segment, 0..2 * PAGE, rights)?;
    Ok(space)
}

/// Writers, readers and those who wait of a segment's lock.
///
/// # Errors
/// As the call.
pub fn holders(segment: &Cap<Segment>) -> Result<(u64, u64, u64), Error> {
    let SegmentInfo { writers, readers, waiting, .. } = segment.info()?;
    Ok((writers, readers, waiting))
}

/// The same capability without owning it, for a thread.
pub fn lent_by<T: Enterable>(space: &Cap<T>) -> ManuallyDrop<Cap<T>> {
    ManuallyDrop::new(Cap::from_handle(space.handle()))
}

#[derive(Debug, Default)]
struct Watch {
    is_inside: AtomicBool,
    leaves: AtomicBool,
}

/// A thread that enters a space and stays until it is told to go.
pub struct Visitor {
    watch: Arc<Watch>,
    thread: JoinHandle<Result<(), Error>>,
}

impl Visitor {
    /// One that goes there, and may have to wait.
    ///
    /// # Errors
    /// Those of making a thread.
    pub fn to(space: &Cap<impl Enterable>) -> Result<Visitor, Error> {
        Visitor::by(Builder::new(), space)
    }

    /// The same of a thread that is made in this way.
    ///
    /// # Errors
    /// Likewise.
    pub fn by(builder: Builder<'_>, space: &Cap<impl Enterable>) -> Result<Visitor, Error> {
        let (handle, watch) = (space.handle(), Arc::<Watch>::default());
        let own = Arc::clone(&watch);
        let thread = builder.spawn(move || {
            let space = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
            space.enter(|| own.stay())
        })?;
        Ok(Visitor { watch, thread })
    }

    /// One that is inside.
    ///
    /// # Errors
    /// A failure if it does not come in.
    #[track_caller]
    pub fn inside(space: &Cap<impl Enterable>) -> Result<Visitor, Failure> {
        let visitor = Visitor::to(space)?;
        visitor.is_in()?;
        Ok(visitor)
    }

    /// One that waits for the locks.
    ///
    /// # Errors
    /// A failure if it does not wait.
    #[track_caller]
    pub fn waiting(space: &Cap<impl Enterable>) -> Result<Visitor, Failure> {
        let visitor = Visitor::to(space)?;
        visitor.waits()?;
        Ok(visitor)
    }

    /// Sleeps until it is inside.
    ///
    /// # Errors
    /// A failure if it never is.
    #[track_caller]
    pub fn is_in(&self) -> Result<(), Failure> {
        wait_until(|| Ok(self.has_come()))
    }

    /// Sleeps until it waits for locks.
    ///
    /// # Errors
    /// A failure if it never does.
    #[track_caller]
    pub fn waits(&self) -> Result<(), Failure> {
        wait_for_state(self.thread.thread(), ThreadState::Entering)
    }

    /// Whether it has come in so far.
    pub fn has_come(&self) -> bool {
        self.watch.is_inside.load(SeqCst)
    }

    /// Its thread.
    pub fn thread(&self) -> &Cap<Thread> {
        self.thread.thread()
    }

    /// Tells it to go.
    pub fn dismiss(&self) {
        self.watch.leaves.store(true, SeqCst);
    }

    /// Tells it to go, and waits for its end; gives how its visit ended.
    ///
    /// # Errors
    /// Those of joining it, or of its visit.
    pub fn leave(self) -> Result<(), Error> {
        self.dismiss();
        self.thread.join()?
    }
}

impl Watch {
    fn stay(&self) {
        self.is_inside.store(true, SeqCst);
        while !self.leaves.load(SeqCst) {
            thread::sleep(Duration::from_micros(150));
        }
    }
}
