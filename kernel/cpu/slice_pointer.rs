//! Pointers to slices that are read without the lock.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicUsize};

use crate::cpu::cap_word::CapSlot;

/// A slice that one CPU, or the boot code, sets and that is read without a lock.
#[derive(Debug)]
pub struct SlicePointer<T> {
    first: AtomicPtr<T>,
    count: AtomicUsize,
}

impl<T> SlicePointer<T> {
    /// Points to an empty slice.
    pub(crate) const fn none() -> SlicePointer<T> {
        SlicePointer { first: AtomicPtr::new(core::ptr::null_mut()), count: AtomicUsize::new(0) }
    }

    /// Points to a slice that lives for ever.
    pub(crate) fn set_static(&self, slice: &'static [T]) {
        self.set(slice);
    }

    fn set(&self, slice: &[T]) {
        self.count.store(0, Relaxed);
        self.first.store(slice.as_ptr().cast_mut(), Relaxed);
        self.count.store(slice.len(), Release);
    }

    /// Whether it points to this slice.
    pub(crate) fn points_to(&self, slice: &[T]) -> bool {
        let is_first = slice.is_empty() || core::ptr::eq(self.first.load(Relaxed), slice.as_ptr());
        is_first && self.count.load(Relaxed) == slice.len()
    }

    #[inline(always)]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        if index >= self.count.load(Relaxed) {
            return None;
        }
        // SAFETY: `first` points to a slice of more than `index` elements: the count is 0 while they do not match,
        // and only the CPU that reads (or the boot CPU, before the others run) changes them, with interrupts off.
        // The slice is static, or the kernel keeps it as `set_slots` says. Elements are only shared, never
        // borrowed mutably: what changes in them is atomic. A slice's first element is never at null.
        unsafe {
            let first = self.first.load(Relaxed);
            core::hint::assert_unchecked(!first.is_null());
            Some(&*first.add(index))
        }
    }

    /// The element that a capability's slot names.
    #[inline(always)]
    pub(crate) fn named(&self, index: u32) -> &T {
        debug_assert!((index as usize) < self.count.load(Relaxed), "slots name spaces that have passes");
        // SAFETY: used for a CPU's passes only, which every CPU of the machine is given before anybody asks for them. Those to
        // no space come first (number 0), and the kernel makes no space without passes (`Space::most`): a slot names one
        // that it made, or none. The slice is static, as for `get`.
        unsafe { &*self.first.load(Relaxed).add(index as usize) }
    }
}

impl SlicePointer<CapSlot> {
    /// Points to the slots of the current thread's table from now on. The kernel keeps the table while a
    /// thread that uses it is current on this CPU, and points elsewhere before it lets the table go.
    pub(crate) fn set_slots(&self, slots: &[CapSlot]) {
        self.set(slots);
    }
}
