//! The fast path of `space_switch`: no lock, no allocation, no walk, no line that another CPU writes.
//!
//! One of the kernel's few modules with unsafe code, for one purpose: to read the current thread's
//! capability slots, and its CPU's passes, without the lock.

use core::sync::atomic::Ordering::Relaxed;

use tessera_abi::{Handle, TOP_SLOT_BYTES, TOP_SLOTS};
use tessera_arch::{CallResult, Format, Frame, PageFormat, table};

use crate::cpu::handshake::{Pass, PassWord};
use crate::cpu::per_cpu::PerCpu;

/// Switches the calling CPU's space; see the system call for its meaning. Whatever stands in the way sends the call
/// to the common path, which sees to it or refuses with the right error.
#[inline(always)]
pub fn space_switch(cpu: &PerCpu, handle: Handle, ip: u64, sp: u64) -> CallResult {
    if (ip | sp.wrapping_sub(1)) >= TOP_SLOT_BYTES {
        return switch_elsewhere(handle, ip, sp, cpu);
    }
    let is_shared = |from, to| table(from)[0].load(Relaxed) == table(to)[0].load(Relaxed);
    try_switch(cpu, handle, is_shared)
}

/// The same for a program whose code or stack is not where programs have them, in the first top-level slot (ADR 5). Not
/// inlined, so that the usual case does not keep registers for it.
#[cold]
#[inline(never)]
fn switch_elsewhere(handle: Handle, ip: u64, sp: u64, cpu: &PerCpu) -> CallResult {
    try_switch(cpu, handle, |from, to| is_ground_shared(from, to, ip, sp))
}

/// Enters the space that a handle names by a good pass, if the loaded root and the one that the pass leads to share the
/// ground; gives the handle by which the one before was entered.
#[inline(always)]
fn try_switch(cpu: &PerCpu, handle: Handle, is_ground_shared: impl FnOnce(Frame, Frame) -> bool) -> CallResult {
    // A capability that does not let its holder switch names the pass to no space, by which nobody has a good pass.
    let slot = cpu.table.get().slots.get(handle.slot());
    let Some(number) = slot.and_then(|slot| slot.space_number(handle.generation())) else { return common() };
    let way = cpu.numbered_pass(number);
    let pass = way.read();
    if !pass.is_good() {
        return common();
    }
    if !is_ground_shared(Frame::from_word(cpu.root.load(Relaxed)), Frame::from_word(pass.root())) {
        return common();
    }
    let value = cpu.entered_by.load(Relaxed);
    if !enter(cpu, way, pass, number.wrapping_sub(1), handle) {
        return common();
    }
    CallResult { status: 0, value }
}

/// A way out of line, so that the usual one keeps no register for it.
#[cold]
#[inline(never)]
fn common() -> CallResult {
    CallResult::COMMON
}

/// Makes the calling CPU's space this one, if its pass is good; for a thread that goes on in its own space.
#[inline(always)]
pub fn enter_by_pass(cpu: &PerCpu, space: u32, entered_by: Handle) -> bool {
    let way = cpu.pass_to(space);
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
    cpu.counters.count_switch(tessera_arch::load_root(pass.word()));
    true
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
