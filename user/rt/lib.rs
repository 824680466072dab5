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

/// Prints to the console, at once.
///
/// What one `print!` or [`println!`] formats comes out in one piece if it has at most 512 bytes, and a longer text in
/// pieces that end with a line where they can; pieces of several threads are not torn, and do not mix. Between two
/// `print!` others may print: whoever puts a line together from several had better format it first.
///
/// No lock is held meanwhile, so a `Display` or `Debug` among the arguments may do what it likes: print, panic,
/// fault, or be stopped. What was formatted until it ended its thread is then not printed.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::print_formatted(::core::format_args!($($argument)*)) };
}

/// Prints to the console, with a line end; see [`print!`].
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::print!("{}\n", ::core::format_args!($($argument)*)) };
}
