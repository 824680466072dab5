//! Stretches of the kernel: where they begin and end, and what they are for.

use tlb_model::stretches::{Block, Cause, Stretch, Stretches, Summary};

const KERNEL: Block = Block { is_kernel: true, waits: false, instructions: 10 };
const PROGRAM: Block = Block { is_kernel: false, ..KERNEL };
const SPIN: Block = Block { waits: true, instructions: 3, ..KERNEL };

fn summary(instructions: u64, waiting: u64, count: u64) -> Summary {
    Summary { longest: Stretch::new(instructions, waiting), count }
}

/// A CPU, after the first call of a program on another one, which goes on.
fn begun() -> Stretches {
    let mut found = Stretches::default();
    found.call(0, 0);
    found.execute(1, PROGRAM);
    found
}

#[test]
fn a_call_lasts_from_the_program_to_the_program() {
    let mut found = begun();
    for blocks in [2, 3, 1] {
        found.call(1, 48);
        (0..blocks).for_each(|_| found.execute(1, KERNEL));
        found.execute(1, PROGRAM);
    }
    assert_eq!(found.longest(), [(Cause::Call(48), summary(30, 0, 3))]);
}

#[test]
fn what_no_call_began_is_a_fault_or_an_interrupt() {
    let mut found = begun();
    found.execute(1, KERNEL);
    found.execute(1, PROGRAM);
    found.execute(1, KERNEL);
    found.fault(1);
    found.execute(1, KERNEL);
    found.execute(1, PROGRAM);
    // Within a call the kernel may look where an access has faulted; that does not change what it is for.
    found.call(1, 5);
    found.execute(1, KERNEL);
    found.fault(1);
    found.execute(1, PROGRAM);
    let ten = summary(10, 0, 1);
    assert_eq!(
        found.longest(),
        [(Cause::Fault, summary(20, 0, 1)), (Cause::Call(5), ten), (Cause::Interrupt, ten)],
        "the longest first, then by cause"
    );
}

#[test]
fn nothing_counts_before_the_first_call_and_before_it_has_ended() {
    let mut found = Stretches::default();
    found.execute(1, KERNEL);
    found.wait(1, 0);
    found.execute(1, KERNEL);
    found.execute(1, PROGRAM);
    assert_eq!(found.longest(), []);
    found.call(2, 0);
    found.execute(2, KERNEL);
    assert_eq!(found.longest(), [], "it goes on");
}

#[test]
fn taking_interrupts_splits_a_call_and_keeps_its_cause() {
    let mut found = begun();
    found.call(1, 7);
    found.execute(1, KERNEL);
    found.execute(1, KERNEL);
    // The last four instructions of that block come behind it.
    found.take_interrupts(1, 4);
    found.execute(1, KERNEL);
    found.execute(1, PROGRAM);
    assert_eq!(found.longest(), [(Cause::Call(7), summary(16, 0, 2))]);
}

#[test]
fn what_comes_behind_waiting_is_an_interrupt() {
    let mut found = begun();
    found.call(1, 4);
    found.execute(1, KERNEL);
    found.wait(1, 0);
    found.execute(1, KERNEL);
    found.execute(1, KERNEL);
    found.execute(1, PROGRAM);
    assert_eq!(found.longest(), [(Cause::Interrupt, summary(20, 0, 1)), (Cause::Call(4), summary(10, 0, 1))]);
}

#[test]
fn an_interrupt_that_is_pending_when_the_kernel_leaves_is_another_stretch() {
    let mut found = begun();
    found.call(1, 9);
    found.execute(1, KERNEL);
    found.leave(1);
    found.execute(1, KERNEL);
    found.execute(1, KERNEL);
    found.execute(1, PROGRAM);
    found.leave(1);
    assert_eq!(found.longest(), [(Cause::Interrupt, summary(20, 0, 1)), (Cause::Call(9), summary(10, 0, 1))]);
}

#[test]
fn cpus_are_apart_and_waiting_for_another_is_told() {
    let mut found = begun();
    found.call(1, 0);
    found.call(2, 1);
    found.execute(1, KERNEL);
    found.execute(2, KERNEL);
    found.execute(2, SPIN);
    found.execute(2, SPIN);
    found.execute(1, PROGRAM);
    found.execute(2, PROGRAM);
    assert_eq!(found.longest(), [(Cause::Call(0), summary(10, 0, 1)), (Cause::Call(1), summary(16, 6, 1))]);
}

#[test]
fn a_short_round_of_waiting_is_all_waiting_and_a_long_one_is_not() {
    let mut found = begun();
    found.call(1, 6);
    found.execute(1, KERNEL);
    // What a round does between its hints, and before the first one, which ends no round.
    for others in [1, 3, 19, 20] {
        (0..others).for_each(|_| found.execute(1, KERNEL));
        found.execute(1, SPIN);
    }
    // What the other CPU has let it come to.
    found.execute(1, KERNEL);
    found.execute(1, PROGRAM);
    let rounds = [3, 33, 193, 3];
    assert_eq!(found.longest(), [(Cause::Call(6), summary(462, rounds.iter().sum(), 1))]);
}

#[test]
fn waiting_makes_no_stretch_the_longest() {
    let mut found = begun();
    for (spins, blocks) in [(1000, 1), (0, 3), (5, 2)] {
        found.call(1, 8);
        (0..blocks).for_each(|_| found.execute(1, KERNEL));
        (0..spins).for_each(|_| found.execute(1, SPIN));
        found.execute(1, PROGRAM);
    }
    found.call(1, 2);
    (0..2).for_each(|_| found.execute(1, KERNEL));
    (0..100).for_each(|_| found.execute(1, SPIN));
    found.execute(1, PROGRAM);
    assert_eq!(found.longest(), [(Cause::Call(8), summary(30, 0, 3)), (Cause::Call(2), summary(320, 300, 1))]);
}
