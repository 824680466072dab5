//! What documents say of the tree: the files that they name exist, and a folder's map names every module of it.

use crate::tree::{Breach, Tree};

/// Files whose first comment is a map of their folder: each module that they declare is named there.
const MAPS: [&str; 6] = [
    "arch/aarch64/mod.rs",
    "arch/lib.rs",
    "arch/x86_64/mod.rs",
    "kernel/lib.rs",
    "kernel/abi/lib.rs",
    "tests/tidy/main.rs",
];

/// Endings of names that are taken for files.
const ENDINGS: [&str; 4] = [".rs", ".py", ".md", ".json"];

/// What documents tell a reader to type, or to make.
const EXAMPLES: [&str; 2] = ["./", "user/demo/"];

/// Names of files that are gone, and modules that a map forgets.
pub(crate) fn breaches(tree: &Tree) -> Vec<Breach> {
    let mut found = Vec::new();
    for (path, text) in tree.ending_in(".md") {
        for (index, line) in text.lines().enumerate() {
            let names = line.split('`').skip(1).step_by(2).filter(|name| is_file_name(name));
            for name in names.filter(|name| !exists(tree, path, name)) {
                found.push(Breach::new(path, index + 1, format!("there is no file {name}")));
            }
        }
    }
    for map in MAPS {
        let (Some(file), Some(text)) = (tree.rust.get(map), tree.texts.get(map)) else { continue };
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let modules = file.items.iter().filter_map(|item| match item {
            syn::Item::Mod(module) if module.content.is_none() => Some(&module.ident),
            _ => None,
        });
        for module in modules.filter(|module| !head.iter().any(|line| line.contains(&format!("`{module}`")))) {
            found.push(Breach::new(map, module.span().start().line, format!("the map above does not name {module}")));
        }
    }
    found
}

/// Whether a word in a document is the name of one file, and no pattern or placeholder.
fn is_file_name(word: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
    let is_shown = EXAMPLES.iter().any(|example| word.starts_with(example));
    ENDINGS.iter().any(|ending| word.ends_with(ending)) && word.chars().all(is_plain) && !is_shown
}

/// A name is that of a file from the root, from the document's folder, or (without a folder) of any file.
fn exists(tree: &Tree, document: &str, name: &str) -> bool {
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let beside = format!("{folder}/{name}");
    let is_it = |path: &String| {
        path == name || *path == beside || path.strip_suffix(name).is_some_and(|before| before.ends_with('/'))
    };
    tree.names.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use super::breaches;
    use crate::tree::Tree;

    #[test]
    fn files_that_documents_name_exist() {
        let text = "`kernel/a.rs`, `b.rs`, `kernel/gone.rs`\n`tests/boot/NAME.rs`, `arch/*/x.rs`, `lost.py`\n";
        let files = [("docs/x.md", text), ("kernel/a.rs", ""), ("kernel/sub/b.rs", "")];
        let found: Vec<_> = breaches(&Tree::of(&files)).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["docs/x.md:1: there is no file kernel/gone.rs", "docs/x.md:2: there is no file lost.py"]);
    }

    #[test]
    fn a_map_names_every_module() {
        let text = "//! [`named`]\n\nmod named;\nmod hidden;\n#[cfg(test)]\nmod tests { fn a() {} }\n";
        let found: Vec<_> = breaches(&Tree::of(&[("kernel/lib.rs", text)])).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["kernel/lib.rs:4: the map above does not name hidden"]);
    }
}
