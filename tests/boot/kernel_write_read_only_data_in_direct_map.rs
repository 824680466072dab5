//! The kernel cannot write to its read-only data through the direct map of physical memory.
//! boot: options=machine=control expect-panic=true expect-output="write of address"
//! boot: expect-output="provoke" expect-output="  at 0x"

#![no_std]
#![no_main]

use libvas::layout::Provocation;

rt::main!(main);

fn main() -> u8 {
    boot_tests::provoke(Provocation::WriteReadOnlyDataInDirectMap)
}
