//! The kernel's benchmarks run on the first of four CPUs while the others stand by, and all four run threads afterwards.
//! boot: smp=4 options=bench=all timeout=180
//! boot: expect-output="[kernel] bench kernel_shootdown/3 end n=200"
//! boot: expect-output="[kernel] kernel_shootdown/4 is left out: too few CPUs run"
//! boot: expect-output=" facts hold" expect-output="facts hold afterwards"

#![no_std]
#![no_main]

use libvas::Error;

rt::main!(main);

fn main() -> Result<(), Error> {
    boot_tests::works_on()
}
