//! The kernel cannot execute user memory (SMEP, PXN).
//! boot: options=machine=control expect-panic=true expect-output="execute of address 0x400000,"
//! boot: expect-output="provoke" expect-output="  at 0x"

#![no_std]
#![no_main]

use libvas::layout::Provocation;

rt::main!(main);

fn main() -> u8 {
    boot_tests::provoke(Provocation::ExecuteUser)
}
