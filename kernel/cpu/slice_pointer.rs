//! Pointers to what is read without the lock: slices, and single things.

use core::ptr::NonNull;
use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};

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

    /// Two elements, by one look at where they are.
    #[inline(always)]
    pub(crate) fn get_both(&self, indices: [u32; 2]) -> Option<[&T; 2]> {
        let [one, other] = indices.map(|index| index as usize);
        if one.max(other) >= self.count.load(Relaxed) {
            return None;
        }
        // SAFETY: as for `get`, of each of the two.
        unsafe {
            let first = self.first.load(Relaxed);
            core::hint::assert_unchecked(!first.is_null());
            Some([&*first.add(one), &*first.add(other)])
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let index = index as usize;
        if index >= self.count.load(Relaxed) {
            return None;
        }
        // SAFETY: `first` points to a slice of more than `index` elements: the count is 0 while they do not match,
        // and only the CPU that reads (or the boot CPU, before the others run) changes them, with interrupts off.
        // The slice is static, or beside the pointer in what a CPU's thread uses (`Kept`). Elements are only shared, never
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
        // SAFETY: used for a CPU's passes, which every CPU of the machine is given before anybody asks for them, and for the words
        // of gates. Those to no space come first (number 0), and the kernel makes no space without passes (`Space::most`), nor
        // a gate without words (`Gate::most`): a slot names one that it made, or none. The slice is static, as for `get`.
        unsafe { &*self.first.load(Relaxed).add(index as usize) }
    }
}

impl<T> SlicePointer<T> {
    /// Points to a slice that stays where it is, and to so many elements. Whoever makes it keeps it beside the slice.
    pub(crate) fn of(slice: &[T], count: usize) -> SlicePointer<T> {
        SlicePointer { first: AtomicPtr::new(slice.as_ptr().cast_mut()), count: AtomicUsize::new(count) }
    }
}

/// Words that lie a fixed distance apart, in records of which each has one.
#[derive(Debug)]
pub struct Words<const DISTANCE_BYTES: usize>(AtomicPtr<AtomicU64>);

impl<const DISTANCE_BYTES: usize> Words<DISTANCE_BYTES> {
    /// None.
    pub(crate) const fn none() -> Words<DISTANCE_BYTES> {
        Words(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// Those of which this is the first.
    pub(crate) fn from(first: &AtomicU64) -> Words<DISTANCE_BYTES> {
        Words(AtomicPtr::new(core::ptr::from_ref(first).cast_mut()))
    }

    /// The word of a record that was ever in use.
    #[inline(always)]
    pub(crate) fn get(&self, index: u32) -> u64 {
        // SAFETY: used for the badges of a capability table only, of a slot that is in use or was: its record lies so far
        // behind the first, in a list that has room for all from the start and stays where it is as long as the table. The
        // table is the one of a thread that is current on the CPU. What changes in a record's word is atomic.
        unsafe { (*self.0.load(Relaxed).byte_add(index as usize * DISTANCE_BYTES)).load(Relaxed) }
    }
}

/// A name for something that the kernel keeps as long as the name is used: a thread's table, and what it goes back to.
#[derive(Debug)]
pub struct Kept<T>(NonNull<T>);

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Kept<T> {
        *self
    }
}

impl<T> Copy for Kept<T> {}

impl<T> PartialEq for Kept<T> {
    fn eq(&self, other: &Kept<T>) -> bool {
        self.0 == other.0
    }
}

// SAFETY: what is named is only ever shared, by whoever has the name.
unsafe impl<T: Sync> Send for Kept<T> {}
// SAFETY: likewise.
unsafe impl<T: Sync> Sync for Kept<T> {}

impl<T> Kept<T> {
    /// The name of something.
    #[inline(always)]
    pub(crate) fn of(thing: &T) -> Kept<T> {
        Kept(NonNull::from(thing))
    }

    /// What it names.
    #[inline(always)]
    pub(crate) fn get(&self) -> &T {
        // SAFETY: a thread has names of two things only. Its own table it refers to, and that of a gate that it is in goes only
        // after the thread was taken out of the gate; what it goes back to goes with the thread. Both are shared, never borrowed
        // mutably: what changes in them is atomic.
        unsafe { self.0.as_ref() }
    }
}

/// Where a CPU finds something of its current thread.
#[derive(Debug)]
pub struct Pointer<T>(AtomicPtr<T>);

impl<T> Pointer<T> {
    /// To something that is always there.
    pub(crate) const fn to(thing: &'static T) -> Pointer<T> {
        Pointer(AtomicPtr::new(core::ptr::from_ref(thing).cast_mut()))
    }

    /// To what a thread names, which is current on the CPU, or is about to be. It is made to lead elsewhere before that is over.
    #[inline(always)]
    pub(crate) fn set(&self, thing: Kept<T>) {
        self.0.store(thing.0.as_ptr(), Relaxed);
    }

    /// What it leads to, by a name.
    #[inline(always)]
    pub(crate) fn kept(&self) -> Kept<T> {
        // SAFETY: it is never null: it leads to what `to` or `set` were given.
        Kept(unsafe { NonNull::new_unchecked(self.0.load(Relaxed)) })
    }

    /// What it leads to.
    #[inline(always)]
    pub(crate) fn get(&self) -> &T {
        // SAFETY: as for `Kept::get`; static, or of the CPU's current thread, which others look at with the lock held only, so that
        // it stays.
        unsafe { &*self.0.load(Relaxed) }
    }

    /// Whether it leads to this.
    pub(crate) fn leads_to(&self, thing: &T) -> bool {
        core::ptr::eq(self.0.load(Relaxed), thing)
    }
}
