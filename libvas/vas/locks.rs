//! A VAS with a lock: any number of processes have it attached, to write as well, and their threads wait at its door.
//!
//! The kernel has the lock in a segment that a space maps, and in no subtree ([`Segment::new_lockable`]). So that of a VAS, a page, is
//! beside it, in each space that shows it: to be written where the VAS may be, else to be read. Whoever switches there has it.

use super::{END, LOCKED, PLAIN, Process, Vid};
use crate::gate::Along;
use crate::names::{Class, Mode, Operation};
use crate::{Cap, Error, PAGE_BYTES, Rights, Segment, Space, Subtree, clock, program};
use core::time::Duration;

/// Where the lock is in a space that shows a VAS.
const PLACE: u64 = END;

impl Process<'_> {
    /// Makes a VAS as [`Process::create`] does, with a lock. Attaching it claims nothing, and is never `Busy`; switching there takes the
    /// lock, exclusively by who has it attached to write, else together with others, and waits until that is so. A thread that leaves, or
    /// ends, has given it up. No thread begins in such a VAS, and no gate leads there.
    ///
    /// # Errors
    /// As [`Process::create`].
    pub fn create_locked(&self, name: &str, mode: Mode) -> Result<Vid, Error> {
        self.register(name, Subtree::new(program().account())?, mode, LOCKED)
    }

    /// Switches the calling thread into a VAS as [`Process::switch`] does, and waits so long at most for its lock: not at all if that is
    /// zero. Without a lock there is nothing to wait for.
    ///
    /// # Errors
    /// `Busy` if it was not to wait, `TimedOut`, `Deadlock`, and those of [`Process::switch`].
    pub fn switch_within(&self, vid: Vid, time: Duration) -> Result<(), Error> {
        let until = if time.is_zero() { time } else { clock::now().saturating_add(time) };
        self.attachment(vid)?.space.switch_until(until).map(|_| ())
    }

    /// Gives a VAS its name, and its lock before that if it is to have one: nobody finds the one without the other.
    pub(super) fn register(&self, name: &str, vas: Cap<Subtree>, mode: Mode, kind: u64) -> Result<Vid, Error> {
        let vid = super::vid_of(name)?;
        vas.set_name(name)?;
        if kind != PLAIN {
            let lock = Segment::new_lockable(program().account(), PAGE_BYTES)?;
            let along = Along::moved(lock, Rights::READ_WRITE | Rights::CONTROL);
            self.names.register_in(Class::Lock, name, along, mode, 0)?;
        }
        let rights = Rights::ACCESS | Rights::MAP | Rights::INSPECT | Rights::CONTROL;
        let registered = self.names.register_in(Class::Space, name, Along::moved(vas, rights), mode, kind);
        if registered.is_err() && kind != PLAIN {
            self.forget_lock(vid)?;
        }
        registered.map(|()| vid)
    }

    /// Shows the lock in a space that shows the VAS.
    pub(super) fn show_lock(&self, vid: Vid, space: &Cap<Space>, writes: bool) -> Result<(), Error> {
        let rights = if writes { Rights::READ_WRITE } else { Rights::READ };
        let (lock, _) = self.names.find_in::<Segment>(Operation::Find, Class::Lock, vid.0.as_str(), rights)?;
        space.map(PLACE, &lock, 0..PAGE_BYTES, rights)
    }

    pub(super) fn forget_lock(&self, vid: Vid) -> Result<(), Error> {
        self.names.about(Operation::Unregister, Class::Lock, vid.0.as_str()).map(|_| ())
    }
}
