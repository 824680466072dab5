//! What every program needs before and around its `main`.
//!
//! ```no_run
//! # /*
//! #![no_std]
//! #![no_main]
//! # */
//! rt::main!(start);
//!
//! fn start() {
//!     rt::println!("hello, {}", libvas::program().arguments());
//! }
//! ```
//!
//! | file | gives |
//! |---|---|
//! | `entry` | `_start`, [`main!`], exit codes ([`Outcome`]) |
//! | `panic` | the panic handler: one line, then the thread ends with [`PANIC_CODE`] |
//! | `heap` | the global allocator, so that `alloc` works |
//! | `blocks`, `free_list` | which part of the heap is whose, without a lock |
//! | `atomic` | the atomics that they use, which tests replace: `steps` |
//! | `print` | [`print!`], [`println!`] |
//! | `program.ld` | where the parts of a program lie in memory |
//!
//! On a host this crate gives the same names over the standard library, so that programs can be checked there.

#![cfg_attr(target_os = "none", no_std)]

#[cfg(any(target_os = "none", test))]
mod atomic;
#[cfg(any(target_os = "none", test))]
mod blocks;
mod entry;
#[cfg(any(target_os = "none", test))]
#[expect(unreachable_pub, reason = "`tests/loom` has the same file as a module that it shows to its tests")]
mod free_list;
#[cfg(target_os = "none")]
mod heap;
#[cfg(target_os = "none")]
mod panic;
mod print;
#[cfg(test)]
mod steps;

pub use entry::Outcome;
pub use libvas;
pub use print::print_formatted;

/// The exit code of a thread that panicked.
pub const PANIC_CODE: u8 = 101;

/// Prints to the console; whole lines, so that those of several threads do not mix.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::print_formatted(::core::format_args!($($argument)*)) };
}

/// Prints to the console, with a line end.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::print!("{}\n", ::core::format_args!($($argument)*)) };
}
