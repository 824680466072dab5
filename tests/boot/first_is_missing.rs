//! A first program that is not in the boot archive is one line that says so, and an end as failed: no panic.
//! boot: options=first=nobody expect-exit=122
//! boot: expect-output="the first program, `nobody`: the boot archive has no such file"

#![no_std]
#![no_main]

rt::main!(main);

/// Not reached: the command line asks for another one.
fn main() {}
