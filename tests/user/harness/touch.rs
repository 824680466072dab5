//! Accesses to memory that may be refused, and what becomes of a thread that makes one.

use crate::Failure;
use libvas::layout::program::{IMAGE, SCRATCH};
use libvas::{Cap, Enterable, Error, Rights, raw, thread};

/// Reads a byte wherever it is.
///
/// # Panics
/// If something of the program itself is there.
pub fn peek(address: u64) -> u8 {
    ensure_foreign(address);
    let pointer: *const u8 = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: no Rust object is there. A byte is always aligned; where nothing may be read, the thread faults.
    unsafe { pointer.read_volatile() }
}

/// Writes a byte wherever it is.
///
/// # Panics
/// If something of the program itself is there.
pub fn poke(address: u64, value: u8) {
    ensure_foreign(address);
    let pointer: *mut u8 = core::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: as in `peek`; no Rust object can change by this.
    unsafe { pointer.write_volatile(value) };
}

/// Calls a function without arguments, wherever it is. Where there may be code it is [`Code`].
///
/// # Panics
/// If something of the program itself is there.
pub fn run_at(address: u64) {
    ensure_foreign(address);
    let pointer: *const () = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: where execution is not allowed the thread faults. Where it is, a claim has put one of `Code` there,
    // which returns at once or faults, and changes no register that a function must keep.
    let function = unsafe { core::mem::transmute::<*const (), extern "C" fn()>(pointer) };
    function();
}

/// Calls a function that takes nothing and gives a number, wherever it is. Where there may be code, it is such a function.
///
/// # Panics
/// If something of the program itself is there.
pub fn value_at(address: u64) -> u64 {
    ensure_foreign(address);
    let pointer: *const () = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: as in `run_at`; the claim that calls this has put a function there that keeps to the ABI.
    let function = unsafe { core::mem::transmute::<*const (), extern "C" fn() -> u64>(pointer) };
    function()
}

fn ensure_foreign(address: u64) {
    assert!(!(IMAGE..SCRATCH).contains(&address), "{address:#x} belongs to the program itself");
}

/// A few bytes of machine code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Returns to the caller.
    Return,
    /// An instruction that does not exist.
    Undefined,
    /// An instruction that only the kernel may use.
    Privileged,
    /// An instruction that calls a debugger.
    Breakpoint,
}

impl Code {
    /// The bytes, for the processor that this program was built for.
    ///
    /// x86_64 (SDM volume 2): `ret`, `ud2`, `hlt`, `int3`. aarch64 (DDI 0487, C6.2 and C5.3): `ret`, `udf #0`,
    /// `mrs x0, sctlr_el1`, `brk #0`.
    pub fn bytes(self) -> [u8; 4] {
        const X86_64: u16 = 62;
        let is_x86_64 = raw::ELF_MACHINE == X86_64;
        match self {
            Code::Return if is_x86_64 => [0xc3; 4],
            Code::Return => 0xd65f_03c0_u32.to_le_bytes(),
            Code::Undefined if is_x86_64 => [0x0f, 0x0b, 0x0f, 0x0b],
            Code::Undefined => 0_u32.to_le_bytes(),
            Code::Privileged if is_x86_64 => [0xf4, 0xc3, 0xc3, 0xc3],
            Code::Privileged => 0xd538_1000_u32.to_le_bytes(),
            Code::Breakpoint if is_x86_64 => [0xcc, 0xc3, 0xc3, 0xc3],
            Code::Breakpoint => 0xd420_0000_u32.to_le_bytes(),
        }
    }
}

/// Runs a closure in a thread of its own that starts in `space`; says whether that thread was stopped by a fault.
///
/// # Errors
/// A failure if the thread could not start or ended in a third way.
#[track_caller]
pub fn ends_in_fault<T, F>(space: &Cap<impl Enterable>, body: F) -> Result<bool, Failure>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match thread::spawn_in(space, body)?.join() {
        Ok(_) => Ok(false),
        Err(Error::Faulted) => Ok(true),
        Err(other) => Err(other.into()),
    }
}

/// What a space lets threads do at an address, found out by trying: the rights whose use is not answered with a fault.
/// If something is there it is [`Code::Return`], and it stays as it is. Where reading faults, the rest is not tried: no
/// page table of either architecture lets write what cannot be read, and the kernel makes nothing execute-only.
///
/// # Errors
/// As [`ends_in_fault`].
#[track_caller]
pub fn reach(space: &Cap<impl Enterable>, address: u64) -> Result<Rights, Failure> {
    if ends_in_fault(space, move || peek(address))? {
        return Ok(Rights::empty());
    }
    let mut rights = Rights::READ;
    rights.set(Rights::WRITE, !ends_in_fault(space, move || poke(address, Code::Return.bytes()[0]))?);
    rights.set(Rights::EXECUTE, !ends_in_fault(space, move || run_at(address))?);
    Ok(rights)
}
