//! Programs as processes begin with them: read once, and from then on cloned.

use crate::errno::Errno;
use crate::memory::{IMAGES, Memory, STACK_TOP};
use crate::stack::{self, Start};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::fmt;
use demonstration::Random;
use executable::{Executable, Flaw};
use libvas::{Account, Cap, Error, raw};

/// Why a program was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
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

impl From<Refusal> for Errno {
    fn from(refusal: Refusal) -> Errno {
        match refusal {
            Refusal::NotThere => Errno::ENOENT,
            Refusal::Flawed(_) => Errno::ENOEXEC,
            Refusal::Kernel(error) => error.into(),
        }
    }
}

/// A program in memory, as each that runs it begins.
struct Image<'a> {
    executable: Executable<'a>,
    /// Nothing runs there, and nobody writes to it.
    memory: Memory<'a>,
}

/// Those that were run, by their paths.
pub(crate) struct Images<'a> {
    account: &'a Cap<Account>,
    by_path: BTreeMap<String, Image<'a>>,
}

/// What is told to a program that begins.
#[derive(Debug)]
pub struct Words<'w> {
    /// Its arguments, its own name first.
    pub arguments: &'w [&'w str],
    /// Its environment, `NAME=VALUE` each.
    pub environment: &'w [&'w str],
}

/// A program that is ready: its memory, where it begins, and its stack pointer.
pub(crate) struct Ready<'a> {
    pub(crate) memory: Memory<'a>,
    pub(crate) entry: u64,
    pub(crate) stack_pointer: u64,
}

impl<'a> Images<'a> {
    /// None yet; the account pays for all.
    pub(crate) fn new(account: &'a Cap<Account>) -> Images<'a> {
        Images { account, by_path: BTreeMap::new() }
    }

    /// Makes memory with the program at a path, whose file is this.
    pub(crate) fn ready(
        &mut self,
        path: &str,
        file: &'a [u8],
        words: &Words<'_>,
        random: &mut Random,
    ) -> Result<Ready<'a>, Refusal> {
        if !self.by_path.contains_key(path) {
            let executable = Executable::parse(file, raw::ELF_MACHINE, &IMAGES).map_err(Refusal::Flawed)?;
            let memory = Memory::new(self.account, &executable)?;
            self.by_path.insert(path.to_string(), Image { executable, memory });
        }
        let image = self.by_path.get(path).ok_or(Refusal::NotThere)?;
        let memory = image.memory.fork()?;
        memory.add_stack()?;
        let mut canary = [0; 16];
        canary.fill_with(|| random.below(256) as u8);
        let Words { arguments, environment } = *words;
        let start = Start { machine: raw::ELF_MACHINE, arguments, environment, path, random: canary };
        let (bytes, stack_pointer) = stack::filled(&start, &image.executable, STACK_TOP);
        memory.write(stack_pointer, &bytes).map_err(|_| Error::AccountExhausted)?;
        Ok(Ready { memory, entry: image.executable.entry, stack_pointer })
    }
}
