//! Who imports whom, file by file, and circles among them.
//!
//! An import is a path that begins with `crate`, `super` or `self`, in a `use` or anywhere else; code for tests does not
//! count, nor does the declaration of a module. A path leads to the file of the longest module it names, or, where that
//! module only passes a name on (`pub use`), to the file that the name comes from.

use std::collections::{BTreeMap, BTreeSet};

use quote::ToTokens;
use syn::{Item, UseTree};

use crate::tree::{Breach, Tree};
use crate::words::flatten;

/// Folders of crates in which no circle may be, and which part of each.
const FREE_OF_CIRCLES: [(&str, &str); 5] =
    [("arch", "arch/aarch64/"), ("arch", "arch/x86_64/"), ("kernel", ""), ("kernel/abi", ""), ("tests/tidy", "")];

/// The circles.
pub(crate) fn breaches(tree: &Tree) -> Vec<Breach> {
    let mut found = Vec::new();
    for (folder, part) in FREE_OF_CIRCLES {
        let imports = Imports::of(tree, folder);
        for circle in imports.circles(part) {
            let message = format!("a circle of imports: {}", circle.join(", "));
            found.push(Breach::new(&circle[0], 1, message));
        }
    }
    found
}

/// The imports between the files of one crate.
#[derive(Default)]
pub(crate) struct Imports {
    /// For each file those that it imports, with the line where it first does so.
    pub(crate) of: BTreeMap<String, BTreeMap<String, usize>>,
    modules: BTreeMap<Vec<String>, String>,
    passed_on: BTreeMap<(String, String), Vec<String>>,
}

impl Imports {
    /// The imports of the crate whose root is `lib.rs` in this folder.
    pub(crate) fn of(tree: &Tree, folder: &str) -> Imports {
        let mut imports = Imports::default();
        let prefix = format!("{folder}/");
        let inner: Vec<_> = tree.names.iter().filter(|name| name.ends_with("/Cargo.toml")).collect();
        let is_apart = |path: &str| {
            let homes = inner.iter().filter_map(|name| name.strip_suffix("Cargo.toml"));
            homes
                .filter(|home| home.starts_with(&prefix) && home.len() > prefix.len())
                .any(|home| path.starts_with(home))
        };
        let own = tree.rust.iter().filter(|(path, _)| path.starts_with(&prefix) && !is_apart(path));
        // A binary beside a library is a crate of its own, which sees the library from outside.
        let has_library = tree.rust.contains_key(&format!("{prefix}lib.rs"));
        let is_other = |path: &str| path.starts_with("tests/") || path == "main.rs" && has_library;
        let own: Vec<_> = own.filter(|(path, _)| !is_other(&path[prefix.len()..])).collect();
        for (path, _) in &own {
            imports.modules.insert(module_of(&path[prefix.len()..]), (*path).clone());
        }
        let paths = own.iter().map(|(path, file)| (*path, module_of(&path[prefix.len()..]), paths_in(file)));
        let paths: Vec<_> = paths.collect();
        for (file, module, paths) in &paths {
            for path in paths.iter().filter(|path| path.is_public) {
                let (Some(name), Some(whole)) = (&path.name, absolute(module, &path.segments, &imports.modules)) else {
                    continue;
                };
                imports.passed_on.insert(((*file).clone(), name.clone()), whole);
            }
        }
        for (file, module, paths) in paths {
            for path in paths {
                let Some(whole) = absolute(&module, &path.segments, &imports.modules) else { continue };
                let goal = imports.home_of(&whole);
                if goal != *file {
                    imports.of.entry(file.clone()).or_default().entry(goal).or_insert(path.line);
                }
            }
        }
        imports
    }

    /// All files of the crate.
    pub(crate) fn files(&self) -> impl Iterator<Item = &String> {
        self.modules.values()
    }

    /// The file that a path from the crate's root leads to.
    fn home_of(&self, path: &[String]) -> String {
        let mut path = path.to_vec();
        // A name can be passed on a few times, but not for ever.
        for _ in 0..8 {
            let (file, rest) = self.longest(&path);
            let Some(next) = rest.first().and_then(|name| self.passed_on.get(&(file.clone(), name.clone()))) else {
                return file;
            };
            path = next.iter().chain(&rest[1..]).cloned().collect();
        }
        self.longest(&path).0
    }

    fn longest<'a>(&self, path: &'a [String]) -> (String, &'a [String]) {
        let lengths = (0..=path.len()).rev();
        let found = lengths.into_iter().find_map(|length| Some((self.modules.get(&path[..length])?, length)));
        found.map_or((String::new(), &[]), |(file, length)| (file.clone(), &path[length..]))
    }

    /// Groups of files, of which each reaches each, within a part of the crate.
    pub(crate) fn circles(&self, part: &str) -> Vec<Vec<String>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> = self
            .of
            .keys()
            .filter(|file| file.starts_with(part))
            .map(|file| (&**file, self.reach(file, part)))
            .collect();
        let mut circles: Vec<Vec<String>> = Vec::new();
        for (file, goals) in reach.iter().filter(|(file, goals)| goals.contains(**file)) {
            if circles.iter().any(|circle| circle.iter().any(|member| member == file)) {
                continue;
            }
            let members = goals.iter().filter(|goal| reach.get(**goal).is_some_and(|back| back.contains(file)));
            circles.push(members.map(|member| (*member).to_owned()).collect());
        }
        circles
    }

    fn reach<'a>(&'a self, file: &str, part: &str) -> BTreeSet<&'a str> {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![file.to_owned()]);
        while let Some(at) = waiting.pop() {
            for goal in self.of.get(&at).into_iter().flat_map(BTreeMap::keys).filter(|goal| goal.starts_with(part)) {
                if seen.insert(&**goal) {
                    waiting.push(goal.clone());
                }
            }
        }
        seen
    }
}

/// A path as it is written.
struct Written {
    segments: Vec<String>,
    line: usize,
    /// The name under which a `pub use` passes it on.
    name: Option<String>,
    is_public: bool,
}

/// The module that a file holds, by its path from the crate's root.
fn module_of(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&&**last)) {
        parts.pop();
    }
    parts
}

/// A path from the crate's root, if it leads to the crate at all.
fn absolute(module: &[String], path: &[String], modules: &BTreeMap<Vec<String>, String>) -> Option<Vec<String>> {
    let (mut base, mut rest) = (module.to_vec(), path);
    match rest.first()?.as_str() {
        "crate" => (base, rest) = (Vec::new(), &rest[1..]),
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|segment| segment == "super") {
                base.pop()?;
                rest = &rest[1..];
            }
        }
        // A child of this module.
        child => {
            let below: Vec<String> = module.iter().cloned().chain([child.to_owned()]).collect();
            modules.get(&below)?;
        }
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

fn paths_in(file: &syn::File) -> Vec<Written> {
    let mut found = Vec::new();
    take_items(&file.items, 0, &mut found);
    found
}

fn take_items(items: &[Item], depth: usize, found: &mut Vec<Written>) {
    for item in items {
        let tokens = item.to_token_stream();
        if is_for_tests(item) {
            continue;
        }
        match item {
            Item::Use(item) => {
                let is_public = !matches!(item.vis, syn::Visibility::Inherited);
                take_use(&item.tree, &mut Vec::new(), is_public && depth == 0, found);
            }
            Item::Mod(item) => {
                take_items(item.content.as_ref().map_or(&[], |(_, items)| items), depth + 1, found);
            }
            _ => take_tokens(tokens, found),
        }
    }
}

fn is_for_tests(item: &Item) -> bool {
    let attributes = match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.to_token_stream().to_string().replace(' ', "") == "#[cfg(test)]"
    })
}

fn take_use(tree: &UseTree, before: &mut Vec<String>, is_public: bool, found: &mut Vec<Written>) {
    let mut note = |last: Option<&syn::Ident>, name: Option<String>, line: usize| {
        let segments = before.iter().cloned().chain(last.filter(|last| *last != "self").map(ToString::to_string));
        found.push(Written { segments: segments.collect(), line, name, is_public });
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            take_use(&path.tree, before, is_public, found);
            before.pop();
        }
        UseTree::Name(name) => note(Some(&name.ident), Some(name.ident.to_string()), name.ident.span().start().line),
        UseTree::Rename(name) => note(Some(&name.ident), Some(name.rename.to_string()), name.ident.span().start().line),
        UseTree::Glob(glob) => note(None, None, glob.star_token.spans[0].start().line),
        UseTree::Group(group) => group.items.iter().for_each(|item| take_use(item, before, is_public, found)),
    }
}

/// Paths that stand in code, macros included.
fn take_tokens(tokens: proc_macro2::TokenStream, found: &mut Vec<Written>) {
    let mut words = Vec::new();
    flatten(tokens, &mut words);
    let is_separator =
        |at: usize| words.get(at).is_some_and(|w| w.0 == ":") && words.get(at + 1).is_some_and(|w| w.0 == ":");
    let mut at = 0;
    while at < words.len() {
        let (word, line) = &words[at];
        let begins = ["crate", "super", "self"].contains(&&**word) && is_separator(at + 1);
        let (mut segments, mut next) = (vec![word.clone()], at + 1);
        while begins && is_separator(next) && words.get(next + 2).is_some_and(|word| is_name(&word.0)) {
            segments.push(words[next + 2].0.clone());
            next += 3;
        }
        if begins {
            found.push(Written { segments, line: *line, name: None, is_public: false });
        }
        at = next;
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

#[cfg(test)]
mod tests {
    use super::Imports;
    use crate::tree::Tree;

    fn imports_of(files: &[(&str, &str)], from: &str) -> Vec<String> {
        let imports = Imports::of(&Tree::of(files), "k");
        imports.of.get(from).into_iter().flatten().map(|(goal, line)| format!("{goal}:{line}")).collect()
    }

    #[test]
    fn paths_lead_to_files_in_uses_and_in_code() {
        let files = [
            ("k/lib.rs", "mod a; mod b; mod c;"),
            ("k/a.rs", "use crate::{b::B, c::d::D};\n\nfn f() { log!(\"{}\", crate::c::e()); }\n"),
            ("k/b.rs", "pub struct B;"),
            ("k/c/mod.rs", "pub mod d; pub fn e() {}"),
            ("k/c/d.rs", "use super::e;\npub struct D;\n#[cfg(test)]\nmod tests { use crate::a; }"),
        ];
        assert_eq!(imports_of(&files, "k/a.rs"), ["k/b.rs:1", "k/c/d.rs:1", "k/c/mod.rs:3"]);
        assert_eq!(imports_of(&files, "k/c/d.rs"), ["k/c/mod.rs:1"]);
        assert!(imports_of(&files, "k/lib.rs").is_empty());
    }

    #[test]
    fn a_name_that_is_passed_on_comes_from_where_it_is_made() {
        let files = [
            ("k/lib.rs", "mod a; mod m; pub use m::deep::Thing;"),
            ("k/a.rs", "use crate::Thing;\nuse crate::m::Other;"),
            ("k/m/mod.rs", "mod deep; pub use deep::Other;"),
            ("k/m/deep.rs", "pub struct Thing; pub struct Other;"),
        ];
        assert_eq!(imports_of(&files, "k/a.rs"), ["k/m/deep.rs:1"]);
    }

    #[test]
    fn circles_are_found_and_chains_are_none() {
        let chain = [("k/lib.rs", ""), ("k/a.rs", "use crate::b::B;"), ("k/b.rs", "use crate::c::C;"), ("k/c.rs", "")];
        assert!(Imports::of(&Tree::of(&chain), "k").circles("").is_empty());
        let circle =
            [chain[0], chain[1], chain[2], ("k/c.rs", "fn f(_: crate::a::A) {}"), ("k/d.rs", "use crate::a::A;")];
        let found = Imports::of(&Tree::of(&circle), "k").circles("");
        assert_eq!(found, [["k/a.rs", "k/b.rs", "k/c.rs"]]);
    }
}
