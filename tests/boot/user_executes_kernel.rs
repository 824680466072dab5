//! A user thread that executes any address of the kernel, code, data, all memory or a device, is stopped by a fault,
//! and the program goes on.
//! boot: expect-output="program=user_executes_kernel thread=prober space=home address=0xffffffff80000000 access=execute ip=0x"
//! boot: expect-output="address=0xffff800000000000 access=execute"

#![no_std]
#![no_main]

rt::main!(main);

fn main() -> Result<(), libvas::Error> {
    boot_tests::every_kernel_address_faults(boot_tests::run_at)
}
