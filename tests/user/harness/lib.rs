//! What the conformance programs share.
//!
//! Each program of this package checks claims about one object of the kernel's interface. A claim is a function
//! without arguments, with one sentence of documentation that says what it claims; it gives a [`Verdict`].
//!
//! | module | gives |
//! |---|---|
//! | `failure` | [`Verdict`], [`ensure!`], [`ensure_eq!`], [`refused`] |
//! | `suite` | [`run`], [`claim!`]: each claim in a thread of its own, and the lines that `x.py test` reads |
//! | `attempt` | [`attempt()`]: any system call by number, valid or not |
//! | `fixture` | [`Fixture`]: one object of each kind, and valid arguments for every call |
//! | `room` | [`Room`]: memory to play with, outside of what Rust knows of |
//! | `target` | [`Target`], [`all_have_faulted`]: readers on other CPUs of what is taken away |
//! | `touch` | [`peek`], [`poke`], [`run_at`], [`ends_in_fault`], [`reach`]: accesses that may be refused |
//! | `routine` | [`Routine`]: machine code that a claim brings along |
//! | `landing` | [`SpareStack`] and what sends threads to bare functions |
//! | `wait` | [`wait_until`], [`wait_for_state`] |
//! | `cpus` | [`on_cpu`], [`needs_cpus`], [`Spinner`]: claims about several CPUs |
//! | `census` | [`Census`], [`Snapshot`], [`leaves_nothing`]: what exists, to be compared before and after |
//! | [`cloned`] | spaces to be cloned, and what is in them |
//! | [`locked`] | spaces with lockable segments, and threads in them |
//! | `service` | [`Service`], [`serves!`], [`caller`]: services behind gates, and threads that call them |
//! | `guest` | [`GuestScene`]: a guest with its code in a space of its own |
//! | `naming` | [`Naming`]: a name service with clients |
//! | `shared` | [`Shared`], [`Published`]: subtrees of every level, and [`spot`], where they go |

#![no_std]

extern crate alloc;

mod attempt;
mod census;
pub mod cloned;
mod cpus;
mod failure;
mod fixture;
mod guest;
mod handler;
mod landing;
pub mod locked;
mod naming;
mod random;
mod room;
mod routine;
mod service;
mod shared;
mod suite;
mod target;
mod touch;
mod wait;

pub use attempt::{argument_named, attempt, takes};
pub use census::{Census, Snapshot, leaves_nothing};
pub use cpus::{
    NEW, OLD, Spinner, counted, has_faulted, interrupts_for, needs_cpus, on_cpu, running_cpus, turns_of_each,
};
pub use failure::{Failure, Verdict, refused};
pub use fixture::{Fixture, NEEDS, Need};
pub use guest::{
    GUEST_CALLS, GUEST_CODE, GUEST_DATA, GUEST_LAZY, GUEST_LOADS, GUEST_NOTHING, GUEST_STORES, GuestCode, GuestScene,
};
pub use handler::{CALLS, FAULTS, handler, with_handler, with_handler_by};
pub use landing::{SpareStack, jump_to, set_fallback, start_at, start_on};
pub use naming::{Naming, page};
pub use random::Random;
pub use room::{KERNEL_ADDRESSES, Room, UNMAPPED, fresh_address};
pub use routine::Routine;
pub use service::{Call, STACK_BYTES, Service, caller, caller_by, gate_into, lent, nap};
pub use shared::{LEVELS, Published, Shared, public_machine, reach_page, spot, word_at};
pub use suite::{CLAIM_PRIORITY, Claim, run, run_on, the_kernel_passes_its_own_checks};
pub use target::{Target, all_have_faulted};
pub use touch::{Code, ends_in_fault, peek, poke, reach, run_at, value_at};
pub use wait::{LIMIT, wait_for_state, wait_until};

/// The pieces that `ensure!` needs wherever it is used.
#[doc(hidden)]
pub use alloc::format as format_text;
