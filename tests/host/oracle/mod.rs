//! The TLB oracle at work: random operations on several CPUs of the fake machine, each of which could hold the
//! worst (`tessera_arch::fake::oracle`).
//!
//! A [`Run`] is a machine and a list of operations, and can be repeated; [`Run::play`] gives the first breach of a
//! rule in words. A CPU that is interrupted may switch spaces by the fast path just before.

mod actions;
mod exhaustive;
mod lives;
mod operation;
mod prelude;
mod scene;
mod truth;

pub use exhaustive::play_all_sequences;
pub use operation::{Run, run};
