//! The line about a thread that a revocation leaves nowhere to go names program, thread and space; only that thread is
//! stopped, and those that land have no line.
//! boot: expect-output="revoked: program=revoked_line thread=lodger space=house : it falls back to no space, and is stopped"
//! boot: expect-output="landed without a line"

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use core::mem::ManuallyDrop;
use core::time::Duration;
use libvas::layout::FallbackReason;
use libvas::raw::STACK_ENTRY_BIAS_BYTES;
use libvas::thread::{self, Builder, JoinHandle, ThreadState};
use libvas::{Cap, Error, Rights, Space, program};
use rt::println;

rt::main!(main);

fn main() -> Result<(), Error> {
    let space = program().new_space()?;
    space.set_name("house")?;
    let (lent, lent_too) = (space.derive(Rights::SWITCH, 1)?, space.derive(Rights::SWITCH, 2)?);
    let (lodger, guest) = (sleeper("lodger", &lent, false)?, sleeper("guest", &lent_too, true)?);
    space.revoke()?;
    if lodger.thread().join() != Err(Error::Gone) {
        return Err(Error::BadState);
    }
    if guest.thread().join() != Ok(FallbackReason::SpaceRevoked as u64) {
        return Err(Error::BadState);
    }
    println!("landed without a line");
    space.enter(|| ())
}

/// A thread that sleeps inside the space by a capability, and falls back to its home, if it does.
fn sleeper(name: &str, by: &Cap<Space>, falls_back: bool) -> Result<JoinHandle<()>, Error> {
    let handle = by.handle();
    let thread = Builder::new().name(name).spawn(move || {
        let space = ManuallyDrop::new(Cap::<Space>::from_handle(handle));
        if (!falls_back || fall_back_to_home().is_ok()) && space.switch().is_ok() {
            thread::sleep(Duration::from_secs(3600));
        }
    })?;
    while thread.thread().info()?.state != ThreadState::Sleeping as u64 {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(thread)
}

fn fall_back_to_home() -> Result<(), Error> {
    type Stack = [u128; 512];
    let stack = Box::leak(Box::<Stack>::new([0; 512]));
    let top = (&raw const *stack).expose_provenance() as u64 + size_of::<Stack>() as u64;
    let landing = land as *const () as usize as u64;
    // SAFETY: `land` is this program's code, and the stack is given away to this thread for good.
    unsafe { thread::set_fallback(program().space(), landing, top - STACK_ENTRY_BIAS_BYTES) }
}

extern "C" fn land(reason: u64, _: u64) -> ! {
    thread::exit(reason)
}
