//! Which changes of page tables their makers have finished.

use std::collections::HashMap;

const FRAME_BITS: u32 = 12;

/// When CPUs came into the kernel, and when they last stored to which table.
#[derive(Debug)]
pub(super) struct Sections {
    now: u64,
    /// When each CPU came into the kernel, or last waited there; none in user mode.
    entered: Vec<Option<u64>>,
    /// Of each table, who stored to it last, and when.
    stores: HashMap<u64, (usize, u64)>,
}

impl Sections {
    pub(super) fn new(cpus: usize) -> Sections {
        Sections { now: 0, entered: vec![None; cpus], stores: HashMap::new() }
    }

    pub(super) fn store(&mut self, cpu: usize, place: u64) {
        self.now += 1;
        self.stores.insert(place >> FRAME_BITS, (cpu, self.now));
    }

    pub(super) fn execute(&mut self, cpu: usize, is_user: bool) {
        if is_user {
            self.entered[cpu] = None;
        } else if self.entered[cpu].is_none() {
            self.wait(cpu);
        }
    }

    pub(super) fn wait(&mut self, cpu: usize) {
        self.now += 1;
        self.entered[cpu] = Some(self.now);
    }

    /// Whether all changes of the tables that hold these entries are finished.
    pub(super) fn are_finished(&self, entries: &[u64]) -> bool {
        entries.iter().all(|place| {
            let Some((cpu, when)) = self.stores.get(&(place >> FRAME_BITS)) else { return true };
            self.entered[*cpu].is_none_or(|entered| entered > *when)
        })
    }
}
