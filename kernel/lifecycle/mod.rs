//! What goes when nothing refers to it, and the check of everything against everything.

pub mod check;
pub mod check_cpus;
pub mod check_lists;
mod destroy;
pub mod end_account;
pub mod reap;
pub mod relatives;
pub mod revoke;
pub mod tally;
