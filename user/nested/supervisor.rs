//! A supervisor: runs its guest until that ends, serves its calls, and answers its questions.

use crate::calls::Served;
use crate::child::Child;
use crate::innermost::read_nothing;
use crate::question::{self, DEADLY, PASS_ON, answer_to};
use crate::task::{Role, Task};
use alloc::vec::Vec;
use core::fmt;
use core::hint::black_box;
use core::time::Duration;
use demonstration::{Failure, check};
use executable::Executable;
use init::archive::Archive;
use init::loader::IMAGES;
use libvas::guest::End;
use libvas::layout::program::STACK_BYTES;
use libvas::{Rights, clock, program, raw};
use rt::println;
use tessera_abi::Call;

/// What a guest may spend, for each program that is in it.
const BUDGET_BYTES: u64 = 4 << 20;

/// How long a guest may run that is to be stopped.
const PATIENCE: Duration = Duration::from_millis(20);

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this code.
    Exited(u64),
    /// By a mistake: where it used memory, and how.
    Faulted { address: u64, access: Rights },
    /// It came out for a reason of its supervisor's.
    Overdue,
    /// It did something else that no program should.
    Broken,
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Exited(code) => write!(formatter, "it ended with code {code}"),
            Ended::Faulted { address, access } => {
                write!(formatter, "it used {address:#x} ({access:?}), which it cannot")
            }
            Ended::Overdue => write!(formatter, "its time was over"),
            Ended::Broken => write!(formatter, "it did what no program should"),
        }
    }
}

/// What a supervisor has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) ended: Ended,
    /// How often a guest was run: its own, and those of guests.
    pub(crate) runs: u64,
    /// Calls that were served.
    pub(crate) calls: u64,
    /// Questions that were answered.
    pub(crate) answered: u64,
    /// Those that were passed on.
    pub(crate) passed_on: u64,
}

/// A supervisor, by what it is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supervisor {
    left: u64,
    task: Task,
    is_outermost: bool,
}

impl Supervisor {
    /// The one that the kernel runs, with so many in all.
    pub(crate) fn outermost(supervisors: u64, task: Task) -> Supervisor {
        Supervisor { left: supervisors, task, is_outermost: true }
    }

    /// One that another supervisor runs.
    pub(crate) fn inner(left: u64, task: Task) -> Supervisor {
        Supervisor { left, task, is_outermost: false }
    }

    /// Makes its guest, runs it to its end, and looks whether anything is left of it.
    pub(crate) fn run(&self) -> Result<Report, Failure> {
        let archive = Archive::open()?;
        let file = archive.find("nested").ok_or(Failure::NotAsTold("this program is in the boot archive"))?;
        let image =
            Executable::parse(file, raw::ELF_MACHINE, &IMAGES).map_err(|_| Failure::NotAsTold("it is a program"))?;
        let arguments = Role::arguments_of_guest(self.left, self.task);
        warm_up();
        // A thread keeps what its first run of a guest takes.
        let (first, until_ns) = (Child::new(&image, &arguments, BUDGET_BYTES * self.left)?, self.deadline_ns());
        first.run_until(until_ns)?;
        drop(first);
        let before = program().account().info()?;
        let mut child = Child::new(&image, &arguments, BUDGET_BYTES * self.left)?;
        let report = self.supervise(&mut child)?;
        drop(child);
        check(program().account().info()? == before, "nothing that the guest made is charged any more")?;
        self.tell(&report);
        Ok(report)
    }

    fn supervise(&self, child: &mut Child) -> Result<Report, Failure> {
        let mut report = Report { ended: Ended::Broken, runs: 0, calls: 0, answered: 0, passed_on: 0 };
        let deadline_ns = self.deadline_ns();
        loop {
            report.runs += 1;
            report.ended = match child.run_until(deadline_ns)? {
                End::Call(question::NUMBER) => {
                    let [how, number, ..] = child.call_arguments();
                    child.answer(Ok(self.answer(how, number, &mut report)?));
                    continue;
                }
                End::Call(number) => match self.serve(child, number, &mut report) {
                    Served::Goes(result) => {
                        child.answer(result);
                        continue;
                    }
                    Served::Exits(code) => Ended::Exited(code),
                },
                End::Fault { address, access } => Ended::Faulted { address, access },
                End::Deadline => Ended::Overdue,
                End::Exception { .. } | End::Step | End::Breakpoint | End::Kick => Ended::Broken,
            };
            return Ok(report);
        }
    }

    /// Until when its guest may run.
    fn deadline_ns(&self) -> u64 {
        match (self.task, self.left) {
            (Task::Spin, 1) => (clock::now() + PATIENCE).as_nanos() as u64,
            _ => u64::MAX,
        }
    }

    fn serve(&self, child: &mut Child, number: u64, report: &mut Report) -> Served {
        report.calls += 1;
        match Call::decode(number, child.call_arguments()) {
            Ok(call) => {
                report.runs += u64::from(matches!(call, Call::GuestRun { .. }));
                child.serve(call)
            }
            Err(error) => Served::Goes(Err(error)),
        }
    }

    fn answer(&self, how: u64, number: u64, report: &mut Report) -> Result<u64, Failure> {
        report.answered += 1;
        match how {
            PASS_ON if !self.is_outermost => {
                report.passed_on += 1;
                Ok(question::ask(PASS_ON, number)?)
            }
            DEADLY => read_nothing().map(|()| 0),
            _ => Ok(answer_to(number)),
        }
    }

    fn tell(&self, report: &Report) {
        let Report { ended, calls, answered, passed_on, .. } = report;
        let what = if self.left == 1 { "the program" } else { "a supervisor" };
        println!("runs {what}: {calls} calls served, {answered} questions, {passed_on} of them passed on; {ended}");
    }
}

/// Has the heap take what it keeps for blocks of each size, 16 bytes to 32 KiB, and the stack what it will need: no guest is to be
/// blamed for that.
#[inline(never)]
fn warm_up() {
    (4..=15).for_each(|power| drop(black_box(Vec::<u8>::with_capacity(1 << power))));
    black_box([0_u8; STACK_BYTES as usize / 2]);
}
