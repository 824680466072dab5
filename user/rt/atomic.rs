//! Atomics, by a name that tests of the heap can give another meaning.
//!
//! `blocks` and `free_list` use these alone. The tests of this crate stop a thread before each single use of one, and
//! `tests/loom` compiles the free list with a model checker's atomics.

#[cfg(test)]
pub(crate) use crate::steps::{AtomicU32, AtomicU64};
#[cfg(not(test))]
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64};

pub(crate) use core::sync::atomic::Ordering;

/// How far a free list's count goes on when a block is put on it. A test without it shows what it is for.
pub(crate) const fn count_step() -> u64 {
    1
}

/// Makes a function `const`, which statics need; a model checker's atomics cannot be made in constants.
macro_rules! const_unless_modelled {
    ($(#[$attribute:meta])* pub fn $($rest:tt)*) => { $(#[$attribute])* pub const fn $($rest)* };
}

pub(crate) use const_unless_modelled;
