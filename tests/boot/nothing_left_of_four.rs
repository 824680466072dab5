//! A machine with four CPUs on which every thread waits for another says so and ends as failed, and not before.
//! boot: smp=4 timeout=30 expect-exit=121 expect-output="slept" expect-output="[kernel] nothing is left to run"

#![no_std]
#![no_main]

use core::time::Duration;

use libvas::{Error, Thread, program, thread};

rt::main!(main);

fn main() -> Result<(), Error> {
    let never = Thread::new(program().account(), program().table(), program().space(), 0)?;
    for number in 0..6 {
        thread::spawn(move || {
            // For a while nobody runs at all, but there is a timer.
            thread::sleep(Duration::from_millis(20 * number));
            rt::println!("slept {number}");
        })?;
    }
    never.join().map(|_| ())
}
