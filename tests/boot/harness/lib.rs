//! What the boot tests share.

#![no_std]

use libvas::layout::program::{IMAGE, SCRATCH};
use libvas::layout::{MachineInfo, Provocation};
use libvas::thread::Builder;
use libvas::{Error, counters, program};
use rt::println;

/// Runs a thread on each CPU; then every check of the kernel's over its own state.
///
/// # Errors
/// What these fail with.
pub fn works_on() -> Result<(), Error> {
    for cpu in 0..counters::cpus()? {
        Builder::new().cpus(1 << cpu).spawn(|| ())?.join()?;
    }
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("{facts} facts hold afterwards");
    Ok(())
}

/// Makes the kernel do something forbidden; gives the program's exit code for when nothing stopped it.
pub fn provoke(what: Provocation) -> u8 {
    let result = program().machine().ok_or(Error::MissingRight).and_then(|machine| machine.provoke(what));
    println!("the kernel survived {what:?}: {result:?}");
    1
}

/// Does something that counts, until whatever is kept for reuse is there, and twice more; gives the count.
///
/// # Errors
/// What the work fails with; `BadState` if it left anything behind or did not come as far later on.
pub fn comes_back(what: &str, work: impl Fn() -> Result<u64, Error>) -> Result<u64, Error> {
    let warm = reach_furthest(&work)?;
    let before = state()?;
    let (first, second, after) = (work()?, work()?, state()?);
    println!("{what}: {first}, and again {second}");
    if first >= warm && second >= first && before == after {
        return Ok(first);
    }
    println!("before: {before:?}\nafter: {after:?}");
    Err(Error::BadState)
}

/// Does something until it comes no further than the time before: what the kernel keeps for reuse, as the directories of its
/// objects, need not be taken anew, so that there is room for more of them, and for those it keeps directories too.
fn reach_furthest(work: &impl Fn() -> Result<u64, Error>) -> Result<u64, Error> {
    let mut reached = work()?;
    for _ in 0..ROUNDS_MAX {
        let next = work()?;
        if next == reached {
            return Ok(reached);
        }
        reached = next;
    }
    Err(Error::LimitReached)
}

/// So often at most it comes further.
const ROUNDS_MAX: usize = 4;

/// What must be the same before and after: objects, what they cost, and the program's account.
///
/// What the kernel heap has taken it keeps for itself, so it counts as free.
fn state() -> Result<(MachineInfo, u64), Error> {
    let info = program().machine().ok_or(Error::MissingRight)?.info()?;
    let free_bytes = info.free_bytes + info.heap_held_bytes;
    Ok((MachineInfo { free_bytes, heap_held_bytes: 0, ..info }, program().account().info()?.used_bytes))
}

/// Addresses of the kernel's half, those of both architectures: none of them is ever a program's.
const KERNEL_ADDRESSES: [u64; 12] = [
    0xffff_8000_0000_0000,
    0xffff_8000_0010_0000,
    0xffff_8000_fee0_0000,
    0xffff_0000_0000_0000,
    0xffff_0000_0800_0000,
    0xffff_0000_4000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_8000_1000,
    0xffff_ffff_c000_0000,
    0xffff_ffff_ffff_e000,
    0xffff_ffff_ffff_f000,
    0xffff_ffff_ffff_fff8,
];

/// Lets a thread touch each of a number of kernel addresses.
///
/// # Errors
/// `BadState` if one of them did not end in a fault.
pub fn every_kernel_address_faults(touch: fn(u64)) -> Result<(), Error> {
    for address in KERNEL_ADDRESSES {
        let result = Builder::new().name("prober").spawn(move || touch(address))?.join();
        if result != Err(Error::Faulted) {
            println!("touching {address:#x} gave {result:?}");
            return Err(Error::BadState);
        }
    }
    Ok(())
}

/// Reads a byte from an address where nothing of the program is.
pub fn peek(address: u64) {
    ensure_foreign(address);
    let pointer: *const u8 = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: no Rust object is there; where nothing may be read, the thread faults.
    core::hint::black_box(unsafe { pointer.read_volatile() });
}

/// Writes a byte to an address where nothing of the program is.
pub fn poke(address: u64) {
    ensure_foreign(address);
    let pointer: *mut u8 = core::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: as in `peek`; no Rust object can change by this.
    unsafe { pointer.write_volatile(0) };
}

/// Goes on at an address where nothing of the program is.
pub fn run_at(address: u64) {
    ensure_foreign(address);
    let pointer: *const () = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: only called with addresses of the kernel, where the thread faults. If it does not, the test is lost
    // in any case.
    let function = unsafe { core::mem::transmute::<*const (), extern "C" fn()>(pointer) };
    function();
}

fn ensure_foreign(address: u64) {
    assert!(!(IMAGE..SCRATCH).contains(&address), "{address:#x} belongs to the program itself");
}
