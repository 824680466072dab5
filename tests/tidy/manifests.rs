//! Manifests: pinned versions, lints that every member inherits, and crates that know hardware in their places.

use crate::tree::{Breach, Tree};

/// Crates that know hardware.
const EDGE_CRATES: [&str; 9] =
    ["x86_64", "aarch64-cpu", "uart_16550", "bootloader_api", "limine", "arm-gic", "smccc", "arm-pl011-uart", "x2apic"];
/// Who may depend on them.
const EDGE_HOMES: [&str; 3] = ["arch/Cargo.toml", "qemu/stub/aarch64/Cargo.toml", "qemu/stub/x86_64/Cargo.toml"];
/// Workspaces of their own.
const APART: [&str; 4] =
    ["qemu/image/Cargo.toml", "qemu/report_tool/Cargo.toml", "qemu/tlb/Cargo.toml", "qemu/tlb/plugin/Cargo.toml"];
const SECTIONS: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];

/// All rules about `Cargo.toml` files.
pub(crate) fn breaches(tree: &Tree) -> Vec<Breach> {
    let mut found = Vec::new();
    for (path, text) in tree.ending_in("Cargo.toml") {
        let manifest: toml::Table = match text.parse() {
            Ok(manifest) => manifest,
            Err(error) => {
                found.push(Breach::new(path, 1, format!("cannot be read: {}", error.message())));
                continue;
            }
        };
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
        if !APART.contains(&path) && inherits != Some(true) {
            found.push(Breach::new(path, 1, "every member needs [lints] workspace = true"));
        }
        found.extend(misplaced(path, text, &manifest));
        found.extend(unpinned(path, text, &manifest));
    }
    found
}

fn misplaced(path: &str, text: &str, manifest: &toml::Table) -> Vec<Breach> {
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let tables = targets.filter_map(|(_, target)| target.as_table()).chain([manifest]);
    let sections = tables.flat_map(|table| SECTIONS.iter().filter_map(|section| table.get(*section)?.as_table()));
    let names = sections.flat_map(|section| section.keys());
    let wrong = names.filter(|name| EDGE_CRATES.contains(&&***name) && !EDGE_HOMES.contains(&path));
    wrong
        .map(|name| {
            let message = format!("{name} may be named under arch/ and qemu/stub only");
            Breach::new(path, line_of(text, name), message)
        })
        .collect()
}

fn unpinned(path: &str, text: &str, manifest: &toml::Table) -> Vec<Breach> {
    let shared = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies")?.as_table());
    let mut found = Vec::new();
    for (name, value) in shared.into_iter().flatten() {
        let version = value.as_str().or_else(|| value.get("version")?.as_str());
        if version.is_some_and(|version| !version.starts_with('=')) {
            found.push(Breach::new(path, line_of(text, name), format!("{name} is not pinned; write =VERSION")));
        }
    }
    found
}

/// The line that begins with a key.
fn line_of(text: &str, key: &str) -> usize {
    let is_it = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '=', '.']));
    text.lines().position(is_it).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::breaches;
    use crate::tree::Tree;

    #[test]
    fn versions_are_pinned_and_hardware_stays_at_the_edge() {
        let root = "[workspace.dependencies]\na = \"=1.0.0\"\nb = \"1\"\nc = { version = \"2\" }\nd = { path = \"d\" }\n\
                    [lints]\nworkspace = true\n";
        let member = "[dependencies]\nx86_64.workspace = true\n[lints]\nworkspace = true\n";
        let files =
            [("Cargo.toml", root), ("kernel/Cargo.toml", member), ("arch/Cargo.toml", member), ("user/Cargo.toml", "")];
        let found: Vec<_> = breaches(&Tree::of(&files)).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "Cargo.toml:3: b is not pinned; write =VERSION",
                "Cargo.toml:4: c is not pinned; write =VERSION",
                "kernel/Cargo.toml:2: x86_64 may be named under arch/ and qemu/stub only",
                "user/Cargo.toml:1: every member needs [lints] workspace = true",
            ]
        );
    }
}
