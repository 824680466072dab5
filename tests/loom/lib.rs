//! The kernel's shootdown handshake under a model checker: `kernel/handshake.rs` itself, compiled with loom's atomics,
//! and every interleaving and every reordering that the memory model allows of a few CPUs using it.
//!
//! [`world`] is what surrounds the handshake: translations, CPUs that hold them, a changer. The tests in `tests/`
//! say what happens, and what must not.

pub mod atomic;
#[path = "../../kernel/handshake.rs"]
pub mod handshake;
#[path = "../../kernel/mutants.rs"]
pub mod mutants;
pub mod world;
