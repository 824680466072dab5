//! The leak check: what exists before a program and after it must be the same.

use libvas::layout::{MachineInfo, Words};
use libvas::{Cap, Error, Machine};
use rt::println;

/// The figures that must not change, by their place in `MachineInfo`; the nameless ones are not compared.
const FIGURES: [&str; MachineInfo::COUNT] = [
    "",
    "free memory, bytes",
    "kernel heap, bytes",
    "",
    "",
    "accounts",
    "spaces",
    "subtrees",
    "segments",
    "threads",
    "tables",
    "capabilities",
];

/// What existed at some moment.
pub(crate) struct Census([u64; MachineInfo::COUNT]);

impl Census {
    pub(crate) fn take(machine: &Cap<Machine>) -> Result<Census, Error> {
        let mut words = [0; MachineInfo::COUNT];
        machine.info()?.write(&mut words);
        Ok(Census(words))
    }

    /// Says what has changed since; whether nothing has.
    pub(crate) fn compare(&self, after: &Census, name: &str) -> bool {
        let mut same = true;
        for ((figure, before), after) in FIGURES.iter().zip(self.0).zip(after.0) {
            if !figure.is_empty() && before != after {
                println!("[init] LEAK after {name}: {figure}: {before} before, {after} after");
                same = false;
            }
        }
        same
    }
}
