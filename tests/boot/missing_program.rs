//! A program that is not in the boot archive is named, what is there is listed, and the exit code is 127.
//! boot: options=run=no_such_program expect-exit=127 expect-output="there is no program no_such_program"
//! boot: expect-output="[init]   missing_program"

#![no_std]
#![no_main]

rt::main!(main);

/// Not reached: the command line asks for another program.
fn main() {}
