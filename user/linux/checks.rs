//! What is run without arguments: programs made by hand, which try the supervisor, and commands, compared with what the same
//! programs printed under Linux.

use crate::output::Output;
use crate::process::{Ended, PROCESS_NUMBER};
use crate::{archive, run};
use alloc::string::String;
use alloc::vec::Vec;
use demonstration::{Failure, chapter, check};
use libvas::PAGE_BYTES;
use libvas::raw::ELF_MACHINE;
use linux::errno::Errno;
use linux::expectations::{self, Expectation};
use linux::numbers::Call;
use linux::probe::{self, IMAGE, Step};
use linux::tree::Tree;
use rt::println;

/// Where x.py writes down what came of commands, and why it cannot.
const EXPECTED: &str = "linux.expected";
const SKIPPED: &str = "linux.skipped";

/// A number that no system call has.
const NO_CALL: u64 = 9999;

/// Tries the supervisor.
pub(crate) fn try_supervisor(tree: &Tree<'_>) -> Result<(), Failure> {
    chapter("What a program cannot do");
    let number = |call: Call| call.number(ELF_MACHINE).unwrap_or(NO_CALL);
    let call = |which: Call, arguments: [u64; 3]| Step::Call(number(which), arguments);
    let exit = Step::ExitWithError(number(Call::Exit));
    let failed = |errno: Errno| Ended::Exited(run::status_of(errno));
    // A program made by hand takes one page; behind it comes what `brk` gives.
    const BEHIND: u64 = IMAGE + PAGE_BYTES;
    const LENGTH: u64 = 5;
    let grow = call(Call::Brk, [BEHIND + 2 * PAGE_BYTES, 0, 0]);
    let allow = |rights: u64| call(Call::Mprotect, [BEHIND, PAGE_BYTES, rights]);
    let print = call(Call::Write, [1, BEHIND, LENGTH]);
    let unknown = Step::Call(NO_CALL, [0; 3]);
    let cases: [(&str, &[Step], Ended); 12] = [
        ("prints from where nothing is", &[print, exit], failed(Errno::EFAULT)),
        ("prints from the kernel", &[call(Call::Write, [1, 0u64.wrapping_sub(64), 5]), exit], failed(Errno::EFAULT)),
        ("has the time written into its code", &[call(Call::ClockGettime, [0, IMAGE, 0]), exit], failed(Errno::EFAULT)),
        (
            "asks for sixteen TiB, gets none, and prints from there",
            &[call(Call::Brk, [1 << 44, 0, 0]), print, exit],
            failed(Errno::EFAULT),
        ),
        ("prints what it must not read", &[grow, allow(0), print, exit], failed(Errno::EFAULT)),
        (
            "prints that after all",
            &[grow, allow(0), allow(1), print, exit],
            Ended::Exited((LENGTH as u8).wrapping_neg()),
        ),
        ("makes a call that is none, twice", &[unknown, unknown, exit], failed(Errno::ENOSYS)),
        ("wants to write to its code", &[call(Call::Mprotect, [IMAGE, PAGE_BYTES, 7]), exit], failed(Errno::EACCES)),
        ("takes its code away", &[call(Call::Munmap, [IMAGE, PAGE_BYTES, 0])], Ended::Killed(11)),
        ("reads where nothing is", &[Step::ReadNothing], Ended::Killed(11)),
        ("executes what is no instruction", &[Step::Illegal], Ended::Killed(4)),
        ("sends itself a signal", &[call(Call::Kill, [PROCESS_NUMBER, 6, 0])], Ended::Killed(6)),
    ];
    for (what, steps, expected) in cases {
        let file = probe::program(ELF_MACHINE, steps);
        match run::image(tree, "/by-hand", &file, &["by-hand"], Output::Kept(Vec::new())) {
            Ok((ended, _)) => {
                println!("   a program that {what}: {ended:?}");
                check(ended == expected, "what a program cannot do is refused, or ends it")?;
            }
            Err(refusal) => {
                println!("   a program that {what}: {refusal}");
                return Err(Failure::NotAsTold("programs made by hand can be started"));
            }
        }
    }
    Ok(())
}

/// Runs the commands that x.py has run, and compares.
pub(crate) fn compare(files: &[(String, &[u8])], tree: &Tree<'_>) -> Result<(), Failure> {
    chapter("What programs print");
    if let Some(reason) = archive::file(files, SKIPPED) {
        // x.py counts this as a test that was skipped.
        println!("linux: skipped: {}", core::str::from_utf8(reason).unwrap_or("?").trim_end());
        return Ok(());
    }
    let Some(expected) = archive::file(files, EXPECTED) else {
        println!("linux: skipped: the boot archive does not tell what to expect of Linux programs");
        return Ok(());
    };
    let (by, commands) = expectations::read(expected).ok_or(Failure::NotAsTold("expectations can be read"))?;
    println!("   {} commands, run before by {by}", commands.len());
    check(!commands.is_empty(), "there are commands")?;
    let wrong = commands.iter().filter(|command| !is_as_expected(tree, command)).count();
    println!("   {} as there, {wrong} not", commands.len() - wrong);
    check(wrong == 0, "every program does what it does under Linux")
}

fn is_as_expected(tree: &Tree<'_>, command: &Expectation<'_>) -> bool {
    let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
    let line = words.join(" ");
    let (ended, output) = match run::command(tree, &words, Output::Kept(Vec::new())) {
        Ok(outcome) => outcome,
        Err(refusal) => {
            println!("   WRONG {line}: {refusal}");
            return false;
        }
    };
    if ended.status() == command.status && output == command.output {
        println!("   {line}: status {}, {} bytes", command.status, output.len());
        return true;
    }
    println!("   WRONG {line}: status {}, expected {}; it printed", ended.status(), command.status);
    println!("{}", String::from_utf8_lossy(&output));
    println!("   in the place of");
    println!("{}", String::from_utf8_lossy(command.output));
    false
}
