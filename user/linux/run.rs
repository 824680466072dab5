//! Running a Linux program from its first instruction to its end.

use crate::calls;
use crate::files::Files;
use crate::memory::{IMAGES, Memory, STACK_TOP};
use crate::output::Output;
use crate::process::{Ended, Process, signal};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use demonstration::Random;
use executable::{Executable, Flaw};
use libvas::guest::{End, GuestContext, GuestException};
use libvas::{Error, Rights, clock, program, raw};
use linux::errno::Errno;
use linux::stack::{self, Start};
use linux::tree::{Kind, Tree};
use rt::println;

/// What every program finds in its environment; x.py runs them with the same.
const ENVIRONMENT: [&str; 2] = ["PATH=/bin", "HOME=/"];

/// Why a program was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such file.
    NotThere,
    /// It is no program for here.
    Flawed(Flaw),
    /// The kernel refused what it takes.
    Kernel(Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotThere => write!(formatter, "there is no such program in the boot archive"),
            Refusal::Flawed(flaw) => write!(formatter, "it is no program that runs here: {flaw}"),
            Refusal::Kernel(error) => write!(formatter, "the kernel refused what it takes: {error}"),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Kernel(error)
    }
}

/// Runs the program that a command's first word names: by its path, or a file of `/bin`.
pub(crate) fn command(tree: &Tree<'_>, words: &[&str], output: Output) -> Result<(Ended, Vec<u8>), Refusal> {
    let name = words.first().ok_or(Refusal::NotThere)?;
    let directory = if name.contains('/') { "" } else { "bin" };
    let node = tree.find(directory, name).map_err(|_| Refusal::NotThere)?;
    let Kind::File(file) = node.kind else { return Err(Refusal::NotThere) };
    image(tree, &["/", &node.path].concat(), file, words, output)
}

/// Runs a program, whose file is at a path; returns how it ended, and its output if that was kept.
pub(crate) fn image(
    tree: &Tree<'_>,
    path: &str,
    file: &[u8],
    words: &[&str],
    output: Output,
) -> Result<(Ended, Vec<u8>), Refusal> {
    let mut process = loaded(tree, path, file, words, output)?;
    let ended = to_its_end(&mut process)?;
    Ok((ended, process.output.finish()))
}

/// A program before its first instruction.
pub(crate) fn loaded<'a>(
    tree: &'a Tree<'a>,
    path: &'a str,
    file: &[u8],
    words: &[&'a str],
    output: Output,
) -> Result<Process<'a>, Refusal> {
    let executable = Executable::parse(file, raw::ELF_MACHINE, &IMAGES).map_err(Refusal::Flawed)?;
    let memory = Memory::new(&executable)?;
    // Different each time, though nobody should rely on it.
    let mut random = Random::new(clock::ticks() | 1);
    let mut canary = [0; 16];
    canary.fill_with(|| random.below(256) as u8);
    let machine = raw::ELF_MACHINE;
    let start = Start { machine, arguments: words, environment: &ENVIRONMENT, path, random: canary };
    let (bytes, pointer) = stack::filled(&start, &executable, STACK_TOP);
    memory.write(pointer, &bytes).map_err(|_| Error::AccountExhausted)?;
    let guest = GuestContext::new(program().account())?;
    guest.set_instruction_pointer(executable.entry);
    guest.set_stack_pointer(pointer);
    Ok(Process {
        name: words.first().copied().unwrap_or(path),
        path: String::from(path),
        guest,
        memory,
        files: Files::new(tree),
        output,
        actions: BTreeMap::new(),
        mask: 0,
        random,
        ended: None,
        unknown: BTreeSet::new(),
    })
}

/// Runs it, and serves its calls, until one ends it or it does what it cannot do.
fn to_its_end(process: &mut Process<'_>) -> Result<Ended, Error> {
    loop {
        // SAFETY: the space has nothing of this program.
        let end = match unsafe { process.guest.run(process.memory.space()) } {
            // Its stack pointer is no address, which it would have found out at its next access.
            Err(Error::BadAddress) => return Ok(killed(process, signal::SEGMENT, "set a pointer that is no address")),
            end => end?,
        };
        match end {
            End::Call(number) => {
                let result = calls::serve(process, number, process.guest.call_arguments());
                if let Some(ended) = process.ended {
                    return Ok(ended);
                }
                process.guest.set_call_result(result);
            }
            End::Fault { address, access } => {
                let tried = match access {
                    Rights::WRITE => "write to",
                    Rights::EXECUTE => "execute",
                    _ => "read",
                };
                return Ok(killed(process, signal::SEGMENT, format_args!("tried to {tried} {address:#x}")));
            }
            End::Exception { what: Ok(GuestException::Wait), .. } | End::Kick | End::Deadline | End::Step => {}
            End::Exception { what, address } => {
                let number = signal_of(what);
                return Ok(killed(process, number, format_args!("did what it cannot do, at {address:#x}")));
            }
            End::Breakpoint => return Ok(killed(process, signal::TRAP, "came to a breakpoint")),
        }
    }
}

fn signal_of(what: Result<GuestException, u64>) -> u8 {
    match what {
        Ok(GuestException::Instruction | GuestException::Wait) => signal::ILLEGAL,
        Ok(GuestException::Address) => signal::BUS,
        Ok(GuestException::Arithmetic) => signal::ARITHMETIC,
        Err(_) => signal::SEGMENT,
    }
}

/// Says what a program did that ends it.
fn killed(process: &Process<'_>, signal: u8, what: impl fmt::Display) -> Ended {
    let at = process.guest.instruction_pointer();
    println!("linux: {} {what}, with the instruction at {at:#x}; it ends as by signal {signal}", process.name);
    Ended::Killed(signal)
}

/// The exit code for what was not run, as shells have it.
pub(crate) fn code_of(refusal: Refusal) -> u8 {
    const NOT_STARTED: u8 = 126;
    const NOT_THERE: u8 = 127;
    if refusal == Refusal::NotThere { NOT_THERE } else { NOT_STARTED }
}

/// The error that a program made by hand ends with.
pub(crate) fn status_of(errno: Errno) -> u8 {
    errno.as_result().wrapping_neg() as u8
}
