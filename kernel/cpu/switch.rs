//! The fast path of `space_switch`: no lock, no allocation, no walk, no line that another CPU writes.
//!
//! One of the kernel's few modules with unsafe code, for one purpose: to read the current thread's
//! capability slots, and the words of spaces, without the lock.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{Handle, TOP_SLOT_BYTES, TOP_SLOTS};
use tessera_arch::{CallResult, Format, Frame, PageFormat, table};

use crate::cpu::handshake::{Pass, PassWord};
use crate::cpu::per_cpu::{PerCpu, Shared};

/// Switches the calling CPU's space; see the system call for its meaning. Whatever stands in the way sends the call
/// to the common path, which sees to it or refuses with the right error.
#[inline(always)]
pub fn space_switch(shared: &Shared, cpu: &PerCpu, index: usize, handle: Handle, ip: u64, sp: u64) -> CallResult {
    match try_switch(shared, cpu, index, handle, ip, sp) {
        Some(previous) => CallResult { status: 0, value: previous },
        None => CallResult::COMMON,
    }
}

#[inline(always)]
fn try_switch(shared: &Shared, cpu: &PerCpu, index: usize, handle: Handle, ip: u64, sp: u64) -> Option<u64> {
    let space = cpu.slots.get(handle.slot())?.space(handle.generation())?;
    let way = shared.named_space(space).pass(index);
    let pass = way.read();
    if !pass.is_good() || !is_ground_plainly_shared(cpu, pass, ip, sp) {
        return None;
    }
    let previous = cpu.entered_by.load(Relaxed);
    enter(cpu, way, pass, space, handle).then_some(previous)
}

/// Makes the calling CPU's space this one, if its pass is good; for a thread that goes on in its own space.
#[inline(always)]
pub fn enter_by_pass(shared: &Shared, cpu: &PerCpu, index: usize, space: u32, entered_by: Handle) -> bool {
    let way = shared.named_space(space).pass(index);
    let pass = way.read();
    pass.is_good() && enter(cpu, way, pass, space, entered_by)
}

/// Enters a space by a good pass, if that is good still when the CPU has published that it comes.
#[inline(always)]
fn enter(cpu: &PerCpu, way: &Pass, pass: PassWord, space: u32, entered_by: Handle) -> bool {
    // Published and looked again: who takes the space away or changes it from here on sees this CPU in it.
    if !cpu.presence.enter(space, way, pass) {
        return false;
    }
    cpu.root.store(pass.root(), Relaxed);
    cpu.entered_by.store(entered_by.bits(), Relaxed);
    let is_kept = tessera_arch::load_root(pass.word());
    let counters = &cpu.counters;
    (if is_kept { &counters.tag_hits } else { &counters.tag_flushes }).add(1);
    true
}

/// Whether instruction and stack pointer lie in one top-level slot, and the root that is loaded has the same entry there as
/// the root that the pass leads to: the usual case. What else [`is_ground_shared`] accepts goes the common path.
#[inline(always)]
fn is_ground_plainly_shared(cpu: &PerCpu, pass: PassWord, ip: u64, sp: u64) -> bool {
    // The instruction pointer is a user address: the thread has just executed there.
    let slot = (slot_of(ip) % TOP_SLOTS as u64) as usize;
    let one_slot = (ip ^ sp.wrapping_sub(1)) < TOP_SLOT_BYTES;
    let entry = |root: u64| table(Frame::from_word(root))[slot].load(Relaxed);
    one_slot && entry(cpu.root.load(Relaxed)) == entry(pass.root())
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
