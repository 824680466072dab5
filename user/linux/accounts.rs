//! What processes take, and that they give it back.

use crate::checks::{call, number};
use alloc::vec::Vec;
use demonstration::{Failure, Size, chapter, check};
use libvas::raw::ELF_MACHINE;
use libvas::{Account, Cap, PAGE_BYTES, clock, program};
use linux::errno::Errno;
use linux::image::Refusal;
use linux::numbers::Call;
use linux::output::Output;
use linux::probe::{self, Step};
use linux::process::Ended;
use linux::run::{self, Place};
use rt::println;

/// `SIGCHLD`, which is all that `clone` is told for a fork.
const CHILD: u64 = 17;

/// How many children one process has, one after the other, beside which there is room for one only.
const CHILDREN: usize = 300;

/// The budget that is tried first, and how it grows.
const FIRST_BYTES: u64 = 20 * PAGE_BYTES;
const STEP_BYTES: u64 = PAGE_BYTES;

/// Has a process fork with budgets that do not suffice, until one does, and with that one as often as there is reason to.
pub(crate) fn try_budgets(place: Place<'_>) -> Result<(), Failure> {
    chapter("What processes take, and give back");
    let (once, often) = (forking(1), forking(CHILDREN));
    let (mut not_started, mut not_forked, mut bytes) = (0, 0, FIRST_BYTES);
    loop {
        let account = program().account().split(bytes)?;
        match ended(place, &account, &once)? {
            None => not_started += 1,
            Some(Ended::Exited(0)) => break,
            Some(ended) => {
                let is_refusal = [Errno::ENOMEM, Errno::EAGAIN].map(run::status_of).contains(&ended.status());
                check(is_refusal, "a fork that cannot be paid for is refused")?;
                not_forked += 1;
            }
        }
        bytes += STEP_BYTES;
    }
    println!(
        "   a process and a child take {}; with less it was {not_started} times not started, {not_forked} times alone",
        Size(bytes)
    );
    check(not_started > 0 && not_forked > 0, "there are budgets for no process, and for one only")?;
    let account = program().account().split(bytes)?;
    let begun = clock::ticks();
    let outcome = ended(place, &account, &often)?;
    let ticks = (clock::ticks() - begun) / CHILDREN as u64;
    println!("   with the same it has {CHILDREN} children, one after the other: {outcome:?}");
    println!("   each takes {ticks} ticks of the clock, from the fork to the end of its parent's wait");
    check(outcome == Some(Ended::Exited(0)), "children leave nothing behind")
}

/// How a program ends that the account pays for, or that it was not started for want of means. All is given back then.
fn ended(place: Place<'_>, account: &Cap<Account>, file: &[u8]) -> Result<Option<Ended>, Failure> {
    let before = account.info()?.used_bytes;
    let ended = match run::image(Place { account, ..place }, "/by-hand", file, &["by-hand"], &Output::kept()) {
        Ok(ended) => Some(ended),
        Err(Refusal::Kernel(_)) => None,
        Err(_) => return Err(Failure::NotAsTold("programs made by hand can be started")),
    };
    check(account.info()?.used_bytes == before, "what processes took is given back when all have ended")?;
    Ok(ended)
}

/// A program that has so many children, one after the other, and waits for each. It ends with the error of a fork that fails.
fn forking(children: usize) -> Vec<u8> {
    let exit = number(Call::Exit);
    let child = [
        call(Call::Clone, [CHILD, 0, 0]),
        Step::SkipUnlessZero(1),
        call(Call::Exit, [0; 3]),
        Step::ExitIfError(exit),
        call(Call::Wait4, [u64::MAX, 0, 0]),
        Step::ExitIfError(exit),
    ];
    let mut steps = child.repeat(children);
    steps.push(call(Call::Exit, [0; 3]));
    // However many it has, it is as long.
    steps.extend(child.repeat(CHILDREN - children));
    probe::program(ELF_MACHINE, &steps)
}
