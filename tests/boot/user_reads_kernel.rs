//! A user thread that reads any address of the kernel, code, data, all memory or a device, is stopped by a fault,
//! and the program goes on.
//! boot: expect-output="program=user_reads_kernel thread=prober space=home address=0xffffffff80000000 access=read ip=0x"
//! boot: expect-output="address=0xffff800000000000 access=read"

#![no_std]
#![no_main]

rt::main!(main);

fn main() -> Result<(), libvas::Error> {
    boot_tests::every_kernel_address_faults(boot_tests::peek)
}
