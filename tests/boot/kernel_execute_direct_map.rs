//! The kernel cannot execute memory through its map of all memory, not even its own code there.
//! boot: options=machine=control expect-panic=true expect-output="execute of address"
//! boot: expect-output="provoke" expect-output="  at 0x"

#![no_std]
#![no_main]

use libvas::layout::Provocation;

rt::main!(main);

fn main() -> u8 {
    boot_tests::provoke(Provocation::ExecuteDirectMap)
}
