//! The kernel's shootdown handshake under a model checker: `kernel/cpu/handshake.rs` itself, compiled with loom's atomics,
//! and every interleaving and every reordering that the memory model allows of a few CPUs using it.
//!
//! And the free list of a program's heap, `user/rt/free_list.rs`, in the same way.
//!
//! [`world`] is what surrounds the handshake: translations, CPUs that hold them, a changer. The tests in `tests/`
//! say what happens, and what must not.

pub mod atomic;
/// Stands in for `kernel/base`.
pub mod base {
    pub use crate::{atomic, mutants};
}
#[path = "../../user/rt/free_list.rs"]
pub mod free_list;
#[path = "../../kernel/cpu/handshake.rs"]
pub mod handshake;
#[path = "../../kernel/base/mutants.rs"]
pub mod mutants;
pub mod world;
