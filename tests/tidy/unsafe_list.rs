//! `docs/unsafe.md` lists exactly the files that have unsafe code.

use quote::ToTokens;

use crate::tree::{Breach, Tree};
use crate::words::flatten;

const LIST: &str = "docs/unsafe.md";

/// Files that are missing in the list, and those that stand there in vain.
pub(crate) fn breaches(tree: &Tree) -> Vec<Breach> {
    let list = tree.texts.get(LIST).map_or("", |text| &**text);
    let mut found = Vec::new();
    for path in tree.rust.keys() {
        let Some(line) = first_unsafe(tree, path) else { continue };
        if !list.contains(&format!("`{path}`")) {
            let message = format!("unsafe code in a file that {LIST} does not list");
            found.push(Breach::new(path, line, message));
        }
    }
    for (index, line) in list.lines().enumerate() {
        for path in line.split('`').skip(1).step_by(2).filter(|word| word.ends_with(".rs") && word.contains('/')) {
            if first_unsafe(tree, path).is_none() {
                found.push(Breach::new(LIST, index + 1, format!("{path} has no unsafe code")));
            }
        }
    }
    found
}

/// The line of the first unsafe word of a file.
fn first_unsafe(tree: &Tree, path: &str) -> Option<usize> {
    let mut tokens = Vec::new();
    flatten(tree.rust.get(path)?.to_token_stream(), &mut tokens);
    tokens.iter().find(|(word, _)| word == "unsafe").map(|(_, line)| *line)
}

#[cfg(test)]
mod tests {
    use super::breaches;
    use crate::tree::Tree;

    #[test]
    fn the_list_and_the_tree_are_compared_both_ways() {
        let (with, without) = ("fn a() { unsafe { b() } }", "// unsafe\nconst A: &str = \"unsafe\";");
        let list = "| `kernel/listed.rs` | `kernel/harmless.rs` |";
        let files = [("kernel/listed.rs", with), ("kernel/harmless.rs", without), ("kernel/hidden.rs", with)];
        let mut files = files.to_vec();
        files.push(("docs/unsafe.md", list));
        let found: Vec<_> = breaches(&Tree::of(&files)).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "kernel/hidden.rs:1: unsafe code in a file that docs/unsafe.md does not list",
                "docs/unsafe.md:1: kernel/harmless.rs has no unsafe code",
            ]
        );
    }
}
