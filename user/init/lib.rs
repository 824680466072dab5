//! The parts of `init` that concern no kernel: what to run, and what an executable holds. Tested on hosts.

#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

pub mod image;
pub mod plan;
