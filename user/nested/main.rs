//! nested: a supervisor that runs a supervisor that runs a program.
//!
//! All three are this one program, loaded from the boot archive once for each. The kernel starts the outermost supervisor. That runs
//! the next one as a guest: a space and registers, no capability, and every system call comes out. It serves the calls by which libvas
//! makes spaces, segments and guests, with objects of its own that it keeps for its guest; so the guest, which is written against libvas
//! as any program is, makes a space and a guest in turn, and runs the innermost program there. The outermost supervisor does that run on
//! its behalf, and tells it of the end. What the innermost program wants is for the supervisor next to it to answer, who may have to
//! ask its own. How many supervisors there are makes no difference to any of them.
//!
//! | file | has |
//! |---|---|
//! | `task.rs` | who a program is to be, and what it is to do, by its arguments |
//! | `outermost.rs` | the story: all tasks, what must come of them, what a question costs |
//! | `supervisor.rs` | a supervisor's loop: runs its guest until it ends, answers questions |
//! | `child.rs` | a guest with a space, an account and a program in it |
//! | `calls.rs` | the system calls that a supervisor serves |
//! | `held.rs` | which capabilities a guest may name |
//! | `innermost.rs` | the program that is no supervisor |
//! | `question.rs` | the call that no kernel serves |
//!
//! What is counted is how often the outermost supervisor runs a guest. Time means something under `--icount` only, where a nanosecond is
//! an instruction: `./x.py run nested --icount`.
//!
//! Argument: how many supervisors, such as `3`.

#![no_std]
#![no_main]

extern crate alloc;

mod calls;
mod child;
mod held;
mod innermost;
mod outermost;
mod question;
mod supervisor;
mod task;

use demonstration::{Failure, check};
use libvas::program;
use rt::println;
use supervisor::Supervisor;
use task::Role;

rt::main!(main);

fn main() -> Result<u8, Failure> {
    match Role::from_arguments(program().arguments()) {
        Some(Role::Outermost { supervisors }) => outermost::show(supervisors).map(|()| 0),
        Some(Role::Supervisor { left, task }) => {
            let report = Supervisor::inner(left, task).run()?;
            check(report.ended == task.expected(left), "the guest ends as its task says").map(|()| 0)
        }
        Some(Role::Innermost { task }) => innermost::perform(task).map(|()| 0),
        None => {
            println!("nested: usage: nested [SUPERVISORS], from 1 to {}", task::SUPERVISORS_MAX);
            Ok(2)
        }
    }
}
