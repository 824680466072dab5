//! How late a sleeper wakes while something is done to a subtree that holds much, or is in many places.

use crate::measure::Benchmark;
use crate::support::crowd::{PAGE, many_spaces, subtree_at_many_places, subtree_in_many_spaces, subtree_with_mappings};
use crate::support::lateness::lateness;
use crate::support::machine::machine;
use crate::support::scene::{SLOT, subtree};
use alloc::vec::Vec;
use libvas::{Cap, Error, Rights, Space, Subtree};

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "lateness_subtree_destroy",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread gives up a subtree with 20,000 mappings",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, subtree_with_mappings, Cap::delete),
    },
    Benchmark {
        name: "lateness_subtree_seal",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread seals a subtree with 20,000 mappings",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, subtree_with_mappings, |subtree| subtree.seal().map(|()| subtree)),
    },
    Benchmark {
        name: "lateness_subtree_withdraw_places",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread takes a subtree out of 4,000 places in one space",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(meter, subtree_at_many_places, |(subtree, space)| subtree.withdraw().map(|_| (subtree, space)))
        },
    },
    Benchmark {
        name: "lateness_subtree_withdraw_spaces",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread takes a subtree out of 3,000 spaces",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(meter, subtree_in_many_spaces, |(subtree, spaces)| subtree.withdraw().map(|_| (subtree, spaces)))
        },
    },
    Benchmark {
        name: "lateness_subtree_publish",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread makes a subtree public, with 3,000 spaces",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, secret, |(subtree, spaces)| publish(&subtree).map(|()| (subtree, spaces))),
    },
    Benchmark {
        name: "lateness_subtree_withdraw_public",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread takes a public subtree back, with 3,000 spaces",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, public, |(subtree, spaces)| subtree.withdraw().map(|_| (subtree, spaces))),
    },
    Benchmark {
        name: "lateness_subtree_protect",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread makes a page of a subtree read-only that 3,000 spaces share",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(meter, subtree_in_many_spaces, |(subtree, spaces)| {
                subtree.protect(PAGE, Rights::READ).map(|()| (subtree, spaces))
            })
        },
    },
    Benchmark {
        name: "lateness_subtree_unmap_places",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread unmaps a page of a subtree that is attached in 4,000 places of a space",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(meter, subtree_at_many_places, |(subtree, space)| subtree.unmap(PAGE).map(|()| (subtree, space)))
        },
    },
];

fn secret() -> Result<(Cap<Subtree>, Vec<Cap<Space>>), Error> {
    Ok((subtree()?, many_spaces()?))
}

fn public() -> Result<(Cap<Subtree>, Vec<Cap<Space>>), Error> {
    let (subtree, spaces) = secret()?;
    publish(&subtree)?;
    Ok((subtree, spaces))
}

fn publish(subtree: &Cap<Subtree>) -> Result<(), Error> {
    machine()?.publish(subtree, SLOT, Rights::READ)
}
