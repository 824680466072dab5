//! Loom's atomics under the names that `kernel/base/atomic.rs` and `user/rt/atomic.rs` give.

use std::cell::Cell;

pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

/// Loom's atomics are not made in constants, so this makes nothing `const`.
macro_rules! const_unless_modelled {
    ($($function:tt)*) => { $($function)* };
}

pub(crate) use const_unless_modelled;

std::thread_local! {
    static IS_UNCOUNTED: Cell<bool> = const { Cell::new(false) };
}

/// How far a free list's count goes on when a block is put on it.
pub fn count_step() -> u64 {
    u64::from(!IS_UNCOUNTED.get())
}

/// Lets the free lists of the calling test thread count, or not.
pub fn set_uncounted(is_uncounted: bool) {
    IS_UNCOUNTED.set(is_uncounted);
}
