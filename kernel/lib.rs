//! The Tessera kernel: spaces as objects, held by capability.
//!
//! The kernel is a house with rooms, a folder each. Up to [`object`] are values that do not know `Kernel`; [`state`] holds
//! it; above are operations on it, as free functions. Imports go down only, which `./x.py check` enforces
//! (`tests/tidy/rooms.rs`); a file's imports say what it may touch.
//!
//! | floor | room | what it holds |
//! |---|---|---|
//! | 9 | [`entry`] | traps, what the architecture calls, the boot list, options, the first program |
//! | 8 | [`bench`] | benchmarks of the bare mechanism, run at boot where the option asks for them |
//! | 8 | [`syscall`] | decoding system calls: one file for each kind of object |
//! | 7 | [`lifecycle`] | what goes when nothing refers to it; the check of everything |
//! | 5 | [`vm`] | what spaces show: mapping, attaching, views, public subtrees, memory of user programs |
//! | 4 | [`tlb`] | invalidation as a duty: who sees a change, how they are told |
//! | 4 | [`sched`] | who runs: entering a space, making ready, changing threads; how threads come and go |
//! | 3 | [`state`] | `Kernel`: all state together; references, charges, capabilities, the queues of the scheduler |
//! | 2 | [`object`] | the kernel objects, one file each; their names, stores, derivations, reverse maps |
//! | 1 | [`paging`] | page tables, large pages, entries that show a shared table; looking pages up |
//! | 1 | [`cpu`] | everything touched without the lock: each CPU's words, tags, the handshake, the switch |
//! | 1 | [`mem`] | page frames and the kernel heap |
//! | 0 | [`base`] | locks, atomics, console and log, counters, bugs that tests put in |
//!
//! Five rules:
//! 1. A call is decoded and checked in full before it changes anything; what is performed cannot be refused.
//! 2. All state is behind one lock, but for what `cpu` holds.
//! 3. Changing a live translation gives a `Flush`; frames are free only after it was executed.
//! 4. Everything that a program can make grow is charged to an account before it grows.
//! 5. No architecture's name or register appears here.

#![cfg_attr(target_os = "none", no_std)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod base;
pub mod bench;
pub mod cpu;
pub mod entry;
pub mod lifecycle;
#[cfg_attr(target_os = "none", expect(unsafe_code, reason = "the heap, and the memory it is given"))]
pub mod mem;
pub mod object;
pub mod paging;
pub mod sched;
pub mod state;
pub mod syscall;
pub mod tlb;
pub mod vm;

pub use state::kernel::Kernel;
