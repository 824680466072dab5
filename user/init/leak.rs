//! The leak check: what exists before a program and after it must be the same.

use libvas::layout::{MachineInfo, Words};
use libvas::{Cap, Error, Machine, program};
use rt::println;

/// The figures that must not change, by their place in `MachineInfo`; the nameless ones are not compared. Memory is not
/// among them: lists of objects grow when there are more than ever before, and the kernel keeps that room. What an
/// account is charged is exact.
const FIGURES: [&str; MachineInfo::COUNT] =
    ["", "", "", "", "", "accounts", "spaces", "subtrees", "segments", "threads", "tables", "capabilities", ""];

/// What existed at some moment.
pub(crate) struct Census {
    machine: [u64; MachineInfo::COUNT],
    charged_bytes: u64,
}

impl Census {
    pub(crate) fn take(machine: &Cap<Machine>) -> Result<Census, Error> {
        let mut words = [0; MachineInfo::COUNT];
        machine.info()?.write(&mut words);
        Ok(Census { machine: words, charged_bytes: program().account().info()?.used_bytes })
    }

    /// Says what has changed since; whether nothing has.
    pub(crate) fn compare(&self, after: &Census, name: &str) -> bool {
        let counted = FIGURES.into_iter().zip(self.machine).zip(after.machine);
        let charged = (("bytes charged", self.charged_bytes), after.charged_bytes);
        let mut same = true;
        for ((figure, before), after) in counted.chain([charged]) {
            if !figure.is_empty() && before != after {
                println!("[init] LEAK after {name}: {figure}: {before} before, {after} after");
                same = false;
            }
        }
        same
    }
}
