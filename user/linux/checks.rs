//! What is run without arguments: programs made by hand, which try the supervisor, and commands, compared with what the same
//! programs printed under Linux.

use crate::archive;
use alloc::string::String;
use alloc::vec::Vec;
use demonstration::{Failure, chapter, check};
use libvas::PAGE_BYTES;
use libvas::raw::ELF_MACHINE;
use linux::errno::Errno;
use linux::expectations::{self, Expectation};
use linux::numbers::Call;
use linux::output::Output;
use linux::probe::{self, IMAGE, Step};
use linux::process::{Ended, FIRST};
use linux::run::{self, Place};
use rt::println;

/// Where x.py writes down what came of commands, and why it cannot.
const EXPECTED: &str = "linux.expected";
const SKIPPED: &str = "linux.skipped";

/// A number that no system call has.
const NO_CALL: u64 = 9999;

/// A program made by hand takes one page; behind it comes what `brk` gives.
const BEHIND: u64 = IMAGE + PAGE_BYTES;

/// Tries the supervisor.
pub(crate) fn try_supervisor(place: Place<'_>) -> Result<(), Failure> {
    chapter("What a program cannot do");
    let exit = Step::ExitWithError(number(Call::Exit));
    let failed = |errno: Errno| Ended::Exited(run::status_of(errno));
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
        ("sends itself a signal", &[call(Call::Kill, [FIRST, 6, 0])], Ended::Killed(6)),
    ];
    all_end_so(place, &cases)
}

/// Tries what concerns more processes than one.
pub(crate) fn try_processes(place: Place<'_>) -> Result<(), Failure> {
    chapter("What processes cannot do");
    let (exit, failed) = (Step::ExitWithError(number(Call::Exit)), |errno: Errno| Ended::Exited(run::status_of(errno)));
    let grow = call(Call::Brk, [BEHIND + PAGE_BYTES, 0, 0]);
    const CHILD: u64 = 17;
    const MEMORY: u64 = 0x100;
    // With its number at a word, which is cleared when it ends.
    const THREAD: u64 = 0x31_0f00;
    const TOLD_THREAD: u64 = 0x11_0f00;
    const NOBODY: u64 = 99;
    // The first two descriptors that are free.
    let (pipe, reader, writer) = (call(Call::Pipe2, [BEHIND, 0, 0]), 3, 4);
    let thread = Step::LongCall(number(Call::Clone), [THREAD, 0, BEHIND, BEHIND, BEHIND]);
    let (in_thread, ends, ends_all) =
        (Step::SkipUnlessZero(1), call(Call::Exit, [0; 3]), call(Call::ExitGroup, [5, 0, 0]));
    let (at_word, for_ever) = (call(Call::Futex, [BEHIND, 0, FIRST + 1]), call(Call::Futex, [BEHIND + 8, 0, 0]));
    // Its number, as it stands in memory, is the set of the descriptors 0 and 1, of which one can be read.
    let tells = Step::LongCall(number(Call::Clone), [TOLD_THREAD, 0, BEHIND, 0, 0]);
    let select = Step::LongCall(number(Call::Pselect), [2, BEHIND, 0, 0, 0]);
    let of_child = Ended::Exited((FIRST as u8 + 1).wrapping_neg());
    let cases: [(&str, &[Step], Ended); 18] = [
        ("waits, and has no children", &[call(Call::Wait4, [u64::MAX, 0, 0]), exit], failed(Errno::ECHILD)),
        (
            "becomes a program that is not there",
            &[grow, call(Call::Execve, [BEHIND, 0, 0]), exit],
            failed(Errno::ENOENT),
        ),
        ("becomes a program whose name is nowhere", &[call(Call::Execve, [0, 0, 0]), exit], failed(Errno::EFAULT)),
        ("kills who is not there", &[call(Call::Kill, [NOBODY, 9, 0]), exit], failed(Errno::ESRCH)),
        ("sends what is no signal", &[call(Call::Kill, [FIRST, NOBODY, 0]), exit], failed(Errno::EINVAL)),
        ("wants a half of a thread", &[call(Call::Clone, [MEMORY, 0, 0]), exit], failed(Errno::EINVAL)),
        ("closes what is not open", &[call(Call::Close, [NOBODY, 0, 0]), exit], failed(Errno::EBADF)),
        ("reads from an output", &[grow, call(Call::Read, [1, BEHIND, 1]), exit], failed(Errno::EBADF)),
        (
            "writes to a pipe's wrong end",
            &[grow, pipe, call(Call::Write, [reader, BEHIND, 1]), exit],
            failed(Errno::EBADF),
        ),
        ("has a pipe's descriptors written nowhere", &[call(Call::Pipe2, [0, 0, 0]), exit], failed(Errno::EFAULT)),
        (
            "writes to a pipe that nobody reads",
            &[grow, pipe, call(Call::Close, [reader, 0, 0]), call(Call::Write, [writer, BEHIND, 1]), exit],
            Ended::Killed(13),
        ),
        ("waits for itself", &[grow, pipe, call(Call::Read, [reader, BEHIND, 1]), exit], Ended::Killed(9)),
        ("has a child, and ends with its number", &[call(Call::Clone, [CHILD, 0, 0]), exit], of_child),
        ("lends a child its memory", &[call(Call::Clone, [CHILD | 0x4100, 0, 0]), exit], of_child),
        ("waits at a word with another value", &[grow, call(Call::Futex, [BEHIND, 0, 1]), exit], failed(Errno::EAGAIN)),
        ("waits until its thread ends", &[grow, thread, in_thread, ends, at_word, exit], Ended::Exited(0)),
        ("asks which of two can be read", &[grow, tells, in_thread, ends, select, exit], Ended::Exited(255)),
        ("is ended by its thread", &[grow, thread, in_thread, ends_all, for_ever], Ended::Exited(5)),
    ];
    all_end_so(place, &cases)
}

/// The number of a call, by which a program made by hand makes it.
pub(crate) fn number(call: Call) -> u64 {
    call.number(ELF_MACHINE).unwrap_or(NO_CALL)
}

/// The step that makes a call.
pub(crate) fn call(which: Call, arguments: [u64; 3]) -> Step {
    Step::Call(number(which), arguments)
}

/// Runs programs made of steps, each of which ends so.
fn all_end_so(place: Place<'_>, cases: &[(&str, &[Step], Ended)]) -> Result<(), Failure> {
    for (what, steps, expected) in cases {
        let file = probe::program(ELF_MACHINE, steps);
        match run::image(place, "/by-hand", &file, &["by-hand"], &Output::kept()) {
            Ok(ended) => {
                println!("   a program that {what}: {ended:?}");
                check(ended == *expected, "what a program cannot do is refused, or ends it")?;
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
pub(crate) fn compare(files: &[(String, &[u8])], place: Place<'_>) -> Result<(), Failure> {
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
    let wrong = commands.iter().filter(|command| !is_as_expected(place, command)).count();
    println!("   {} as there, {wrong} not", commands.len() - wrong);
    check(wrong == 0, "every program does what it does under Linux")
}

fn is_as_expected(place: Place<'_>, command: &Expectation<'_>) -> bool {
    let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
    let line = words.join(" ");
    let output = Output::kept();
    let ended = match run::command(place, &words, &output) {
        Ok(ended) => ended,
        Err(refusal) => {
            println!("   WRONG {line}: {refusal}");
            return false;
        }
    };
    let output = output.finish();
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
