//! The kernel's benchmarks run before the first program, which finds everything as it should be.
//! boot: options=bench=all timeout=120 expect-output="[kernel] bench kernel_map_entries/512 end n=200"
//! boot: expect-output="[kernel] kernel_shootdown/1 is left out: too few CPUs run"
//! boot: expect-output=" facts hold" expect-output="facts hold afterwards"

#![no_std]
#![no_main]

use libvas::Error;

rt::main!(main);

fn main() -> Result<(), Error> {
    boot_tests::works_on()
}
