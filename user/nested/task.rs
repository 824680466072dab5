//! Who a program is to be, and what it is to do. Arguments tell it to a program that was just started.

use crate::supervisor::Ended;
use alloc::format;
use alloc::string::String;
use libvas::{Rights, TOP_SLOT_BYTES};

/// The most supervisors. Each has the others' copies of this program in its budget.
pub(crate) const SUPERVISORS_MAX: u64 = 5;

/// How many there are unless the arguments say otherwise.
const SUPERVISORS: u64 = 2;

/// An address at which nothing is in any space.
pub(crate) const NOTHING: u64 = 77 * TOP_SLOT_BYTES;

/// What the innermost program does, and what is to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Asks so many questions, which the supervisor next to it answers.
    Ask(u64),
    /// The same, and that one passes each of them on to its own.
    PassOn(u64),
    /// Reads where nothing is.
    Fault,
    /// Runs for ever; the supervisor next to it has set a deadline.
    Spin,
    /// Uses handles that it was not given, and calls that its supervisor does not serve.
    Forge,
    /// Asks a question at which the supervisor next to it reads where nothing is.
    Kill,
}

/// Who a program is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// The one that the kernel runs.
    Outermost { supervisors: u64 },
    /// One that another supervisor runs; from it on so many are left, itself included.
    Supervisor { left: u64, task: Task },
    /// The one that is no supervisor.
    Innermost { task: Task },
}

impl Task {
    fn from_words(word: &str, number: u64) -> Option<Task> {
        Some(match word {
            "ask" => Task::Ask(number),
            "pass_on" => Task::PassOn(number),
            "fault" => Task::Fault,
            "spin" => Task::Spin,
            "forge" => Task::Forge,
            "kill" => Task::Kill,
            _ => return None,
        })
    }

    fn words(self) -> (&'static str, u64) {
        match self {
            Task::Ask(count) => ("ask", count),
            Task::PassOn(count) => ("pass_on", count),
            Task::Fault => ("fault", 0),
            Task::Spin => ("spin", 0),
            Task::Forge => ("forge", 0),
            Task::Kill => ("kill", 0),
        }
    }

    /// How the guest of a supervisor must end, from which on so many are left.
    pub(crate) fn expected(self, left: u64) -> Ended {
        let fault = Ended::Faulted { address: NOTHING, access: Rights::READ };
        match (self, left) {
            (Task::Fault, 1) | (Task::Kill, 2) => fault,
            (Task::Spin, 1) => Ended::Overdue,
            _ => Ended::Exited(0),
        }
    }
}

impl Role {
    /// Who a guest is of a supervisor from which on so many are left, as arguments.
    pub(crate) fn arguments_of_guest(left: u64, task: Task) -> String {
        let (word, number) = task.words();
        match left {
            0 | 1 => format!("program {word} {number}"),
            _ => format!("supervisor {} {word} {number}", left - 1),
        }
    }

    /// The other way.
    pub(crate) fn from_arguments(arguments: &str) -> Option<Role> {
        let words = &mut arguments.split_whitespace();
        let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
        let role = match words.next() {
            None => Role::Outermost { supervisors: SUPERVISORS },
            Some("supervisor") => {
                let left = number(words.next())?;
                Role::Supervisor { left, task: Task::from_words(words.next()?, number(words.next())?)? }
            }
            Some("program") => Role::Innermost { task: Task::from_words(words.next()?, number(words.next())?)? },
            word => Role::Outermost { supervisors: number(word)? },
        };
        let is_right = match role {
            Role::Outermost { supervisors: left } | Role::Supervisor { left, .. } => {
                (1..=SUPERVISORS_MAX).contains(&left)
            }
            Role::Innermost { .. } => true,
        };
        (is_right && words.next().is_none()).then_some(role)
    }
}
