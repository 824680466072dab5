//! The two backends of `arch/` mirror each other: a file of one has its like, under the same name, in the other.

use crate::tree::{Breach, Tree};

/// The folders that are compared.
const BACKENDS: [&str; 2] = ["arch/aarch64/", "arch/x86_64/"];

/// The files that one backend has alone, and why.
const ALONE: [(&str, &str); 12] = [
    (
        "arch/aarch64/power.rs",
        "one firmware starts CPUs and ends the machine; a PC has a port here and a message there",
    ),
    ("arch/aarch64/syndrome.rs", "one register says what happened; on x86_64 a vector and a few bits do"),
    ("arch/x86_64/acpi.rs", "firmware's tables are found by hand; a crate reads device trees"),
    ("arch/x86_64/boot_bootloader.rs", "there are two loaders"),
    ("arch/x86_64/boot_limine.rs", "there are two loaders"),
    ("arch/x86_64/firmware.rs", "firmware's tables lie outside of memory"),
    ("arch/x86_64/gdt.rs", "segments"),
    ("arch/x86_64/idt.rs", "vectors are a table in memory"),
    ("arch/x86_64/instruction.rs", "the CPU does not say that an instruction was not for programs"),
    ("arch/x86_64/memory_map.rs", "firmware's entries overlap"),
    ("arch/x86_64/mtrr.rs", "memory has types besides those of page tables"),
    ("arch/x86_64/rates.rs", "clocks tell their rates in several ways, or not"),
];

/// Files without a counterpart that are not in the list, and entries of the list that do not hold.
pub(crate) fn breaches(tree: &Tree) -> Vec<Breach> {
    let mut found = Vec::new();
    for path in &tree.names {
        let is_listed = ALONE.iter().any(|(alone, _)| alone == path);
        if let Some(other) = counterpart(path).filter(|other| !is_listed && !tree.names.contains(other)) {
            found.push(Breach::new(
                path,
                1,
                format!("has no counterpart {other}, and no reason for that in mirror.rs"),
            ));
        }
    }
    for (path, reason) in ALONE {
        let is_alone = counterpart(path).is_some_and(|other| !tree.names.contains(&other));
        if tree.names.iter().any(|name| name.starts_with("arch/")) && !(is_alone && has(tree, path)) {
            found.push(Breach::new(path, 1, format!("is not alone any more, as mirror.rs has it: \"{reason}\"")));
        }
    }
    found
}

/// The file of the other backend by the same name.
fn counterpart(path: &str) -> Option<String> {
    let [one, other] = BACKENDS;
    let name = path.strip_prefix(one).map(|name| (other, name));
    name.or_else(|| path.strip_prefix(other).map(|name| (one, name))).map(|(folder, name)| format!("{folder}{name}"))
}

fn has(tree: &Tree, path: &str) -> bool {
    tree.names.iter().any(|name| name == path)
}

#[cfg(test)]
mod tests {
    use super::{ALONE, breaches};
    use crate::tree::Tree;

    fn told(more: &[(&str, &str)]) -> Vec<String> {
        let alone = ALONE.iter().map(|(path, _)| (*path, ""));
        let files: Vec<_> = alone.chain(more.iter().copied()).collect();
        breaches(&Tree::of(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_with_its_like_and_one_that_may_be_alone_pass() {
        assert!(
            told(&[("arch/aarch64/tlb.rs", ""), ("arch/x86_64/tlb.rs", ""), ("arch/fake/oracle.rs", "")]).is_empty()
        );
    }

    #[test]
    fn a_file_without_its_like_is_told() {
        let found = told(&[("arch/x86_64/apic.rs", "")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("arch/x86_64/apic.rs:1: has no counterpart arch/aarch64/apic.rs"), "{found:?}");
    }

    #[test]
    fn an_entry_of_the_list_that_does_not_hold_is_told() {
        assert!(told(&[("arch/aarch64/gdt.rs", "")])[0].contains("arch/x86_64/gdt.rs:1: is not alone any more"));
        let rest: Vec<_> = ALONE[1..].iter().map(|(path, _)| (*path, "")).collect();
        assert_eq!(breaches(&Tree::of(&rest)).len(), 1);
    }
}
