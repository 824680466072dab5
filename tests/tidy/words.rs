//! Words that have their homes, or none: unfinished code, and the architecture's name.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;

use crate::tree::{Breach, Tree};

/// Where `cfg(target_arch)` may stand.
const ARCH_HOMES: [&str; 3] = ["arch/", "libvas/raw.rs", "user/rt/"];
/// Macros that stand for code which is missing.
const UNFINISHED: [&str; 2] = ["todo", "unimplemented"];

/// Unfinished code, and `target_arch` outside of its homes.
pub(crate) fn breaches(tree: &Tree) -> Vec<Breach> {
    let mut found = Vec::new();
    for (path, file) in &tree.rust {
        let mut tokens = Vec::new();
        flatten(file.to_token_stream(), &mut tokens);
        for pair in tokens.windows(2) {
            let (word, line) = (&pair[0].0, pair[0].1);
            if UNFINISHED.contains(&&**word) && pair[1].0 == "!" {
                found.push(Breach::new(path, line, "unfinished code"));
            }
            if word == "target_arch" && pair[1].0 == "=" && !ARCH_HOMES.iter().any(|home| path.starts_with(home)) {
                let message = "cfg(target_arch) is for arch/, libvas/raw.rs and user/rt only";
                found.push(Breach::new(path, line, message));
            }
        }
    }
    found
}

/// All tokens, also those in groups, with their lines.
pub(crate) fn flatten(tokens: TokenStream, into: &mut Vec<(String, usize)>) {
    for token in tokens {
        let line = token.span().start().line;
        match token {
            TokenTree::Group(group) => flatten(group.stream(), into),
            TokenTree::Literal(_) => into.push((String::new(), line)),
            other => into.push((other.to_string(), line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::breaches;
    use crate::tree::Tree;

    #[test]
    fn unfinished_code_is_found_wherever_it_hides() {
        let text = "fn a() { todo!() }\nmacro_rules! b { () => { unimplemented!(\"c\") } }\n// todo!()\nfn todo() {}";
        assert_eq!(breaches(&Tree::of(&[("a.rs", text)])).len(), 2);
    }

    #[test]
    fn the_architecture_is_named_in_its_homes_only() {
        let text = "#[cfg(target_arch = \"x86_64\")]\nfn a() {}\n";
        assert!(breaches(&Tree::of(&[("arch/lib.rs", text), ("user/rt/entry.rs", text)])).is_empty());
        assert_eq!(breaches(&Tree::of(&[("kernel/a.rs", text), ("libvas/lib.rs", text)])).len(), 2);
    }
}
