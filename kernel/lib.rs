//! The Tessera kernel: spaces as objects, held by capability.
//!
//! The listing of this folder is the object model: [`account`], [`space`], [`subtree`], [`segment`],
//! [`thread`], [`cap_table`], one file each. Around them:
//!
//! | module | what it is about |
//! |---|---|
//! | [`kernel`] | all state together; references, and what goes when nothing refers to it |
//! | [`object`], [`store`], [`derivation`] | naming objects, keeping them, deriving capabilities |
//! | [`address_map`], [`page_table`], [`large_page`] | what is mapped where; the tables that tell the hardware |
//! | [`address_space`] | operations across space, subtree, segment and account |
//! | [`attachment`], [`attached`], [`sharers`] | attaching subtrees, on every CPU or on one; the entry; the places |
//! | [`view`], [`public`] | spaces that show another within bounds; subtrees that every space shows |
//! | [`flush`], [`broadcast`] | invalidation as a duty, where CPUs are interrupted and where the hardware reaches all |
//! | [`audience`] | who sees a change, and where |
//! | [`handshake`], [`tags`] | how CPUs reach each other for it; hardware TLB tags |
//! | [`sync`], [`atomic`] | the big lock and the ranks of locks; atomics, as tests may replace them |
//! | [`fast`], [`shared`] | the switch path without a lock, and what it reads |
//! | [`fast_attach`] | attaching and detaching at a top-level entry, decoded faster |
//! | [`running`], [`ending`], [`scheduler`] | who runs; how threads come and go; who is next |
//! | [`list`], [`agenda`] | queues that run through the threads themselves: by who came first, by who is due first |
//! | [`trap`], [`syscall`], [`user_memory`], [`user_copy`] | coming in from user mode |
//! | [`boot`], [`options`], [`program`] | the steps of the boot list; boot options; the first program |
//! | [`upcalls`], [`mem`] | what the architecture calls; frames and heap |
//! | [`check`], [`check_cpus`], [`tally`] | self-checks: records, what CPUs read without the lock; what is counted anew |
//! | [`counters`] | figures |
//! | [`console`], [`plain_text`], [`log`] | what waits for the serial line; programs' text; the kernel's lines |
//! | [`mutants`], [`steps`] | bugs that tests put in, to see whether they are found; how often loops went round |
//!
//! Five rules:
//! 1. A call is decoded and checked in full before it changes anything; what is performed cannot be refused.
//! 2. All state is behind one lock, but for what `shared` holds.
//! 3. Changing a live translation gives a `Flush`; frames are free only after it was discharged.
//! 4. Everything that a program can make grow is charged to an account before it grows.
//! 5. No architecture's name or register appears here.

#![cfg_attr(target_os = "none", no_std)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod base;
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
