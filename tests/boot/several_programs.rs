//! Programs named in a row run one after another, nothing of one is left for the next, and a failure is not forgotten.
//! boot: options="run=several_programs,exit_code,no_such_program,several_programs leakcheck=1" with=exit_code
//! boot: expect-exit=127 expect-output="exit_code ended with exit code 42"

#![no_std]
#![no_main]

use libvas::{Error, PAGE_BYTES, Segment, program, thread};

rt::main!(main);

/// Leaves as much behind as it can: objects, threads that sleep and that spin, memory.
fn main() -> Result<(), Error> {
    for _ in 0..10 {
        program().new_space()?.into_handle();
        Segment::new(program().account(), 16 * PAGE_BYTES)?.into_handle();
        thread::spawn(|| thread::sleep(core::time::Duration::from_secs(3600)))?;
    }
    let priority = program().thread().info()?.priority;
    thread::Builder::new().priority(priority - 1).spawn(|| {
        loop {
            core::hint::spin_loop();
        }
    })?;
    thread::sleep(core::time::Duration::from_millis(5));
    Ok(())
}
