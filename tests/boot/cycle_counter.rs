//! With `cycle_counter=1` a program can read the CPU's cycle counter, on whichever CPU it runs, and it counts.
//! boot: options=cycle_counter=1 smp=2

#![no_std]
#![no_main]

use libvas::{Error, counters, program, raw};

rt::main!(main);

fn main() -> Result<(), Error> {
    for cpu in 0..counters::cpus()? {
        program().thread().set_affinity(1 << cpu)?;
        let before = raw::cycles();
        let sum = core::hint::black_box((0..1000_u64).fold(0, |sum, each| core::hint::black_box(sum + each)));
        let cycles = raw::cycles().wrapping_sub(before);
        rt::println!("CPU {cpu}: {cycles} cycles to reach {sum}");
        // A counter that stands still, or one that was set meanwhile.
        if cycles == 0 || cycles > 1 << 40 {
            return Err(Error::BadState);
        }
    }
    Ok(())
}
