//! Atomics, by a name that tests of the lock-free parts can give another meaning.
//!
//! `handshake` and `tags` use these alone, so that `tests/loom` compiles the very same files with a model
//! checker's atomics and explores every interleaving.

pub use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

/// Makes a function `const`, which statics need; a model checker's atomics cannot be made in constants.
macro_rules! const_unless_modelled {
    ($(#[$attribute:meta])* pub fn $($rest:tt)*) => { $(#[$attribute])* pub const fn $($rest)* };
}

pub(crate) use const_unless_modelled;
