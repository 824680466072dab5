//! What goes when nothing refers to it, and the check of everything against everything.

pub mod check;
mod destroy;
pub mod end_account;
pub mod reap;
pub mod relatives;
pub mod revoke;
