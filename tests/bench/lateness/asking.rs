//! How late a sleeper wakes while the kernel tells of something large.

use crate::measure::Benchmark;
use crate::support::crowd::{
    CAPABILITIES, attachment_behind_many_tables, children, space_with_mappings, subtree_at_many_places,
};
use crate::support::lateness::lateness;
use crate::support::machine::machine;
use alloc::vec::Vec;
use libvas::layout::{MappingInfo, Words};
use libvas::{Cap, Error, Space, raw};
use tessera_abi::Call;

pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark {
        name: "lateness_mappings_list",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread lists the first 1,024 of 20,000 mappings",
        leaves_out: "making what the call deals with",
        measure: |meter, _| lateness(meter, space_with_mappings, |space| list(&space).map(|()| space)),
    },
    Benchmark {
        name: "lateness_space_info",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread asks about a space to which one subtree is attached 4,000 times",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(meter, subtree_at_many_places, |(subtree, space)| space.info().map(|_| (subtree, space)))
        },
    },
    Benchmark {
        name: "lateness_mappings_list_tables",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread lists 1,024 of 2,000 mappings that have tables of their own, \
            behind which a subtree is attached",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(meter, attachment_behind_many_tables, |(subtree, space)| list(&space).map(|()| (subtree, space)))
        },
    },
    Benchmark {
        name: "lateness_space_info_tables",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread asks about a space with the tables of 2,000 mappings, behind which \
            a subtree is attached",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(meter, attachment_behind_many_tables, |(subtree, space)| space.info().map(|_| (subtree, space)))
        },
    },
    Benchmark {
        name: "lateness_subtree_info",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread asks about a subtree that is attached in 4,000 places",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(meter, subtree_at_many_places, |(subtree, space)| subtree.info().map(|_| (subtree, space)))
        },
    },
    Benchmark {
        name: "lateness_machine_check",
        points: &[],
        axis: "",
        what: "how late a sleeper wakes while another thread has the kernel check 20,000 mappings and 60,000 capabilities, and all else",
        leaves_out: "making what the call deals with",
        measure: |meter, _| {
            lateness(
                meter,
                || Ok((space_with_mappings()?, children(CAPABILITIES)?)),
                |much| machine()?.check().map(|_| much),
            )
        },
    },
];

/// What one call can list.
const LISTED: usize = 1024;

/// All that one call can list. libvas asks for the mappings one by one.
fn list(space: &Cap<Space>) -> Result<(), Error> {
    let mut words: Vec<u64> = Vec::with_capacity(LISTED * MappingInfo::COUNT);
    let buffer = words.as_mut_ptr().expose_provenance() as u64;
    let call = Call::MappingsList { target: space.handle(), from: 0, buffer, capacity: LISTED as u64 };
    let (number, arguments) = call.encode();
    // SAFETY: the kernel writes at most `capacity` structures to the buffer, which is as long and takes any words.
    let (status, _) = unsafe { raw::call(number, arguments) };
    Error::from_status(status)
}
