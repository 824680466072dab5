//! What `user/linux` makes of `fork`, `execve` and `wait4`: clones of spaces, guests, and the supervisor's own work.

use crate::measure::{Benchmark, Measured, Meter};
use alloc::vec::Vec;
use core::cell::RefCell;
use libvas::raw::ELF_MACHINE;
use libvas::{Error, program};
use linux::image::Words;
use linux::numbers::Call;
use linux::output::Output;
use linux::probe::{self, Step, TEXT};
use linux::process::Ended;
use linux::tree::Tree;
use linux::world::World;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "fork_wait",
        points: &[],
        axis: "",
        what: "a fork of a Linux program of four pages, the child's end, and the parent's wait for that: a 32nd of what a program takes \
               that does so 32 times, with its own beginning and end",
        leaves_out: "loading the program; memory that parent or child write to",
        measure: |meter, _| measure(meter, &[]),
    },
    Benchmark {
        name: "fork_exec_wait",
        points: &[],
        axis: "",
        what: "the same with a child that becomes another program, which was run before and ends at once",
        leaves_out: "loading both; memory that the parent or its copy write to",
        measure: |meter, _| {
            let path = [TEXT, 0, 0];
            measure(meter, &[Step::Call(number(Call::Execve)?, path)])
        },
    },
];

/// Where the other program is.
const CHILD: &str = "child";

/// `SIGCHLD`.
const FORK: u64 = 17;

fn number(call: Call) -> Result<u64, Error> {
    call.number(ELF_MACHINE).ok_or(Error::BadCall)
}

/// How often a program forks.
const FORKS: usize = 32;

/// Measures a program whose children make a call before they end.
fn measure(meter: &mut Meter, in_child: &[Step]) -> Measured {
    let end = Step::Call(number(Call::Exit)?, [0; 3]);
    let mut one = Vec::from([Step::Call(number(Call::Clone)?, [FORK, 0, 0]), Step::SkipUnlessZero(in_child.len() + 1)]);
    one.extend(in_child);
    one.extend([end, Step::Call(number(Call::Wait4)?, [u64::MAX, 0, 0])]);
    let mut steps = one.repeat(FORKS);
    steps.push(end);
    let parent = probe::program_with_text(ELF_MACHINE, &steps, CHILD);
    let child = probe::program(ELF_MACHINE, &[end]);
    let tree = Tree::new([(CHILD, child.as_slice())].into_iter());
    let (words, output) = (Words { arguments: &["parent"], environment: &[] }, Output::kept());
    let world = RefCell::new(World::new(&tree, program().account())?);
    meter.fewer(40).sample(
        FORKS as u64,
        || world.borrow_mut().first("/parent", &parent, &words, &output).map_err(|_| Error::BadState),
        |process| {
            world.borrow_mut().run(process);
            if world.borrow().outcome() == Some(Ended::Exited(0)) { Ok(()) } else { Err(Error::BadState) }
        },
    )
}
