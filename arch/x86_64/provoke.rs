//! Breaking the kernel's rules on purpose, so that tests see each protection stop it.

use core::hint::black_box;

use tessera_abi::layout::Provocation;

use super::{memory, paging, smp};
use crate::PhysAddr;

/// Where programs begin: user memory that certainly exists while a program runs.
const USER_ADDRESS: u64 = tessera_abi::layout::program::IMAGE;

/// Code as data: `ret`. Executing it where it lies must fault.
static mut DATA: [u8; 16] = [0xc3; 16];
static READ_ONLY: [u8; 16] = [0xc3; 16];

/// Does what is asked for. Comes back only if nothing stopped it; [`Provocation::Panic`] is the kernel's business.
pub fn provoke(what: Provocation) {
    match what {
        Provocation::Panic => {}
        Provocation::WriteCode => write(provoke as *const () as u64),
        Provocation::WriteReadOnlyData => write((&raw const READ_ONLY).addr() as u64),
        Provocation::ExecuteData => execute((&raw const DATA).addr() as u64),
        Provocation::ExecuteUser => execute(USER_ADDRESS),
        Provocation::ExecuteDirectMap => execute(alias_of(nothing as *const () as u64)),
        Provocation::WriteCodeInDirectMap => write(alias_of(nothing as *const () as u64)),
        Provocation::WriteReadOnlyDataInDirectMap => write(alias_of((&raw const READ_ONLY).addr() as u64)),
        Provocation::ReadUser => read(USER_ADDRESS),
        Provocation::ReadNull => read(0),
        Provocation::NonMaskableInterrupt => smp::interrupt_all(),
        Provocation::OverflowStack => {
            recurse(0);
        }
    }
}

/// Where something of the kernel's image appears in the direct map.
fn alias_of(address: u64) -> u64 {
    let physical = paging::translate_active(address).map_or(0, PhysAddr::value);
    memory::direct_map(PhysAddr::new(physical)).addr() as u64
}

/// Code that would return at once.
extern "C" fn nothing() {}

fn read(address: u64) {
    // SAFETY: meant to fault. If it does not, a byte read has no effect.
    black_box(unsafe { (black_box(address) as *const u8).read_volatile() });
}

fn write(address: u64) {
    let place = black_box(address) as *mut u8;
    // SAFETY: meant to fault. If it does not, the byte is written as it was.
    unsafe { place.write_volatile(place.read_volatile()) };
}

fn execute(address: u64) {
    // SAFETY: meant to fault. If it does not, the memory holds a return instruction (or, in the user's case, the
    // test has failed already and the kernel goes down with it).
    let function = unsafe { core::mem::transmute::<u64, extern "C" fn()>(black_box(address)) };
    function();
}

#[inline(never)]
#[allow(unconditional_recursion, reason = "it is what the provocation is about")]
fn recurse(depth: u64) -> u64 {
    let local = black_box([depth; 32]);
    recurse(depth + 1) + black_box(&local)[0]
}
