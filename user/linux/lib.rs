//! A supervisor that runs Linux programs, and what it knows of Linux.
//!
//! These parts do it:
//!
//! | file | has |
//! |---|---|
//! | `run` | a command, from its first instruction to the end of the last process that came of it |
//! | `world`, `process` | processes and their threads |
//! | `relations` | who is told of what |
//! | `schedule` | whose turn it is |
//! | `calls` | the system calls |
//! | `delivery` | signals on their way to a process |
//! | `memory`, `image` | what a process has in memory, and what it begins with |
//! | `files`, `output` | what it has open, and where its output goes |
//!
//! These concern no kernel, and are tested on hosts:
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

pub mod calls;
mod delivery;
pub mod errno;
pub mod expectations;
mod files;
pub mod frame;
pub mod image;
pub mod memory;
pub mod numbers;
pub mod output;
pub mod pipe;
pub mod probe;
pub mod process;
pub mod records;
pub mod regions;
mod relations;
pub mod run;
mod schedule;
pub mod signals;
pub mod stack;
pub mod tree;
pub mod words;
pub mod world;
