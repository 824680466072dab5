//! A kernel stack that overflows meets its guard page and is reported as what it is.
//! boot: options=machine=control expect-panic=true expect-output="PANIC: kernel stack overflow"
//! boot: expect-output="recurse" expect-output="  at 0x"

#![no_std]
#![no_main]

use libvas::layout::Provocation;

rt::main!(main);

fn main() -> u8 {
    boot_tests::provoke(Provocation::OverflowStack)
}
