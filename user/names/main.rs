//! names: the name service, as a program. `init` starts it if `names=start` stands in the archive's `cmdline`.
//!
//! What other programs are given as their way to the name service is, for this one, a gate of whoever started it. It calls that gate
//! with the capability to its own first gate. Then its first thread ends, and one stays that does nothing: a table is emptied when the
//! last thread has ended that uses it, and callers' threads are not counted.

#![no_std]
#![no_main]

use ::names::Service;
use core::time::Duration;
use libvas::gate::{Along, Request};
use libvas::thread::{self, Builder};
use libvas::{Error, Rights, names};

rt::main!(main);

fn main() -> Result<(), Error> {
    let starter = names::service()?;
    let service = Service::start()?;
    Builder::new().name("stays").spawn(stay)?;
    let along = Along::derived(service.gate(), Rights::CALL | Rights::GRANT);
    starter.gate().request(Request::new([0; 6]).along(along))?;
    // It is there as long as the program.
    core::mem::forget(service);
    Ok(())
}

fn stay() {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}
