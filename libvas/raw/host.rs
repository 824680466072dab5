//! What stands for the calls on a host.

use std::cell::Cell;
use tessera_abi::Error;

/// A function that answers system calls on a host: number and argument words to status and value.
pub type HostKernel = fn(u64, [u64; 6]) -> (u64, u64);

std::thread_local! {
    static HOST_KERNEL: Cell<Option<HostKernel>> = const { Cell::new(None) };
}

/// Names the function that answers this host thread's system calls; `None` answers all with `BadCall`.
pub fn set_host_kernel(kernel: Option<HostKernel>) {
    HOST_KERNEL.set(kernel);
}

/// Makes a system call; returns status and value.
///
/// # Safety
/// 1. Where the call fills in a buffer, the caller owns that memory and it may take any bytes.
/// 2. Where the call moves a thread (jump, start, fallback), the goal is code that may run there.
pub unsafe fn call(number: u64, arguments: [u64; 6]) -> (u64, u64) {
    match HOST_KERNEL.get() {
        Some(kernel) => kernel(number, arguments),
        None => (Error::BadCall.status(), 0),
    }
}

/// [`call`] with one argument at most.
///
/// # Safety
/// As [`call`].
pub unsafe fn call_short(number: u64, argument: u64) -> (u64, u64) {
    // SAFETY: the caller's promise is the same.
    unsafe { call(number, [argument, 0, 0, 0, 0, 0]) }
}

/// Calls a gate: a host has none.
pub(crate) fn gate_call(_arguments: [u64; 4], _words: &[std::sync::atomic::AtomicU64; 6]) -> (u64, u64) {
    (Error::BadCall.status(), 0)
}

/// The same.
pub fn gate_call_short(_gate: u64, words: [u64; 2]) -> (u64, [u64; 2]) {
    (Error::BadCall.status(), words)
}

/// No gate leads here.
///
/// # Safety
/// None is needed.
pub unsafe extern "C" fn gate_entry<S: crate::gate::Serve>() {
    let _ = crate::gate::served::<S>;
}

/// The same.
///
/// # Safety
/// None is needed.
pub unsafe extern "C" fn gate_entry_short<S: crate::gate::ServeShort>() {
    let _ = crate::gate::served_short::<S>;
}

/// A host offers no counter that means anything here: always 0.
pub fn ticks() -> u64 {
    0
}

/// Nothing is measured on a host.
pub fn cycles() -> u64 {
    0
}

/// Lets other threads of the host go first.
pub fn relax() {
    core::hint::spin_loop();
}

/// Nobody watches on a host.
pub fn mark<const CODE: u8>() {}

/// Nothing is run on a host.
pub fn synchronize_fetches() {}

/// Nothing is run on a host.
pub fn publish_code(_start: u64, _end: u64) {}

/// The registers of a host are its own.
#[derive(Clone, Debug)]
pub struct ExtraRegisters;

impl ExtraRegisters {
    /// What a new thread finds.
    pub const FIRST: ExtraRegisters = ExtraRegisters;

    /// Nothing is written.
    pub fn save(to: &mut std::mem::MaybeUninit<ExtraRegisters>) -> &mut ExtraRegisters {
        to.write(ExtraRegisters)
    }

    /// Nothing is loaded.
    pub fn load(&self) {}

    /// Nothing is changed.
    pub fn reset_control() {}

    /// Nobody asks.
    pub fn are_vectors_used() -> bool {
        true
    }

    /// There are none.
    pub fn pointers() -> [u64; 2] {
        [0; 2]
    }

    /// Nothing is set.
    pub fn set_pointers(_pointers: [u64; 2]) {}
}
