//! What an unmap costs by where so many other CPUs are: in the space, or gone from it.

use crate::measure::Benchmark;
use crate::support::others::{Target, Where};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "shootdown_active",
        points: &[0, 1, 2, 3, 4, 5, 6, 7, 15, 31],
        axis: "other CPUs",
        what: "unmapping one page of the space that the thread is in, which is also that of so many other CPUs",
        leaves_out: "telling the CPUs apart: the counter goes on with the instructions of all of them, those of \
            waiting included",
        measure: |meter, others| Target::anywhere()?.measure(meter, others, Where::Inside),
    },
    Benchmark {
        name: "shootdown_left",
        points: &[0, 1, 2, 3, 4, 5, 6, 7, 15, 31],
        axis: "other CPUs",
        what: "unmapping one page of the space that the thread is in, in which so many other CPUs have been, \
            and are no more",
        leaves_out: "telling the CPUs apart: the counter goes on with the instructions of all of them, those of \
            waiting included",
        measure: |meter, others| Target::anywhere()?.measure(meter, others, Where::Left),
    },
    Benchmark {
        name: "shootdown_active_interrupts",
        points: &[0, 1, 2, 3, 4, 5, 6, 7, 15, 31],
        axis: "other CPUs",
        what: "interrupts sent by an unmap of one page of a space in which so many other CPUs are",
        leaves_out: "what they take on the other CPUs",
        measure: |meter, others| {
            Target::anywhere()?.count(meter, others, Where::Inside, "interrupts", |counters| counters.shootdowns_sent)
        },
    },
    Benchmark {
        name: "shootdown_left_marks",
        points: &[0, 1, 2, 3, 4, 5, 6, 7, 15, 31],
        axis: "other CPUs",
        what: "tags marked stale on other CPUs by an unmap of one page of a space that they have left",
        leaves_out: "the flush that each mark means",
        measure: |meter, others| {
            Target::anywhere()?.count(meter, others, Where::Left, "marks", |counters| counters.stale_marks)
        },
    },
];
