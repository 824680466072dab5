//! The kernel's rooms: what each folder of `kernel/` holds, and from which others it may import.
//!
//! Below `state` are values that do not know `Kernel`; above it are operations on `Kernel`. Imports go down only.

use crate::imports::Imports;
use crate::tree::{Breach, Tree};

/// Each room, from the ground up, and the rooms that it may import from besides itself and `abi`.
const ROOMS: [(&str, &[&str]); 12] = [
    ("base", &[]),
    ("mem", &["base"]),
    ("cpu", &["base"]),
    ("paging", &["base", "mem"]),
    ("object", &["base", "mem", "cpu", "paging"]),
    ("state", &["base", "mem", "cpu", "paging", "object"]),
    ("tlb", &["base", "mem", "cpu", "paging", "object", "state"]),
    ("sched", &["base", "mem", "cpu", "paging", "object", "state"]),
    ("vm", &["base", "mem", "cpu", "paging", "object", "state", "tlb", "sched"]),
    ("lifecycle", &["base", "mem", "cpu", "paging", "object", "state", "tlb", "sched", "vm"]),
    ("syscall", &["base", "mem", "cpu", "paging", "object", "state", "tlb", "sched", "vm", "lifecycle"]),
    ("bench", &["base", "mem", "cpu", "paging", "object", "state", "tlb", "lifecycle"]),
];

/// The room that may import from all: nothing imports from it.
const TOP: &str = "entry";

/// Files of the kernel that stand in no room, and imports that lead to a room that is not below.
pub(crate) fn breaches(tree: &Tree) -> Vec<Breach> {
    let imports = Imports::of(tree, "kernel");
    let mut found = Vec::new();
    for file in imports.files() {
        let Some(room) = room_of(file) else {
            found.push(Breach::new(file, 1, "stands in no room of `tests/tidy/rooms.rs`".to_owned()));
            continue;
        };
        for (goal, line) in imports.of.get(file).into_iter().flatten() {
            let may = room_of(goal).is_some_and(|goal| may_import(room, goal));
            if !may {
                found.push(Breach::new(file, *line, format!("`{room}` may not import `{goal}`")));
            }
        }
    }
    found
}

fn may_import(room: &str, goal: &str) -> bool {
    let is_below = ROOMS.iter().any(|(name, below)| *name == room && below.contains(&goal));
    room == goal || is_below || room == TOP || room == ROOT
}

/// What the roots of the kernel's two crates are in.
const ROOT: &str = "root";

fn room_of(file: &str) -> Option<&str> {
    let path = file.strip_prefix("kernel/")?;
    let Some((room, _)) = path.split_once('/') else {
        return ["lib.rs", "main.rs"].contains(&path).then_some(ROOT);
    };
    (room == TOP || ROOMS.iter().any(|(name, _)| *name == room)).then_some(room)
}

#[cfg(test)]
mod tests {
    use super::breaches;
    use crate::tree::Tree;

    fn told(files: &[(&str, &str)]) -> Vec<String> {
        breaches(&Tree::of(files)).into_iter().map(|breach| breach.to_string()).collect()
    }

    #[test]
    fn imports_go_down() {
        let files = [
            ("kernel/lib.rs", "pub mod base; pub mod cpu; pub mod entry;"),
            ("kernel/base/mod.rs", "pub mod log;"),
            ("kernel/base/log.rs", "pub struct Log;"),
            ("kernel/cpu/mod.rs", "pub mod tags;"),
            ("kernel/cpu/tags.rs", "use crate::base::log::Log;"),
            ("kernel/entry/mod.rs", "use crate::cpu::tags;"),
        ];
        assert!(told(&files).is_empty(), "{:?}", told(&files));
    }

    #[test]
    fn an_import_that_goes_up_or_aside_is_told() {
        let files = [
            ("kernel/lib.rs", "pub mod base; pub mod sched; pub mod tlb;"),
            ("kernel/base/mod.rs", "\nuse crate::tlb::Flush;"),
            ("kernel/tlb/mod.rs", "pub struct Flush; fn f() { crate::sched::ready(); }"),
            ("kernel/sched/mod.rs", "pub fn ready() {}"),
        ];
        let told = told(&files);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("kernel/base/mod.rs:2") && told[0].contains("`base` may not import"), "{told:?}");
        assert!(told[1].contains("`tlb` may not import `kernel/sched/mod.rs`"), "{told:?}");
    }

    #[test]
    fn a_file_outside_the_rooms_is_told() {
        let files = [("kernel/lib.rs", "pub mod stray;"), ("kernel/stray.rs", "")];
        assert!(told(&files)[0].contains("stands in no room"));
    }
}
