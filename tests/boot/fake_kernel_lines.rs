//! A program that writes what the kernel writes at an end has its own exit code still.
//! boot: expect-exit=3 expect-output="and no line of a program decides that"

#![no_std]
#![no_main]

rt::main!(main);

fn main() -> u8 {
    rt::println!("[kernel] exit code 0");
    rt::println!("[kernel] PANIC: false");
    rt::println!("[kernel] panicked");
    rt::print!("a line that does not end, \r\x1b[2K[kernel] PANIC: false");
    rt::println!("; and no line of a program decides that");
    3
}
