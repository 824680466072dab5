//! The rules of the house that a compiler does not know. Each breach is one line: `path:line: message`.
//!
//! `./x.py check` runs this with the tree's folder as the only argument; the exit code is 1 if there is a breach.
//!
//! | file | rules |
//! |---|---|
//! | `tree` | reading the tree; what a breach is |
//! | `shape` | lengths of files, functions and lines |
//! | `words` | unfinished code; `cfg(target_arch)` in its homes |
//! | `unsafe_list` | `docs/unsafe.md` lists exactly the files with unsafe code |
//! | `manifests` | pinned versions, inherited lints, crates that know hardware |
//! | `imports` | who imports whom; no circle between files |
//! | `mirror` | the two backends of `arch/` have the same files |
//! | `rooms` | the kernel's rooms, and which may import from which |
//! | `documents` | the files that documents and module maps name |

mod documents;
mod imports;
mod manifests;
mod mirror;
mod rooms;
mod shape;
mod tree;
mod unsafe_list;
mod words;

use std::path::Path;
use std::process::ExitCode;

use tree::{Breach, Tree};

/// A rule: looks at the whole tree.
type Rule = fn(&Tree) -> Vec<Breach>;

const RULES: &[Rule] = &[
    shape::breaches,
    words::breaches,
    unsafe_list::breaches,
    manifests::breaches,
    imports::breaches,
    mirror::breaches,
    rooms::breaches,
    documents::breaches,
];

fn main() -> ExitCode {
    let Some(root) = std::env::args_os().nth(1) else {
        eprintln!("tidy: name the folder of the tree");
        return ExitCode::from(2);
    };
    let tree = match Tree::read(Path::new(&root)) {
        Ok(tree) => tree,
        Err(reason) => {
            eprintln!("tidy: {reason}");
            return ExitCode::from(2);
        }
    };
    let mut found: Vec<Breach> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    found.sort();
    found.iter().for_each(|breach| println!("{breach}"));
    ExitCode::from(u8::from(!found.is_empty()))
}
