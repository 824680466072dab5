//! Breaking the kernel's rules on purpose, so that tests see each protection stop it.

use core::arch::asm;

use tessera_abi::layout::Provocation;

use crate::PhysAddr;

use super::{memory, paging};

/// Where the provocations that touch user memory do so: the first page of a program's image.
const USER_ADDRESS: u64 = tessera_abi::layout::program::IMAGE;

/// Makes the kernel do something forbidden. Returns if nothing stopped it.
pub fn provoke(what: Provocation) {
    let code = provoke as fn(Provocation) as usize as u64;
    let data = (&raw const DATA_WORD).addr() as u64;
    match what {
        Provocation::Panic => panic!("provoked"),
        Provocation::WriteCode => write_word(code),
        Provocation::ExecuteData => execute(data),
        Provocation::NonMaskableInterrupt => {}
        Provocation::OverflowStack => {
            core::hint::black_box(recurse(u64::MAX));
        }
        Provocation::ReadUser => read_word(USER_ADDRESS),
        Provocation::ExecuteUser => execute(USER_ADDRESS),
        Provocation::ReadNull => read_word(0),
        Provocation::WriteReadOnlyData => write_word((&raw const READ_ONLY_WORD).addr() as u64),
        Provocation::ExecuteDirectMap => execute(alias_of(code)),
        Provocation::WriteCodeInDirectMap => write_word(alias_of(code)),
        Provocation::WriteReadOnlyDataInDirectMap => write_word(alias_of((&raw const READ_ONLY_WORD).addr() as u64)),
    }
}

/// Where something of the kernel's image appears in the direct map.
fn alias_of(address: u64) -> u64 {
    memory::direct_map(PhysAddr::new(paging::physical_address_of_image(address))).addr() as u64
}

/// A word in the kernel's data: the instruction `ret`, so that executing it would go unnoticed.
static mut DATA_WORD: u32 = 0xd65f_03c0;
/// A word in the kernel's read-only data.
static READ_ONLY_WORD: u32 = 0xd65f_03c0;

fn read_word(address: u64) {
    // SAFETY: none of Rust's memory: either the access faults, which ends the kernel, or its value is dropped.
    unsafe { core::hint::black_box((address as *const u32).read_volatile()) };
}

fn write_word(address: u64) {
    // SAFETY: the access faults, which ends the kernel; if it does not, it writes back what is there.
    unsafe { (address as *mut u32).write_volatile((address as *const u32).read_volatile()) };
}

fn execute(address: u64) {
    // SAFETY: the fetch faults, which ends the kernel; the places provoked hold `ret` or the kernel's own code.
    unsafe { asm!("blr {}", in(reg) address, clobber_abi("C")) };
}

#[inline(never)]
#[allow(unconditional_recursion, reason = "the guard page ends it")]
fn recurse(depth: u64) -> u64 {
    let kept = core::hint::black_box([depth; 8]);
    recurse(depth - 1) + kept[7]
}
