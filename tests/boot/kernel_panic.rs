//! A panic of the kernel tells its reason, its place and the calls that led there, and ends the machine as failed.
//! boot: options=machine=control expect-panic=true expect-output="[kernel] PANIC: a program asked for a panic"
//! boot: expect-output="[kernel] registers: " expect-output="  at 0x" expect-output="machine_provoke at kernel/syscall/machine.rs"
//! boot: expect-output="inlined into kernel_trap]" expect-output="[kernel] panicked"

#![no_std]
#![no_main]

use libvas::layout::Provocation;

rt::main!(main);

fn main() -> u8 {
    boot_tests::provoke(Provocation::Panic)
}
