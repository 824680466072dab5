//! The TLB plugin: tells the model and the checker of `tlb_model` what a guest in QEMU does.
//!
//! | file | what |
//! |---|---|
//! | `ffi` | QEMU's interface |
//! | `arguments`, `output` | what `-plugin` says behind the file's name; the lines of the output file |
//! | `translate` | at translation: which instructions are watched |
//! | `registers`, `memory` | reading the guest; page tables are read once, until they are stored to |
//! | `stretches` | instead, with `stretches=on`: how long the kernel works in one go |
//! | `state`, `privileged` | at execution: accesses; instructions that change translations, and markers |
//!
//! QEMU must run its CPUs in one thread (`-accel tcg,thread=single`, or `-icount`): then what one CPU does is seen before what
//! the next one does, and the lock here is never waited for.

#![deny(unsafe_code)]

mod arguments;
#[allow(unsafe_code, reason = "QEMU's interface")]
mod ffi;
#[allow(unsafe_code, reason = "the guest's memory")]
mod memory;
mod output;
mod privileged;
#[allow(unsafe_code, reason = "the guest's registers")]
mod registers;
mod state;
#[allow(unsafe_code, reason = "QEMU's callbacks")]
mod stretches;
#[allow(unsafe_code, reason = "QEMU's callbacks")]
mod translate;
