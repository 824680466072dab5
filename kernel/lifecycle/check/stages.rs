//! The stages of a pass, in their order.

use crate::base::effort::Effort;
use crate::lifecycle::check::stage::{Stage, over};
use crate::lifecycle::check::{cpus, gates, lists, maps, roots, tally, threads, trees};
use crate::object::id::ObjectRef;
use crate::state::kernel::Kernel;

macro_rules! objects {
    ($store:ident) => {
        |kernel, number, effort| kernel.$store.first_from(number, effort).map(|found| found.map(|id| id.index()))
    };
}

macro_rules! list_stage {
    ($kind:ident $store:ident) => {
        over(objects!($store), |kernel, walk, effort| {
            let Some(id) = kernel.$store.id_at(walk.number) else { return true };
            let list = kernel.$store.capabilities(walk.number);
            lists::check_list(kernel, (ObjectRef::$kind(id), list), walk, effort)
        })
    };
}

/// The one thing of a stage that is about one thing.
fn once(_kernel: &Kernel, number: u32, _effort: &mut Effort) -> Result<Option<u32>, u32> {
    Ok((number == 0).then_some(0))
}

/// CPUs that the machine has.
fn each_cpu(kernel: &Kernel, number: u32, _effort: &mut Effort) -> Result<Option<u32>, u32> {
    Ok(((number as usize) < kernel.shared.lines().len()).then_some(number))
}

pub(super) static STAGES: &[Stage] = &[
    over(once, cpus::check_frames),
    over(once, cpus::check_somewhere),
    over(each_cpu, cpus::check_queue),
    over(each_cpu, cpus::check_sleepers),
    over(objects!(threads), threads::check_thread).begins().compares(threads::compare_waiting),
    over(objects!(spaces), threads::check_space_threads),
    over(objects!(tables), threads::check_table_threads).compares(threads::compare_alive),
    over(objects!(tables), threads::check_slots),
    over(objects!(gates), gates::check_gate),
    over(objects!(guests), gates::check_guest),
    over(objects!(threads), gates::check_activations),
    over(objects!(spaces), cpus::check_tag).begins().after(cpus::begin_tags),
    over(objects!(spaces), cpus::check_words),
    over(each_cpu, cpus::check_line),
    over(objects!(subtrees), trees::check_owner),
    over(objects!(spaces), trees::check_space),
    over(objects!(spaces), maps::check_space).exact(),
    over(objects!(spaces), roots::check_roots).exact(),
    over(objects!(subtrees), trees::check_subtree),
    over(objects!(subtrees), maps::check_subtree).exact(),
    over(objects!(subtrees), trees::check_sharers),
    list_stage!(Account accounts).begins(),
    list_stage!(Space spaces),
    list_stage!(Subtree subtrees),
    list_stage!(Segment segments),
    list_stage!(Thread threads),
    list_stage!(CapTable tables),
    list_stage!(Gate gates),
    list_stage!(Guest guests),
    over(once, lists::check_machine),
    over(objects!(tables), lists::count_held).compares(lists::compare_listed),
    over(objects!(accounts), lists::check_charges),
    over(once, tally::check_tallies),
];
