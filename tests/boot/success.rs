//! A program that ends well ends the machine with exit code 0.
//! boot: expect-exit=0 expect-output="[kernel] exit code 0"

#![no_std]
#![no_main]

rt::main!(main);

fn main() {
    rt::println!("all is well");
}
