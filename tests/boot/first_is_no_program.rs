//! A first program that cannot be started is one line that says why, and an end as failed: no panic.
//! boot: options=first=cmdline expect-exit=122 expect-output="the first program, `cmdline`: it is no ELF file"

#![no_std]
#![no_main]

rt::main!(main);

/// Not reached: the command line asks for the file that holds it.
fn main() {}
