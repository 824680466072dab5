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
use tessera_arch::fake::oracle;
use tessera_kernel::Kernel;

/// The first breach of a rule since the last call, in words: of the fake machine's, or a translation that a CPU may use and no
/// record bears out.
pub fn find_breach(kernel: &Kernel, cpus: usize) -> Option<String> {
    oracle::check();
    oracle::take_breach().or_else(|| (0..cpus).find_map(|cpu| truth::find_lie(kernel, cpu)))
}
