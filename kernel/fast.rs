//! The fast path of `space_switch`: no lock, no allocation, no walk, no line that another CPU writes.
//!
//! One of the kernel's few modules with unsafe code, for one purpose: to read the current thread's
//! capability slots without the lock.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicPtr, AtomicUsize};

use tessera_abi::{Error, Handle, ObjectKind, Rights, TOP_SLOTS};
use tessera_arch::{Format, Frame, PageFormat, SwitchResult, TOP_LEVEL, VirtAddr, table};

use crate::cap_table::HotSlot;
use crate::shared::{CpuLine, Shared};

/// Status word that sends the entry code to the common path, where the lock is taken.
pub const TAKE_COMMON_PATH: u64 = u64::MAX;

/// Points to the hot slots of the current thread's capability table.
#[derive(Debug)]
pub struct SlotsPointer {
    first: AtomicPtr<HotSlot>,
    count: AtomicUsize,
}

impl SlotsPointer {
    /// Points to no slots.
    pub(crate) const fn none() -> SlotsPointer {
        SlotsPointer { first: AtomicPtr::new(core::ptr::null_mut()), count: AtomicUsize::new(0) }
    }

    /// Points to these slots from now on. The kernel keeps the table while a thread that uses it is current
    /// here, and points elsewhere before it lets the table go.
    pub(crate) fn set(&self, slots: &[HotSlot]) {
        self.count.store(0, Relaxed);
        self.first.store(slots.as_ptr().cast_mut(), Relaxed);
        self.count.store(slots.len(), Relaxed);
    }

    #[inline(always)]
    fn get(&self, slot: u32) -> Option<&HotSlot> {
        let index = slot as usize;
        if index >= self.count.load(Relaxed) {
            return None;
        }
        // SAFETY: `set` was given a slice with more than `index` slots, of a table that the kernel keeps
        // while its thread is current on this CPU; only this CPU reads or changes the pointer, with
        // interrupts off, so it cannot change between the two loads. Slots are atomics.
        Some(unsafe { &*self.first.load(Relaxed).add(index) })
    }
}

/// Why the fast path did not switch.
enum Stop {
    Refused(Error),
    /// The tag is not ready here, or the capability goes this moment: the common path sees to that.
    Slow,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Refused(error)
    }
}

/// Switches the calling CPU's space; see the system call for its meaning.
#[inline]
pub fn space_switch(shared: &Shared, cpu: &CpuLine, handle: Handle, ip: u64, sp: u64) -> SwitchResult {
    match try_switch(shared, cpu, handle, ip, sp) {
        Ok(previous) => SwitchResult { status: 0, value: previous },
        Err(Stop::Refused(error)) => SwitchResult { status: error.status(), value: 0 },
        Err(Stop::Slow) => SwitchResult { status: TAKE_COMMON_PATH, value: 0 },
    }
}

#[inline(always)]
fn try_switch(shared: &Shared, cpu: &CpuLine, handle: Handle, ip: u64, sp: u64) -> Result<u64, Stop> {
    let slot = cpu.slots.get(handle.slot()).ok_or(Error::BadHandle)?;
    let space = slot.read(handle.generation())?.object(ObjectKind::Space, Rights::SWITCH)?;
    let words = shared.existing_space(space).ok_or(Error::BadHandle)?;
    let root = words.root(cpu.index);
    check_shared(Frame::new(cpu.root.load(Relaxed)), root, ip, sp)?;
    let tag = words.tag();
    if tag.generation() != shared.tag_generation.load(Relaxed) || !words.is_held_by(cpu.index) {
        return Err(Stop::Slow);
    }
    let before = cpu.presence.space();
    let stale = cpu.presence.enter(space, tag.tag());
    // Published: who takes the capability or the space away from here on sees this CPU in the space. Whether
    // that had happened before shows in the slot.
    if stale || !slot.is_current(handle.generation()) || !cpu.tag.try_activate(tag) {
        cpu.presence.stay(before);
        return Err(Stop::Slow);
    }
    cpu.root.store(root.number(), Relaxed);
    let previous = cpu.entered_by.load(Relaxed);
    cpu.entered_by.store(handle.bits(), Relaxed);
    tessera_arch::activate(root, tag.tag(), tag.tag() != 0);
    cpu.counters.space_switches.add(1);
    if tag.tag() == 0 { cpu.counters.tag_flushes.add(1) } else { cpu.counters.tag_hits.add(1) }
    Ok(previous)
}

/// Checks that the top-level entries for instruction and stack pointer lead to the same tables in both roots.
///
/// # Errors
/// `NotShared` if not.
#[inline(always)]
pub fn check_shared(from: Frame, to: Frame, ip: u64, sp: u64) -> Result<(), Error> {
    if is_shared(from, to, ip) && is_shared(from, to, sp.wrapping_sub(1)) { Ok(()) } else { Err(Error::NotShared) }
}

#[inline(always)]
fn is_shared(from: Frame, to: Frame, address: u64) -> bool {
    let index = VirtAddr::new(address).table_index(TOP_LEVEL);
    if address >> 47 != 0 || index >= TOP_SLOTS {
        return false;
    }
    let entry = |root: Frame| table(root)[index].load(Relaxed);
    let (ours, theirs) = (entry(from), entry(to));
    Format::is_present(ours) && Format::is_present(theirs) && Format::address(ours) == Format::address(theirs)
}
