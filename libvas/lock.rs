//! Lockable segments: memory of which one thread writes or several read, because whoever enters a space that maps it takes its lock.
//!
//! ```no_run
//! use libvas::{Place, Rights, Segment, program};
//!
//! const HERE: u64 = 0x100_0000_0000;
//!
//! let table = Segment::new_lockable(program().account(), 0x1000)?;
//! let (writers, readers) = (program().new_space()?, program().new_space()?);
//! writers.map(HERE, &table, 0..0x1000, Rights::READ_WRITE)?;
//! readers.map(HERE, &table, 0..0x1000, Rights::READ)?;
//! let count = Place::<u64>::new(HERE)?;
//! writers.enter(|| count.set(count.get() + 1))?; // nobody else is inside
//! assert_eq!(readers.enter(|| count.get())?, 1); // others may read as well
//! # Ok::<(), libvas::Error>(())
//! ```

use crate::call::perform;
use crate::clock;
use crate::space::WayBack;
use crate::{Cap, Enterable};
use core::time::Duration;
use tessera_abi::{Call, Error, Handle};

impl<T: Enterable> Cap<T> {
    /// Runs a closure inside the space as [`Cap::enter`] does, if its locks can be had at once.
    ///
    /// # Errors
    /// `Busy` if others have them, or have waited for longer; those of [`Cap::enter`]. The closure has not run then.
    ///
    /// # Panics
    /// As [`Cap::enter`].
    pub fn try_enter<R>(&self, body: impl FnOnce() -> R) -> Result<R, Error> {
        self.enter_until(Duration::ZERO, body)
    }

    /// The same, if they can be had within a time.
    ///
    /// # Errors
    /// `TimedOut`, `Deadlock`, and those of [`Cap::enter`].
    ///
    /// # Panics
    /// As [`Cap::enter`].
    pub fn enter_within<R>(&self, time: Duration, body: impl FnOnce() -> R) -> Result<R, Error> {
        self.enter_until(clock::now().saturating_add(time).max(Duration::from_nanos(1)), body)
    }

    fn enter_until<R>(&self, until: Duration, body: impl FnOnce() -> R) -> Result<R, Error> {
        let way_back = WayBack(self.switch_until(until)?);
        let result = body();
        drop(way_back);
        Ok(result)
    }

    /// Switches into the space as [`Cap::switch`] does, and waits for its locks until the time since boot is `until`: zero for not
    /// at all, 584 years or more for as long as it takes.
    ///
    /// # Errors
    /// `Busy` if it was not to wait, `TimedOut`, `Deadlock`, and those of [`Cap::switch`].
    pub fn switch_until(&self, until: Duration) -> Result<Handle, Error> {
        let until_ns = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        perform(Call::SpaceSwitchUntil { space: self.handle(), until_ns }).map(Handle::from_bits)
    }
}
