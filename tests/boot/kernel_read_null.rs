//! The kernel cannot read through a null pointer.
//! boot: options=machine=control expect-panic=true expect-output="read of address 0x0,"
//! boot: expect-output="provoke" expect-output="  at 0x"

#![no_std]
#![no_main]

use libvas::layout::Provocation;

rt::main!(main);

fn main() -> u8 {
    boot_tests::provoke(Provocation::ReadNull)
}
