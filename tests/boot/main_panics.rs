//! A program that panics tells where and why, and ends with exit code 101.
//! boot: expect-exit=101 expect-output="main_panics panicked at tests/boot/main_panics.rs"
//! boot: expect-output="on purpose: 7"

#![no_std]
#![no_main]

rt::main!(main);

fn main() {
    panic!("on purpose: {}", 7);
}
