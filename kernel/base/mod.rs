//! What everything else stands on: locks and atomics, the console and what is said on it, counters, and the bugs that
//! tests put in. It knows nothing of the kernel above it.

pub mod atomic;
pub mod console;
pub mod counters;
pub mod cpu_set;
pub mod effort;
pub mod log;
pub mod mutants;
pub mod plain_text;
pub mod steps;
pub mod sync;
