//! Lengths: of files, of functions, of lines.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::tree::{Breach, Tree};

/// The longest file, lines.
const FILE_LINES: usize = 600;
/// The longest function, lines.
const FUNCTION_LINES: usize = 80;
/// The longest line, columns. rustfmt aims at 120; strings, macros and tables that it cannot break get some room.
const LINE_COLUMNS: usize = 140;

/// Files and lines of every language, functions of Rust.
pub(crate) fn breaches(tree: &Tree) -> Vec<Breach> {
    let mut found = Vec::new();
    for (path, text) in &tree.texts {
        let lines = text.lines().count();
        if path.ends_with(".rs") && lines > FILE_LINES {
            let message = format!("{lines} lines in a file; at most {FILE_LINES}");
            found.push(Breach::new(path, FILE_LINES + 1, message));
        }
        if !path.ends_with(".toml") && !path.ends_with(".py") {
            found.extend(long_lines(path, text));
        }
    }
    for (path, file) in &tree.rust {
        let mut functions = Functions { path, found: &mut found };
        functions.visit_file(file);
    }
    found
}

fn long_lines(path: &str, text: &str) -> Vec<Breach> {
    let columns = text.lines().map(|line| line.chars().count()).enumerate();
    // A command writes lines as they come.
    if text.starts_with("<!-- `./x.py figures") {
        return Vec::new();
    }
    // A row of a table in Markdown is one line, however long.
    let is_row: Vec<bool> = text.lines().map(|line| path.ends_with(".md") && line.starts_with('|')).collect();
    let long = columns.filter(|(index, columns)| *columns > LINE_COLUMNS && !is_row[*index]);
    long.map(|(index, columns)| Breach::new(path, index + 1, format!("{columns} columns; at most {LINE_COLUMNS}")))
        .collect()
}

struct Functions<'a> {
    path: &'a str,
    found: &'a mut Vec<Breach>,
}

impl Functions<'_> {
    fn note(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let (first, last) = (signature.span().start().line, block.span().end().line);
        let lines = last - first + 1;
        if lines > FUNCTION_LINES {
            let message = format!("function {} has {lines} lines; at most {FUNCTION_LINES}", signature.ident);
            self.found.push(Breach::new(self.path, first, message));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.note(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.note(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.note(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::breaches;
    use crate::tree::Tree;

    #[test]
    fn a_long_function_is_found_and_a_short_one_is_not() {
        let body = "    let _ = 0;\n".repeat(79);
        let text = format!("fn long() {{\n{body}}}\nfn short() {{}}\n");
        let found = breaches(&Tree::of(&[("a.rs", &text)]));
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["a.rs:1: function long has 81 lines; at most 80"]
        );
    }

    #[test]
    fn a_function_in_a_text_or_comment_is_none() {
        let text = format!("// fn a() {{\nconst A: &str = \"fn b() {{\";\n{}", "\n".repeat(200));
        assert!(breaches(&Tree::of(&[("a.rs", &text)])).is_empty());
    }

    #[test]
    fn long_files_and_lines_are_found() {
        let (file, line) = ("//\n".repeat(601), "x".repeat(141));
        assert_eq!(breaches(&Tree::of(&[("a.rs", &file), ("b.md", &line)])).len(), 2);
        let (row, written) = (format!("| {line} |"), format!("<!-- `./x.py figures a` wrote this page -->\n{line}"));
        assert!(breaches(&Tree::of(&[("a.md", &row), ("b.md", &written)])).is_empty());
    }
}
