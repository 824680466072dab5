//! Prints a page of the documentation whose figures come from the TLB model driven without an emulator.
//!
//! The text is in `pages/`; a line of it like `{walks_private}` is replaced by the table of that name.

#![forbid(unsafe_code)]

mod published;
mod sasid;
mod scene;
mod table;

use std::process::ExitCode;

/// A page: its name, its text, and what makes the table of a name.
type Page = (&'static str, &'static str, fn(&str) -> Result<String, String>);

const PAGES: &[Page] = &[
    ("sasid", include_str!("../../../pages/sasid.md"), sasid::table),
    ("tlb-model", include_str!("../../../pages/tlb-model.md"), published::table),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let page = match &words[..] {
        [name] => PAGES.iter().find(|page| page.0 == name),
        _ => None,
    };
    let Some((_, text, table)) = page else {
        let names: Vec<&str> = PAGES.iter().map(|page| page.0).collect();
        eprintln!("tlb-pages: name one page: {}", names.join(" or "));
        return ExitCode::from(2);
    };
    match filled(text, *table) {
        Ok(page) => {
            print!("{page}");
            ExitCode::SUCCESS
        }
        Err(mistake) => {
            eprintln!("tlb-pages: {mistake}");
            ExitCode::FAILURE
        }
    }
}

fn filled(text: &str, table: fn(&str) -> Result<String, String>) -> Result<String, String> {
    let mut page = String::new();
    for line in text.lines() {
        match line.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => page += &table(name)?,
            None => page += &format!("{line}\n"),
        }
    }
    Ok(page)
}
