//! linux: runs unmodified static Linux programs.
//!
//! Each process is a guest in a space of its own; every system call that it makes comes out to this program, which serves it or refuses
//! it. All run on this program's one thread, in turns; `fork` clones a space.
//! Its files are those of the boot archive under `linux/`; nothing can be written but to the console.
//!
//! Arguments: a program and its arguments, quoted as for a shell, as in `busybox awk 'BEGIN { print 6*7 }'`; the exit code is then
//! the program's. Without arguments it tries what it is for, and compares what programs print with what they print under Linux.

#![no_std]
#![no_main]

extern crate alloc;

mod archive;
mod calls;
mod checks;
mod delivery;
mod files;
mod image;
mod memory;
mod nonsense;
mod output;
mod process;
mod run;
mod schedule;
mod world;

use alloc::string::String;
use alloc::vec::Vec;
use archive::Archive;
use demonstration::Failure;
use image::Refusal;
use libvas::{Error, program};
use linux::tree::Tree;
use linux::words;
use output::Output;
use rt::println;
use run::Place;

rt::main!(main);

/// The exit code for arguments that make no sense.
const USAGE: u8 = 2;

fn main() -> Result<u8, Failure> {
    let archive = Archive::open()?;
    let files = archive.as_ref().map_or(Vec::new(), Archive::files);
    let tree = Tree::new(archive::root(&files));
    let Some(words) = words::split(program().arguments()) else {
        println!("linux: a quote is not closed in: {}", program().arguments());
        return Ok(USAGE);
    };
    let place = Place { tree: &tree, account: program().account() };
    if words.is_empty() { check_all(&files, place) } else { Ok(run_one(place, &words)) }
}

/// Runs one program; returns its exit status.
fn run_one(place: Place<'_>, words: &[String]) -> u8 {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = Output::console();
    let ended = run::command(place, &words, &output);
    output.finish();
    match ended {
        Ok(ended) => ended.status(),
        Err(refusal) => {
            println!("linux: {}: {refusal}", words[0]);
            if refusal == Refusal::NotThere {
                let programs =
                    place.tree.find("", "bin").map(|bin| place.tree.children(&bin).map(|node| node.name()).collect());
                let programs: Vec<&str> = programs.unwrap_or_default();
                println!("linux: those in /bin: [{}]", programs.join(" "));
            }
            run::code_of(refusal)
        }
    }
}

fn check_all(files: &[(String, &[u8])], place: Place<'_>) -> Result<u8, Failure> {
    println!("Linux programs as guests: each in a space of its own, and every system call comes out to a supervisor.");
    checks::try_supervisor(place)?;
    checks::try_processes(place)?;
    nonsense::try_all(place)?;
    checks::compare(files, place)?;
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("   the kernel checked {facts} facts about itself");
    println!("linux: all as told");
    Ok(0)
}
