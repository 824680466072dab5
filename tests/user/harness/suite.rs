//! Runs the claims of a program one after another and prints a line for each.

use crate::{Failure, Verdict, ensure};
use alloc::format;
use core::time::Duration;
use libvas::thread::{self, Builder, JoinHandle, ThreadState};
use libvas::{Error, NAME_BYTES, clock, counters, program};
use rt::println;

/// Claims run at this priority. The thread that watches over them has the highest, and is awake for moments only.
pub const CLAIM_PRIORITY: u64 = 20;

/// A claim that takes longer has failed, where there are at most so many CPUs; with more, each does its part on fewer of the host's.
const LIMIT: Duration = Duration::from_secs(60);
const LIMIT_CPUS: u64 = 4;

/// A set with all CPUs, however many there are.
const EVERY_CPU: u64 = u64::MAX;

/// How long the watcher sleeps between two looks, at most, at a claim that ends soon. It sleeps the longer the longer a claim
/// takes, because each look spoils what the claim counts: on many CPUs one attempt may take longer than this.
const NAP_MAX: Duration = Duration::from_millis(40);

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
    run_on(program, claims, EVERY_CPU)
}

/// Like [`run`], with the claims' threads, and the one that watches over them, on these CPUs only (bit n for CPU n).
/// Threads that the claims start may run anywhere.
pub fn run_on(program: &str, claims: &[Claim], cpus: u64) -> u8 {
    // Refused only if none of the CPUs runs; then no claim can start, which the output tells.
    let _ = libvas::program().thread().set_affinity(cpus);
    let (mut failed, mut skipped) = (0, 0);
    for claim in claims {
        match check(claim, cpus) {
            Ok(()) => println!("test {program}::{} ... ok", claim.name),
            Err(reason) if reason.is_skip() => {
                skipped += 1;
                println!("test {program}::{} ... skipped: {reason}", claim.name);
            }
            Err(failure) => {
                failed += 1;
                println!("test {program}::{} ... FAILED: {failure}", claim.name);
            }
        }
    }
    println!("suite {program}: {} passed, {failed} failed, {skipped} skipped", claims.len() - failed - skipped);
    u8::from(failed != 0)
}

fn check(claim: &Claim, cpus: u64) -> Verdict {
    let name = &claim.name[..claim.name.len().min(NAME_BYTES)];
    let builder = Builder::new().priority(CLAIM_PRIORITY).cpus(cpus).stack_bytes(STACK_BYTES).name(name);
    let thread = builder.spawn(claim.body)?;
    let limit = LIMIT * counters::cpus()?.div_ceil(LIMIT_CPUS) as u32;
    if !ends_within(&thread, limit)? {
        thread.thread().stop()?;
        return Err(Failure::new(format!("took longer than {limit:?}")));
    }
    thread.join().unwrap_or_else(|error| {
        Err(Failure::new(match error {
            Error::Faulted => "the claim's thread was stopped by a fault".into(),
            Error::Gone => "the claim's thread panicked or was stopped".into(),
            other => format!("joining the claim's thread gave {other:?}"),
        }))
    })
}

fn ends_within(thread: &JoinHandle<Verdict>, limit: Duration) -> Result<bool, Error> {
    let start = clock::now();
    let deadline = start + limit;
    let mut nap = Duration::from_micros(100);
    use ThreadState::{Calling, Created, Joining, Ready, Sleeping};
    let running = [Created, Ready, Sleeping, Joining, Calling];
    while clock::now() < deadline {
        let state = thread.thread().info()?.state;
        if !running.iter().any(|running| *running as u64 == state) {
            return Ok(true);
        }
        thread::sleep(nap);
        nap = (nap + nap / 2).min(NAP_MAX.max((clock::now() - start) / 8));
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
