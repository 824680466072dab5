//! Reaching memory that is there in one space and not in the next.
//!
//! Rust's references promise that what they point to stays. Memory outside of the program subtree keeps no such
//! promise: another switch, and the same address shows something else or nothing. So it is reached by value,
//! through a [`Place`].

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use tessera_abi::{Error, TOP_SLOT_BYTES, USER_END};

/// The plain values that a [`Place`] can hold.
pub trait Plain: Copy + sealed::Access {}

mod sealed {
    /// Loads and stores of one value, whole.
    pub trait Access: Sized {
        /// # Safety
        /// `address` is a multiple of the value's size and no Rust object lies there.
        unsafe fn load(address: u64) -> Self;
        /// # Safety
        /// As for `load`.
        unsafe fn store(address: u64, value: Self);
    }
}

macro_rules! plain {
    ($($value:ty, $atomic:ty;)*) => {$(
        impl Plain for $value {}
        impl sealed::Access for $value {
            #[inline(always)]
            unsafe fn load(address: u64) -> $value {
                let pointer = core::ptr::with_exposed_provenance_mut(address as usize);
                // SAFETY: aligned by the caller's promise. If nothing is mapped there in the thread's space, the
                // access faults and the kernel stops the thread: no undefined behaviour follows.
                unsafe { <$atomic>::from_ptr(pointer) }.load(Ordering::Relaxed)
            }
            #[inline(always)]
            unsafe fn store(address: u64, value: $value) {
                let pointer = core::ptr::with_exposed_provenance_mut(address as usize);
                // SAFETY: as for `load`; and since no Rust object lies there, none can change by this.
                unsafe { <$atomic>::from_ptr(pointer) }.store(value, Ordering::Relaxed);
            }
        }
    )*};
}

plain! {
    u8, AtomicU8;
    u64, AtomicU64;
}

/// One value at one address, in whatever space the thread is when it asks.
///
/// Reading and writing are safe: no Rust object lies outside of the program subtree, and where nothing is mapped
/// (or not writable) the thread is stopped with a fault.
///
/// ```no_run
/// use libvas::{Place, Rights, Segment, program};
///
/// const HERE: u64 = 0x100_0000_0000;
/// let space = program().new_space()?;
/// let segment = Segment::new(program().account(), 0x1000)?;
/// space.map(HERE, &segment, 0..0x1000, Rights::READ_WRITE)?;
///
/// let place = Place::<u64>::new(HERE)?;
/// space.enter(|| place.set(42))?;
/// assert_eq!(space.enter(|| place.get())?, 42);
/// # Ok::<(), libvas::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<T: Plain> {
    address: u64,
    value: PhantomData<T>,
}

impl<T: Plain> Place<T> {
    /// The place at `address`, which lies above the program subtree: from 2^39 on.
    ///
    /// # Errors
    /// `BadAddress` inside the program subtree or outside of user memory, `Misaligned` if no multiple of the
    /// value's size.
    pub const fn new(address: u64) -> Result<Place<T>, Error> {
        let size_bytes = size_of::<T>() as u64;
        if address < TOP_SLOT_BYTES || address > USER_END - size_bytes {
            return Err(Error::BadAddress);
        }
        if !address.is_multiple_of(size_bytes) {
            return Err(Error::Misaligned);
        }
        Ok(Place { address, value: PhantomData })
    }

    /// The place `index` values further on.
    ///
    /// # Errors
    /// `BadAddress` outside of user memory.
    #[inline]
    pub const fn at(self, index: u64) -> Result<Place<T>, Error> {
        match index.checked_mul(size_of::<T>() as u64) {
            Some(offset) if offset < USER_END => Place::new(self.address + offset),
            _ => Err(Error::BadAddress),
        }
    }

    /// The address.
    pub const fn address(self) -> u64 {
        self.address
    }

    /// Reads the value in the space that the thread is in.
    #[inline(always)]
    pub fn get(self) -> T {
        // SAFETY: `new` checked alignment, and that the place is above the program subtree, which holds every
        // Rust object: code, statics, heap and stacks.
        unsafe { T::load(self.address) }
    }

    /// Writes the value in the space that the thread is in.
    #[inline(always)]
    pub fn set(self, value: T) {
        // SAFETY: as in `get`.
        unsafe { T::store(self.address, value) }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;
    use tessera_abi::{Error, TOP_SLOT_BYTES, USER_END};

    #[test]
    fn only_aligned_places_above_the_program_are_taken() {
        assert_eq!(Place::<u64>::new(TOP_SLOT_BYTES - 8), Err(Error::BadAddress));
        assert_eq!(Place::<u64>::new(TOP_SLOT_BYTES + 4), Err(Error::Misaligned));
        assert_eq!(Place::<u64>::new(USER_END), Err(Error::BadAddress));
        assert!(Place::<u64>::new(USER_END - 8).is_ok());
        assert!(Place::<u8>::new(TOP_SLOT_BYTES + 1).is_ok());
    }

    #[test]
    fn stepping_stays_in_bounds() {
        let place = Place::<u64>::new(TOP_SLOT_BYTES).expect("a good address");
        assert_eq!(place.at(2).map(Place::address), Ok(TOP_SLOT_BYTES + 16));
        assert_eq!(place.at(u64::MAX), Err(Error::BadAddress));
        assert_eq!(place.at(USER_END / 8), Err(Error::BadAddress));
    }
}
