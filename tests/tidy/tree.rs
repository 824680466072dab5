//! Reading the tree once: every text that a rule looks at, Rust parsed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

/// Folders that are not part of the tree.
const SKIPPED: [&str; 4] = ["target", ".git", "__pycache__", ".venv"];

/// Endings of the files that are read.
const READ: [&str; 4] = ["rs", "py", "md", "toml"];

/// A rule that does not hold somewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Breach {
    path: String,
    line: usize,
    message: String,
}

impl Breach {
    /// A breach at a line, counted from 1.
    pub(crate) fn new(path: &str, line: usize, message: impl Into<String>) -> Breach {
        Breach { path: path.into(), line, message: message.into() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// All files, by their paths from the root with `/` between folders.
#[derive(Default)]
pub(crate) struct Tree {
    /// The names of all files, read or not.
    pub(crate) names: Vec<String>,
    /// The texts.
    pub(crate) texts: BTreeMap<String, String>,
    /// The Rust files, parsed.
    pub(crate) rust: BTreeMap<String, syn::File>,
}

impl Tree {
    /// Reads everything below a folder.
    pub(crate) fn read(root: &Path) -> Result<Tree, String> {
        let mut tree = Tree::default();
        tree.read_folder(root, "")?;
        tree.names.sort();
        Ok(tree)
    }

    /// A tree of these texts, for tests.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            tree.take(path, (*text).into()).expect("the test's own text can be read");
        }
        tree
    }

    /// Texts with this ending.
    pub(crate) fn ending_in(&self, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().filter(move |(path, _)| path.ends_with(ending)).map(|(path, text)| (&**path, &**text))
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let (path, kind) = (format!("{prefix}{name}"), entry.file_type().map_err(failed)?);
            if kind.is_dir() {
                if !SKIPPED.contains(&&*name) {
                    self.read_folder(&entry.path(), &format!("{path}/"))?;
                }
            } else if READ.iter().any(|ending| name.ends_with(&format!(".{ending}"))) {
                let text = fs::read_to_string(entry.path()).map_err(|error| format!("{path}: {error}"))?;
                self.take(&path, text)?;
            } else {
                self.names.push(path);
            }
        }
        Ok(())
    }

    fn take(&mut self, path: &str, text: String) -> Result<(), String> {
        if path.ends_with(".rs") {
            let file =
                syn::parse_file(&text).map_err(|error| format!("{path}:{}: {error}", error.span().start().line))?;
            self.rust.insert(path.into(), file);
        }
        self.texts.insert(path.into(), text);
        self.names.push(path.into());
        Ok(())
    }
}
