//! The least memory that x.py gives a machine is enough to run a program.
//! boot: memory=32 smp=8 expect-output="there is enough"

#![no_std]
#![no_main]

rt::main!(main);

fn main() {
    rt::println!("there is enough");
}
