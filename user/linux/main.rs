//! linux: runs unmodified static Linux programs.
//!
//! Each process is a guest in a space of its own; every system call that it makes comes out to this program, which serves it or refuses
//! it. All, and their threads, run on this program's one thread, in turns; `fork` clones a space.
//! Its files are those of the boot archive under `linux/`; nothing can be written but to the console.
//!
//! Arguments: a program and its arguments, quoted as for a shell, as in `busybox awk 'BEGIN { print 6*7 }'`; the exit code is then
//! the program's. Without arguments it tries what it is for, and compares what programs print with what they print under Linux.

#![no_std]
#![no_main]

extern crate alloc;

mod accounts;
mod archive;
mod checks;
mod nonsense;

use alloc::string::String;
use alloc::vec::Vec;
use archive::Archive;
use demonstration::{Failure, check};
use libvas::{Error, program};
use linux::image::Refusal;
use linux::output::Output;
use linux::run::{self, Place};
use linux::tree::Tree;
use linux::words;
use rt::println;

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
    // Three parts of four: the rest is for what this program remembers of processes, and for their output.
    let account = program().account().split(program().account().available_bytes()? / 4 * 3)?;
    let place = Place { tree: &tree, account: &account };
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
    accounts::try_budgets(place)?;
    let used_bytes = place.account.info()?.used_bytes;
    checks::compare(files, place)?;
    check(place.account.info()?.used_bytes == used_bytes, "nothing is left of programs that have ended")?;
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("   the kernel checked {facts} facts about itself");
    println!("linux: all as told");
    Ok(0)
}
