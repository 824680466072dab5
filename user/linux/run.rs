//! Running a command from its first instruction to the end of the last process that came of it.

use crate::errno::Errno;
use crate::image::{Refusal, Words};
use crate::output::Output;
use crate::process::{Ended, Process};
use crate::tree::{Kind, Tree};
use crate::world::World;
use libvas::{Account, Cap};

/// What every program finds in its environment; x.py runs them with the same.
pub const ENVIRONMENT: [&str; 2] = ["PATH=/bin", "HOME=/"];

/// Where commands find their files, and who pays for them.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// All files.
    pub tree: &'a Tree<'a>,
    /// It pays for what their processes have.
    pub account: &'a Cap<Account>,
}

/// Runs the program that a command's first word names: by its path, or a file of `/bin`. Returns how it ended.
///
/// # Errors
/// Why it was not run.
pub fn command(place: Place<'_>, words: &[&str], output: &Output) -> Result<Ended, Refusal> {
    let name = words.first().ok_or(Refusal::NotThere)?;
    let directory = if name.contains('/') { "" } else { "bin" };
    let node = place.tree.find(directory, name).map_err(|_| Refusal::NotThere)?;
    let Kind::File(file) = node.kind else { return Err(Refusal::NotThere) };
    image(place, &["/", &node.path].concat(), file, words, output)
}

/// Runs a program, whose file is at a path; returns how it ended.
///
/// # Errors
/// Why it was not run.
pub fn image(place: Place<'_>, path: &str, file: &[u8], words: &[&str], output: &Output) -> Result<Ended, Refusal> {
    let (mut world, process) = loaded(place, path, file, words, output)?;
    world.run(process);
    world.outcome().ok_or(Refusal::NotThere)
}

/// A program before its first instruction, in a world of its own.
///
/// # Errors
/// Why it is not run.
pub fn loaded<'a>(
    place: Place<'a>,
    path: &str,
    file: &'a [u8],
    words: &[&str],
    output: &Output,
) -> Result<(World<'a>, Process<'a>), Refusal> {
    let mut world = World::new(place.tree, place.account)?;
    let words = Words { arguments: words, environment: &ENVIRONMENT };
    let process = world.first(path, file, &words, output)?;
    Ok((world, process))
}

/// The exit code for what was not run, as shells have it.
pub fn code_of(refusal: Refusal) -> u8 {
    const NOT_STARTED: u8 = 126;
    const NOT_THERE: u8 = 127;
    if refusal == Refusal::NotThere { NOT_THERE } else { NOT_STARTED }
}

/// The error that a program made by hand ends with.
pub fn status_of(errno: Errno) -> u8 {
    errno.as_result().wrapping_neg() as u8
}
