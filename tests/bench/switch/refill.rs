//! What is touched after a switch, by how much it is and by whose page tables show it: for the TLB model, since
//! instructions say nothing of refills.

use crate::measure::Benchmark;
use crate::support::working_set::{Kind, WorkingSet};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "refill_private",
        points: &[16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192],
        axis: "pages",
        what: "reading a word of each page, mapped in each of the spaces by itself, after a switch from one of \
            two spaces to the other",
        leaves_out: "the switch; the instructions are those of the loop, and the TLB model's figures are what this is \
            for",
        measure: |meter, pages| WorkingSet::new(Kind::Private, 2, pages)?.measure(meter),
    },
    Benchmark {
        name: "refill_shared",
        points: &[16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192],
        axis: "pages",
        what: "reading a word of each page, of a subtree that is attached to all of the spaces, after a switch \
            from one of two spaces to the other",
        leaves_out: "the switch; the instructions are those of the loop, and the TLB model's figures are what this is \
            for",
        measure: |meter, pages| WorkingSet::new(Kind::Shared, 2, pages)?.measure(meter),
    },
    Benchmark {
        name: "refill_public",
        points: &[16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192],
        axis: "pages",
        what: "reading a word of each page, of a public subtree, whose translations are global, after a switch \
            from one of two spaces to the other",
        leaves_out: "the switch; the instructions are those of the loop, and the TLB model's figures are what this is \
            for",
        measure: |meter, pages| WorkingSet::new(Kind::Public, 2, pages)?.measure(meter),
    },
    Benchmark {
        name: "refill_private_by_spaces",
        points: &[2, 4, 8, 16, 32, 64],
        axis: "spaces",
        what: "reading a word of each of 64 pages, mapped in each of the spaces by itself, after a switch to \
            the next of so many spaces",
        leaves_out: "the switch; the instructions are those of the loop, and the TLB model's figures are what this is \
            for",
        measure: |meter, spaces| WorkingSet::new(Kind::Private, spaces, 64)?.measure(meter),
    },
    Benchmark {
        name: "refill_shared_by_spaces",
        points: &[2, 4, 8, 16, 32, 64],
        axis: "spaces",
        what: "reading a word of each of 64 pages, of a subtree that is attached to all of the spaces, after a \
            switch to the next of so many spaces",
        leaves_out: "the switch; the instructions are those of the loop, and the TLB model's figures are what this is \
            for",
        measure: |meter, spaces| WorkingSet::new(Kind::Shared, spaces, 64)?.measure(meter),
    },
    Benchmark {
        name: "refill_public_by_spaces",
        points: &[2, 4, 8, 16, 32, 64],
        axis: "spaces",
        what: "reading a word of each of 64 pages, of a public subtree, whose translations are global, after a \
            switch to the next of so many spaces",
        leaves_out: "the switch; the instructions are those of the loop, and the TLB model's figures are what this is \
            for",
        measure: |meter, spaces| WorkingSet::new(Kind::Public, spaces, 64)?.measure(meter),
    },
];
