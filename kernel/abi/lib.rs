//! The ABI between the kernel and user programs.
//!
//! Everything that crosses the system-call boundary is defined here, once, and used by both sides:
//! the table of calls (`calls`, `further_calls`) and what is made of it ([`syscall`]), what stands as an [`argument`], the kinds of object
//! ([`object`]), what a handle is ([`handle`]) and permits ([`rights`]), how a call fails ([`error`]), the structures a call fills in
//! ([`layout`]), a guest's page of state ([`guest`]), what a handler is told and answers ([`upcall`]) and what a text may hold
//! ([`text`]).
//!
//! A call takes a number and up to six 64-bit arguments and returns a status (0, or an
//! [`Error`] number) and a 64-bit value. `libvas/raw.rs` says which registers carry them.

#![no_std]
#![forbid(unsafe_code)]

pub mod argument;
#[macro_use]
mod calls;
pub mod error;
#[macro_use]
mod further_calls;
pub mod guest;
pub mod handle;
pub mod layout;
pub mod object;
pub mod rights;
pub mod syscall;
pub mod text;
pub mod upcall;

pub use error::Error;
pub use handle::Handle;
pub use object::ObjectKind;
pub use rights::Rights;
pub use syscall::Call;

/// Bytes in the smallest page, the unit of every mapping.
pub const PAGE_BYTES: u64 = 4096;

/// Bytes translated by one top-level entry of a space: 512 GiB on both architectures.
pub const TOP_SLOT_BYTES: u64 = 1 << 39;

/// Top-level entries that a space offers to user programs.
///
/// x86_64 keeps the upper 256 entries of the root table for the kernel; aarch64 has a second root for
/// that, but offers the same 256 so that programs see one layout.
pub const TOP_SLOTS: usize = 256;

/// First address that no mapping may reach.
///
/// One page below the end of the lower half: x86_64 `sysret` faults in the kernel when it returns to the
/// first non-canonical address, which a `syscall` in the very last page could ask for
/// (Intel SDM volume 2, SYSRET).
pub const USER_END: u64 = (TOP_SLOTS as u64) * TOP_SLOT_BYTES - PAGE_BYTES;

/// First address that a mapping may use; below lies the page that catches null pointers.
pub const USER_START: u64 = PAGE_BYTES;

/// The longest name an object can carry, in bytes.
pub const NAME_BYTES: usize = 32;

/// Priorities run from 0 (runs when nothing else can) to this value.
pub const PRIORITY_MAX: u8 = 31;
