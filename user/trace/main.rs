//! trace: runs a program and prints its system calls, with their arguments and results.
//!
//! A gate of this program is the handler of the other's first thread: it is asked of each call and told what came of it, and
//! makes a line of that by the table of calls. Threads that the program starts are followed: their handler is set when
//! `thread_create` returns. `--deny NAME` has a call refused with `MissingRight` instead, each time.
//!
//!     ./x.py run trace -- tour
//!     ./x.py run trace -- --deny segment_create tour
//!
//! Without arguments it checks itself: it traces calls of a thread of its own that are known beforehand, denies one, and
//! traces the program `hello` if the boot archive has it.
//!
//! What callees do in gates, and handlers, is not shown: a handler of a thread is not asked of that. Nor are threads followed
//! that are made by others than the program's own table.

#![no_std]
#![no_main]

extern crate alloc;

mod known;
mod line;
mod record;
mod tracer;

use demonstration::{Failure, chapter, check};
use executable::Executable;
use init::archive::Archive;
use init::loader::{Gifts, IMAGES, Loaded};
use init::outcome::of_program;
use libvas::{Error, Names, Rights, program, raw};
use record::Record;
use rt::println;
use tessera_abi::syscall::{DESCRIPTIONS, number};
use tracer::Tracer;

rt::main!(main);

/// What is asked for: what to deny, what to run, and its arguments.
struct Task {
    denied: Option<u64>,
    name: &'static str,
    arguments: &'static str,
}

fn main() -> Result<u8, Failure> {
    let arguments = program().arguments().trim();
    if arguments.is_empty() {
        check_oneself()?;
        return Ok(0);
    }
    let Some(task) = Task::from_arguments(arguments) else {
        println!("trace: usage: trace [--deny CALL] PROGRAM [ARGUMENTS]; calls are in docs/abi.md");
        return Ok(2);
    };
    let code = run(&task)?;
    println!("trace: {} calls of {}, {} denied; exit code {code}", Record::calls(), task.name, Record::denials());
    Ok(code)
}

impl Task {
    fn from_arguments(arguments: &'static str) -> Option<Task> {
        let (denied, rest) = match arguments.strip_prefix("--deny ") {
            Some(rest) => {
                let (name, rest) = rest.trim_start().split_once(' ')?;
                (Some(DESCRIPTIONS.iter().find(|call| call.name == name)?.number), rest.trim_start())
            }
            None => (None, arguments),
        };
        let (name, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
        (!name.is_empty() && !name.starts_with('-')).then_some(Task { denied, name, arguments })
    }
}

/// Runs a program of the archive under the tracer; gives its exit code.
fn run(task: &Task) -> Result<u8, Failure> {
    let archive = Archive::open()?;
    let file = archive.find(task.name).ok_or(Failure::NotAsTold("the boot archive has that program"))?;
    let image =
        Executable::parse(file, raw::ELF_MACHINE, &IMAGES).map_err(|_| Failure::NotAsTold("it is a program"))?;
    let machine = program().machine().ok_or(Error::MissingRight)?;
    let machine_rights = machine.rights()? - Rights::GRANT;
    let gifts = Gifts {
        name: task.name,
        arguments: task.arguments,
        machine,
        machine_rights,
        archive: None,
        names: program().names().map(Names::ways),
        budget_bytes: None,
    };
    let loaded = Loaded::new(&image, &gifts)?;
    Record::begin(task.denied);
    let tracer = Tracer::new()?;
    let following = tracer.follow_those_of(loaded.table(), loaded.space())?;
    tracer.watch(loaded.thread())?;
    let joined = loaded.run();
    drop(loaded);
    drop(following);
    Ok(of_program(joined))
}

fn check_oneself() -> Result<(), Failure> {
    chapter("Calls that are known beforehand");
    known::all_are_told()?;
    chapter("One of them denied");
    known::one_is_denied()?;
    chapter("A program of the boot archive");
    if Archive::open().is_ok_and(|archive| archive.find("hello").is_some()) {
        let code = run(&Task { denied: None, name: "hello", arguments: "" })?;
        check(code == 0, "the program ends as without a tracer")?;
        check(Record::count_of(number::console_write) == 1, "it writes its line")?;
        check(Record::count_of(number::thread_exit) == 1, "and its last call is its end")?;
    } else {
        println!("   there is none to trace");
    }
    let facts = program().machine().ok_or(Error::MissingRight)?.check()?;
    println!("   the kernel checked {facts} facts about itself");
    println!("trace: all as told");
    Ok(())
}
