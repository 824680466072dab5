//! What was written before the kernel panics is on the line in front of the panic.
//! boot: smp=2 options=machine=control expect-panic=true expect-output="these are the last words"
//! boot: expect-output="[kernel] PANIC: a program asked for a panic"

#![no_std]
#![no_main]

extern crate alloc;

use libvas::layout::Provocation;
use libvas::{console, thread};

rt::main!(main);

fn main() -> u8 {
    // Another CPU is writing when it is stopped.
    let noise = || {
        loop {
            rt::println!("noise");
        }
    };
    let text = ["0123456789abcde\n"; 256].concat();
    let written = thread::spawn(noise).map(|_| ()).and_then(|()| {
        (0..8).try_for_each(|_| console::write(&text))?;
        console::write("these are the last words\n")
    });
    if written.is_err() {
        return 1;
    }
    boot_tests::provoke(Provocation::Panic)
}
