//! What goes when nothing refers to it, and the check of everything against everything.

pub mod check;
pub mod check_cpus;
mod destroy;
pub mod reap;
pub mod tally;
