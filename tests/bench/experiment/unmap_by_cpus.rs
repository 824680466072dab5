//! The experiment of the VM_LOCAL_CPU proposal: an unmap by how many CPUs the program uses, in an ordinary space,
//! in one that is local to the CPU, and in a core window.

use crate::measure::Benchmark;
use crate::support::others::{Target, Where};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "unmap_everywhere",
        points: &[1, 2, 4, 8, 16, 32],
        axis: "CPUs",
        what: "unmapping one page of a space in which as many CPUs are, this one included",
        leaves_out: "telling the CPUs apart: the counter goes on with the instructions of all of them, those of \
            waiting included",
        measure: |meter, cpus| Target::anywhere()?.measure(meter, cpus - 1, Where::Inside),
    },
    Benchmark {
        name: "unmap_local",
        points: &[1, 2, 4, 8, 16, 32],
        axis: "CPUs",
        what: "unmapping one page of a space that is local to this CPU, while all together so many run threads \
            of the program",
        leaves_out: "telling the CPUs apart: the counter goes on with the instructions of all of them, those of \
            waiting included",
        measure: |meter, cpus| Target::local()?.measure(meter, cpus - 1, Where::Elsewhere),
    },
    Benchmark {
        name: "unmap_core_window",
        points: &[1, 2, 4, 8, 16, 32],
        axis: "CPUs",
        what: "unmapping one page of a core window of this CPU, in a space in which as many CPUs are, this one \
            included",
        leaves_out: "telling the CPUs apart: the counter goes on with the instructions of all of them, those of \
            waiting included",
        measure: |meter, cpus| Target::core_window()?.measure(meter, cpus - 1, Where::Inside),
    },
    Benchmark {
        name: "unmap_everywhere_interrupts",
        points: &[1, 2, 4, 8, 16, 32],
        axis: "CPUs",
        what: "interrupts sent to other CPUs by an unmap of one page of a space in which as many CPUs are, this \
            one included",
        leaves_out: "what they take on the other CPUs",
        measure: |meter, cpus| {
            Target::anywhere()?.count(meter, cpus - 1, Where::Inside, "interrupts", |counters| counters.shootdowns_sent)
        },
    },
    Benchmark {
        name: "unmap_local_interrupts",
        points: &[1, 2, 4, 8, 16, 32],
        axis: "CPUs",
        what: "interrupts sent to other CPUs by an unmap of one page of a space that is local to this CPU, \
            while all together so many run threads of the program",
        leaves_out: "what they take on the other CPUs",
        measure: |meter, cpus| {
            Target::local()?.count(meter, cpus - 1, Where::Elsewhere, "interrupts", |counters| counters.shootdowns_sent)
        },
    },
    Benchmark {
        name: "unmap_core_window_interrupts",
        points: &[1, 2, 4, 8, 16, 32],
        axis: "CPUs",
        what: "interrupts sent to other CPUs by an unmap of one page of a core window of this CPU, in a space \
            in which as many CPUs are, this one included",
        leaves_out: "what they take on the other CPUs",
        measure: |meter, cpus| {
            Target::core_window()?
                .count(meter, cpus - 1, Where::Inside, "interrupts", |counters| counters.shootdowns_sent)
        },
    },
];
