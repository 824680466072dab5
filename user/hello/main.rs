//! The shortest program: says hello and ends.

#![no_std]
#![no_main]

rt::main!(main);

fn main() {
    rt::println!("hello from an address space of my own");
}
