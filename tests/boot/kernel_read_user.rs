//! The kernel cannot read user memory directly (SMAP, PAN).
//! boot: options=machine=control expect-panic=true expect-output="read of address 0x400000,"
//! boot: expect-output="provoke" expect-output="  at 0x"

#![no_std]
#![no_main]

use libvas::layout::Provocation;

rt::main!(main);

fn main() -> u8 {
    boot_tests::provoke(Provocation::ReadUser)
}
