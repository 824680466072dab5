//! Runs the claims of a program one after another and prints a line for each.

use crate::{Failure, Verdict, ensure};
use alloc::format;
use core::time::Duration;
use libvas::thread::{self, Builder, JoinHandle, ThreadState};
use libvas::{Error, NAME_BYTES, clock, program};
use rt::println;

/// Claims run at this priority. The thread that watches over them has the highest, and is awake for moments only.
pub const CLAIM_PRIORITY: u64 = 20;

/// A claim that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// How long the watcher sleeps between two looks, at most.
const NAP_MAX: Duration = Duration::from_millis(5);

/// Stack of a claim, bytes.
const STACK_BYTES: u64 = 0x2_0000;

/// A claim: its name and the function that checks it. Made by [`crate::claim!`].
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The function's name.
    pub name: &'static str,
    /// The function.
    pub body: fn() -> Verdict,
}

/// Names a function as a claim.
#[macro_export]
macro_rules! claim {
    ($body:ident) => {
        $crate::Claim { name: stringify!($body), body: $body }
    };
}

/// Checks all claims of a program; returns its exit code.
///
/// A claim that panics, faults or takes too long has failed, and the rest goes on.
pub fn run(program: &str, claims: &[Claim]) -> u8 {
    let mut failed = 0;
    for claim in claims {
        match check(claim) {
            Ok(()) => println!("test {program}::{} ... ok", claim.name),
            Err(failure) => {
                failed += 1;
                println!("test {program}::{} ... FAILED: {failure}", claim.name);
            }
        }
    }
    println!("suite {program}: {} passed, {failed} failed, 0 skipped", claims.len() - failed);
    u8::from(failed != 0)
}

fn check(claim: &Claim) -> Verdict {
    let name = &claim.name[..claim.name.len().min(NAME_BYTES)];
    let builder = Builder::new().priority(CLAIM_PRIORITY).stack_bytes(STACK_BYTES).name(name);
    let thread = builder.spawn(claim.body)?;
    if !ends_in_time(&thread)? {
        thread.thread().stop()?;
        return Err(Failure::new(format!("took longer than {LIMIT:?}")));
    }
    thread.join().unwrap_or_else(|error| {
        Err(Failure::new(match error {
            Error::Faulted => format!("the claim's thread was stopped by a fault"),
            Error::Gone => format!("the claim's thread panicked or was stopped"),
            other => format!("joining the claim's thread gave {other:?}"),
        }))
    })
}

fn ends_in_time(thread: &JoinHandle<Verdict>) -> Result<bool, Error> {
    let deadline = clock::now() + LIMIT;
    let mut nap = Duration::from_micros(100);
    let running = [ThreadState::Created, ThreadState::Ready, ThreadState::Sleeping, ThreadState::Joining];
    while clock::now() < deadline {
        let state = thread.thread().info()?.state;
        if !running.iter().any(|running| *running as u64 == state) {
            return Ok(true);
        }
        thread::sleep(nap);
        nap = (nap * 2).min(NAP_MAX);
    }
    Ok(false)
}

/// After all that the program did, every consistency check that the kernel has over its own state holds.
pub fn the_kernel_passes_its_own_checks() -> Verdict {
    let machine = program().machine().ok_or(Error::MissingRight)?;
    let facts = machine.check()?;
    ensure!(facts > 100, "only {facts} facts were checked");
    Ok(())
}
