//! The fast path of `space_switch`: no lock, no allocation, no walk, no line that another CPU writes.
//!
//! One of the kernel's few modules with unsafe code, for one purpose: to read the current thread's
//! capability slots, and the words of spaces, without the lock.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicUsize};

use tessera_abi::{Handle, ObjectKind, Rights, TOP_SLOT_BYTES, TOP_SLOTS};
use tessera_arch::{Format, Frame, PageFormat, SwitchResult, table};

use crate::cpu::cap_word::HotSlot;
use crate::cpu::per_cpu::{CpuLine, Shared, SpaceWords};

/// Status word that sends the entry code to the common path, where the lock is taken.
pub const TAKE_COMMON_PATH: u64 = u64::MAX;

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
}

impl SlicePointer<SpaceWords> {
    /// The element that a capability slot names.
    #[inline(always)]
    pub(crate) fn named(&self, index: u32) -> &SpaceWords {
        debug_assert!((index as usize) < self.count.load(Relaxed), "slots name spaces that have words");
        // SAFETY: the kernel makes no space without words (`Space::most`), and a slot's word names a space
        // that the kernel made. The slice is static, as for `get`.
        unsafe { &*self.first.load(Relaxed).add(index as usize) }
    }
}

impl SlicePointer<HotSlot> {
    /// Points to the hot slots of the current thread's table from now on. The kernel keeps the table while a
    /// thread that uses it is current on this CPU, and points elsewhere before it lets the table go.
    pub(crate) fn set_slots(&self, slots: &[HotSlot]) {
        self.set(slots);
    }
}

/// Switches the calling CPU's space; see the system call for its meaning. Whatever stands in the way sends the call
/// to the common path, which sees to it or refuses with the right error.
#[inline(always)]
pub fn space_switch(shared: &Shared, cpu: &CpuLine, index: usize, handle: Handle, ip: u64, sp: u64) -> SwitchResult {
    match try_switch(shared, cpu, index, handle, ip, sp) {
        Some(previous) => SwitchResult { status: 0, value: previous },
        None => SwitchResult { status: TAKE_COMMON_PATH, value: 0 },
    }
}

#[inline(always)]
fn try_switch(shared: &Shared, cpu: &CpuLine, index: usize, handle: Handle, ip: u64, sp: u64) -> Option<u64> {
    let space = cpu.word_of(handle)?.object(ObjectKind::Space, Rights::SWITCH)?;
    let words = shared.named_space(space);
    let way = words.pass(index);
    let pass = way.read();
    if !pass.is_good() {
        return None;
    }
    let root = Frame::from_word(pass.root());
    if !is_ground_plainly_shared(Frame::from_word(cpu.root.load(Relaxed)), root, ip, sp) {
        return None;
    }
    // Published and looked again: who takes the space away or changes it from here on sees this CPU in it.
    if !cpu.presence.enter(space, way, pass) {
        return None;
    }
    cpu.root.store(root.to_word(), Relaxed);
    let tag = words.tag();
    let previous = cpu.entered_by.load(Relaxed);
    cpu.entered_by.store(handle.bits(), Relaxed);
    if tag.tag() == 0 {
        tessera_arch::activate(root, 0, false);
        cpu.counters.tag_flushes.add(1);
    } else {
        tessera_arch::activate(root, tag.tag(), true);
        cpu.counters.tag_hits.add(1);
    }
    Some(previous)
}

/// Whether instruction and stack pointer lie in one top-level slot, and both roots have the same entry there: the
/// usual case. What else [`is_ground_shared`] accepts goes the common path.
#[inline(always)]
fn is_ground_plainly_shared(from: Frame, to: Frame, ip: u64, sp: u64) -> bool {
    // The instruction pointer is a user address: the thread has just executed there.
    let slot = (slot_of(ip) % TOP_SLOTS as u64) as usize;
    let one_slot = (ip ^ sp.wrapping_sub(1)) < TOP_SLOT_BYTES;
    one_slot && table(from)[slot].load(Relaxed) == table(to)[slot].load(Relaxed)
}

/// Whether the top-level entries for instruction and stack pointer lead to the same tables in both roots.
pub fn is_ground_shared(from: Frame, to: Frame, ip: u64, sp: u64) -> bool {
    is_shared(from, to, slot_of(ip)) && is_shared(from, to, slot_of(sp.wrapping_sub(1)))
}

/// The top-level slot of an address; beyond the last one for what is no user address.
#[inline(always)]
fn slot_of(address: u64) -> u64 {
    address / TOP_SLOT_BYTES
}

fn is_shared(from: Frame, to: Frame, slot: u64) -> bool {
    if slot >= TOP_SLOTS as u64 {
        return false;
    }
    let entry = |root: Frame| table(root)[slot as usize].load(Relaxed);
    let (ours, theirs) = (entry(from), entry(to));
    // An entry that is not present is zero, and no table lies at address zero: equal addresses, both present.
    Format::is_present(ours) && Format::address(ours) == Format::address(theirs)
}
