//! What the boot stubs share: everything that is the same on both architectures. `README.md` tells more.

#![cfg_attr(target_os = "none", no_std)]

pub mod archive;
pub mod kernel;
pub mod memory;
pub mod respond;
pub mod tables;

/// What went wrong, for people.
pub type Failure = &'static str;
