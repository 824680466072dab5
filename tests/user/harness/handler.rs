//! Threads with handlers, and handlers that decide so and so.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use libvas::handler::{Asks, Decide, Deciding};
use libvas::thread::{self, JoinHandle};
use libvas::{Cap, Error, Gate, Rights};

use crate::{Service, nap};

/// Names a handler that decides so; wants `libvas::handler::{Decide, Decision, Upcall}` in scope.
#[macro_export]
macro_rules! decides {
    ($name:ident, |$badge:pat_param, $upcall:ident| $body:expr) => {
        struct $name;
        impl Decide for $name {
            fn decide($badge: u64, $upcall: Upcall) -> Decision {
                $body
            }
        }
    };
}

/// A service with so many stacks whose gate is such a handler.
///
/// # Errors
/// Those of making its parts.
pub fn handler<D: Decide>(stacks: u64) -> Result<Service, Error> {
    Service::new::<Deciding<D>>(stacks)
}

/// A thread's handler is asked of faults.
pub const FAULTS: Asks = Asks { faults: true, calls: false, returns: false };

/// It is asked of calls.
pub const CALLS: Asks = Asks { faults: false, calls: true, returns: false };

/// A thread that has a handler, and then does this, told its own handle.
///
/// # Errors
/// Those of making it.
pub fn with_handler<T: Send + 'static>(
    gate: &Cap<Gate>,
    asks: Asks,
    body: impl FnOnce(u64) -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    with_handler_by(gate, Rights::all(), asks, body)
}

/// The same, set by a capability to the thread with these rights.
///
/// # Errors
/// Likewise.
pub fn with_handler_by<T: Send + 'static>(
    gate: &Cap<Gate>,
    rights: Rights,
    asks: Asks,
    body: impl FnOnce(u64) -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    let told = Arc::new(AtomicU64::new(0));
    let own = Arc::clone(&told);
    let thread = thread::spawn(move || {
        while own.load(SeqCst) == 0 {
            nap();
        }
        body(own.load(SeqCst))
    })?;
    let weak = thread.thread().derive(rights, 0)?;
    // SAFETY: the handlers here do nothing that a claim's thread does not expect.
    unsafe { weak.set_handler(gate, asks) }?;
    told.store(thread.thread().handle().bits(), SeqCst);
    Ok(thread)
}
