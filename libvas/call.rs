//! From a [`Call`] to a `Result`: the layer between the typed interface and [`crate::raw`].

use crate::raw;
use tessera_abi::layout::Words;
use tessera_abi::{Call, Error};

/// Whether a call writes the caller's memory or sends a thread to an address: what safe code must not do freely.
const fn needs_promise(call: &Call) -> bool {
    matches!(
        call,
        Call::SpaceJump { .. }
            | Call::ThreadStart { .. }
            | Call::ThreadSetFallback { .. }
            | Call::ThreadInfo { .. }
            | Call::AccountInfo { .. }
            | Call::CapabilityInfo { .. }
            | Call::SegmentInfo { .. }
            | Call::SpaceInfo { .. }
            | Call::SubtreeInfo { .. }
            | Call::MappingsList { .. }
            | Call::MemoryRead { .. }
            | Call::Counters { .. }
            | Call::MachineInfo { .. }
            | Call::GateCreate { .. }
            | Call::GateInfo { .. }
            | Call::GateCall { .. }
            | Call::GateReturn { .. }
            | Call::InterruptedRead { .. }
            | Call::InterruptedWrite { .. }
    )
}

/// Performs a call that neither writes the caller's memory nor sends a thread anywhere.
///
/// # Errors
/// The call's own.
#[inline(always)]
pub(crate) fn perform(call: Call) -> Result<u64, Error> {
    assert!(!needs_promise(&call), "this call needs its caller's promise");
    // SAFETY: the assertion leaves only calls about which nothing is to promise.
    unsafe { perform_unchecked(call) }
}

/// Performs a call with at most one argument, as [`perform`] would, in the fewest instructions.
///
/// # Errors
/// The call's own.
#[inline(always)]
pub(crate) fn perform_short(call: Call) -> Result<u64, Error> {
    assert!(!needs_promise(&call), "this call needs its caller's promise");
    let (number, words) = call.encode();
    // SAFETY: the assertion leaves only calls about which nothing is to promise.
    let (status, value) = unsafe { raw::call_short(number, words[0]) };
    Error::from_status(status).map(|()| value)
}

/// Performs any call.
///
/// # Errors
/// The call's own.
///
/// # Safety
/// As for [`raw::call`].
#[inline(always)]
pub(crate) unsafe fn perform_unchecked(call: Call) -> Result<u64, Error> {
    let (number, words) = call.encode();
    // SAFETY: the caller's promise is the same.
    let (status, value) = unsafe { raw::call(number, words) };
    Error::from_status(status).map(|()| value)
}

/// Performs a call that fills in one structure, and returns that with the call's value.
///
/// `call` gets the address of a buffer that holds the structure and must pass no other address to be written.
///
/// # Errors
/// The call's own.
pub(crate) fn fill_in<T: Words>(call: impl FnOnce(u64) -> Call) -> Result<(T, u64), Error> {
    const WORDS: usize = <tessera_abi::layout::SpaceInfo as Words>::MAXIMUM;
    let mut words = [0; WORDS];
    let call = call(words.as_mut_ptr().expose_provenance() as u64);
    // SAFETY: the kernel writes the structure, at most MAXIMUM words long, to a buffer that is ours and that long.
    let value = unsafe { perform_unchecked(call) }?;
    Ok((T::read(&words), value))
}
