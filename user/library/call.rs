//! Calling a function that only some spaces have.

use crate::shelf;

/// Calls the library's function, in the space that the thread is in. Where it may not be executed, or is not there,
/// the thread is stopped.
pub(crate) fn price(amount: u64) -> u64 {
    let pointer: *const () = core::ptr::with_exposed_provenance(shelf::address_of(shelf::CODE) as usize);
    // SAFETY: nothing is ever mapped there but the library, whose first bytes are this function, in one version or the
    // other: it takes and returns a word, and touches no memory but the library's own data. Where the space's entry,
    // the mapping or the lack of one forbids it, the thread faults and goes no further.
    let function = unsafe { core::mem::transmute::<*const (), extern "C" fn(u64) -> u64>(pointer) };
    function(amount)
}
