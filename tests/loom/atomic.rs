//! Loom's atomics under the names that `kernel/atomic.rs` gives.

pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

/// Loom's atomics are not made in constants, so this makes nothing `const`.
macro_rules! const_unless_modelled {
    ($($function:tt)*) => { $($function)* };
}

pub(crate) use const_unless_modelled;
