//! A file that is no program is refused with the reason, and the exit code is 127.
//! boot: options=run=cmdline expect-exit=127
//! boot: expect-output="cmdline is no program that runs here: not a whole 64-bit little-endian ELF file"

#![no_std]
#![no_main]

rt::main!(main);

/// Not reached: the command line asks for the file that holds it.
fn main() {}
