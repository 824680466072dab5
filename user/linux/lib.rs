//! The parts of `linux` that concern no kernel: numbers, structures and paths of Linux, programs made by hand, addresses, and
//! what is expected of programs. Tested on hosts.
//!
//! | file | has |
//! |---|---|
//! | `numbers`, `errno` | the system calls that are served, and what refuses them |
//! | `probe` | programs made by hand |
//! | `stack` | what a program finds when it starts |
//! | `regions` | which addresses are taken |
//! | `pipe` | bytes on their way from one program to another |
//! | `signals`, `frame` | what comes to a program unasked, and what its handlers find on the stack |
//! | `tree`, `records` | files by their paths; structures that programs are given |
//! | `words`, `expectations` | command lines, and what came of them elsewhere |

#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

pub mod errno;
pub mod expectations;
pub mod frame;
pub mod numbers;
pub mod pipe;
pub mod probe;
pub mod records;
pub mod regions;
pub mod signals;
pub mod stack;
pub mod tree;
pub mod words;
