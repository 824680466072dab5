//! A model of a CPU's translation caches: what a machine keeps of its page tables, and what that costs. Beside it, what the
//! kernel does in one go ([`stretches`]).
//!
//! Pure: it knows no emulator. Who drives it (the plugin, a test, the experiment of `docs/sasid.md`) reports accesses, root
//! writes and invalidations, and walks the page tables when asked to.

#![forbid(unsafe_code)]

pub mod checker;
pub mod decode;
pub mod model;
pub mod stretches;
pub mod synthetic;
pub mod walk;
