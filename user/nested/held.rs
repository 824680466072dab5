//! Which capabilities a guest may name.
//!
//! They are in its supervisor's table, and the guest's handles are the same numbers: what counts is whether a number is in this list.

use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use libvas::{Cap, Error, Handle, Object, Segment};

/// The most of them.
const HELD_MAX: usize = 256;

/// Capabilities that are kept for a guest. When this goes, they do: the last first.
#[derive(Debug, Default)]
pub(crate) struct Held(Vec<Handle>);

impl Held {
    /// Takes one in; gives the guest's handle to it.
    pub(crate) fn keep<T: Object>(&mut self, capability: Cap<T>) -> Result<u64, Error> {
        if self.0.len() == HELD_MAX {
            return Err(Error::TableFull);
        }
        let handle = capability.into_handle();
        self.0.push(handle);
        Ok(handle.bits())
    }

    /// What the guest names, to be used on its behalf. That it is of the kind that is wanted the kernel sees to.
    pub(crate) fn named<T: Object>(&self, handle: Handle) -> Result<ManuallyDrop<Cap<T>>, Error> {
        self.0.contains(&handle).then(|| ManuallyDrop::new(Cap::from_handle(handle))).ok_or(Error::BadHandle)
    }

    /// Gives one up.
    pub(crate) fn delete(&mut self, handle: Handle) -> Result<(), Error> {
        let place = self.0.iter().position(|held| *held == handle).ok_or(Error::BadHandle)?;
        drop(Cap::<Segment>::from_handle(self.0.remove(place)));
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        while let Some(handle) = self.0.pop() {
            drop(Cap::<Segment>::from_handle(handle));
        }
    }
}
