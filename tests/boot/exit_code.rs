//! The exit code of the program becomes the exit code of the run.
//! boot: expect-exit=42 expect-output="[kernel] exit code 42"

#![no_std]
#![no_main]

rt::main!(main);

fn main() -> u8 {
    42
}
