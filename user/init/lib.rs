//! The parts of `init` that others use as well, or that concern no kernel: what to run, how it ended, what it left
//! behind. But for the loader, the archive and names they are tested on hosts.

#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

pub mod archive;
pub mod figures;
pub mod loader;
pub mod names;
pub mod outcome;
pub mod plan;
