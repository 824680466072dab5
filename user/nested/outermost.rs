//! The story that the outermost supervisor tells, and checks.

use crate::supervisor::{Report, Supervisor};
use crate::task::Task;
use demonstration::{Failure, chapter, check, counted};
use libvas::layout::MachineInfo;
use libvas::{Cap, Error, Machine, clock, program};
use rt::println;

/// Questions of the program.
const QUESTIONS: u64 = 100;

/// Tells it with so many supervisors.
pub(crate) fn show(supervisors: u64) -> Result<(), Failure> {
    let machine = program().machine().ok_or(Error::MissingRight)?;
    println!(
        "Supervisors: {supervisors}, each but the first a guest of the one before it; and a program, the guest of the last."
    );
    println!("What a guest says has a mark for each supervisor through which it went.");
    chapter("A program asks, and the supervisor next to it answers");
    let report = perform(supervisors, Task::Ask(QUESTIONS))?;
    check(supervisors == 1 || report.answered == 0, "no question comes further than to the one who answers it")?;
    chapter("Who cannot answer asks its own supervisor");
    let report = perform(supervisors, Task::PassOn(QUESTIONS))?;
    check(report.answered == QUESTIONS, "all questions come out to the outermost supervisor")?;
    chapter("A mistake of the program is for the supervisor next to it to see");
    leaves_nothing(machine, supervisors, Task::Fault)?;
    chapter("It takes the program off the CPU when its time is over");
    leaves_nothing(machine, supervisors, Task::Spin)?;
    chapter("Nobody names what is another's");
    leaves_nothing(machine, supervisors, Task::Forge)?;
    if supervisors > 1 {
        chapter("A supervisor that ends takes along what it runs");
        leaves_nothing(machine, supervisors, Task::Kill)?;
    }
    tell_costs(supervisors)?;
    let facts = machine.check()?;
    println!("   the kernel checked {facts} facts about itself");
    println!("nested: all as told");
    Ok(())
}

fn perform(supervisors: u64, task: Task) -> Result<Report, Failure> {
    let report = Supervisor::outermost(supervisors, task).run()?;
    check(report.ended == task.expected(supervisors), "the guest ends as its task says")?;
    Ok(report)
}

/// The same, and what exists is counted before and after it.
fn leaves_nothing(machine: &Cap<Machine>, supervisors: u64, task: Task) -> Result<(), Failure> {
    let count = |info: MachineInfo| {
        [info.accounts, info.spaces, info.subtrees, info.segments, info.threads, info.tables, info.capabilities]
    };
    let before = count(machine.info()?);
    perform(supervisors, task)?;
    check(count(machine.info()?) == before, "no object is left of any guest")
}

/// What a question takes more if there are more supervisors. The difference of two numbers of questions is without what a program's
/// beginning and end take.
fn tell_costs(supervisors: u64) -> Result<(), Failure> {
    chapter("What a question takes");
    let mut costs = [[0; 3]; crate::task::SUPERVISORS_MAX as usize];
    for (number, cost) in (1..=supervisors).zip(&mut costs) {
        let [few, many] = [measured(number, QUESTIONS)?, measured(number, 2 * QUESTIONS)?];
        let each = core::array::from_fn(|which| many[which].saturating_sub(few[which]) / QUESTIONS);
        *cost = each;
        // Each supervisor is run once for each run that the one in it asks for, to be told and to ask again.
        check(many[0] - few[0] == QUESTIONS << (number - 1), "each supervisor more doubles the runs of guests")?;
    }
    println!("   supervisors    guests run    changes of space    nanoseconds");
    for (number, [runs, spaces, nanoseconds]) in (1..=supervisors).zip(costs) {
        println!("   {number:>11} {runs:>13} {spaces:>19} {nanoseconds:>14}");
    }
    println!("   (by the outermost supervisor, for one question of the program; instructions under --icount)");
    Ok(())
}

/// Runs of guests, changes of space, and nanoseconds, all in all.
fn measured(supervisors: u64, questions: u64) -> Result<[u64; 3], Failure> {
    let began = clock::now();
    let (counters, report) = counted(|| perform(supervisors, Task::Ask(questions)))?;
    Ok([report.runs, counters.space_switches, (clock::now() - began).as_nanos() as u64])
}
