//! Makes one self-contained page of the benchmarks' figures. `x.py bench --report` calls it.
//!
//! `tessera-report INPUT OUTPUT` reads one JSON file, which holds the documents of `bench --json` and what is known of
//! the benchmarks ([`input`]), and writes one HTML file. The same input gives the same bytes: no dates, no random names,
//! no fonts of the host.

use std::fs;
use std::process::ExitCode;

mod axis;
mod curve_section;
mod data;
mod html;
mod input;
mod model_section;
mod numbers;
mod page;
mod peer_section;
mod plot;
mod result_section;
mod text;

#[cfg(test)]
mod tests;

const USAGE: &str = "usage: tessera-report INPUT OUTPUT";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.as_slice() {
        [input, output] => write(input, output),
        _ => Err(USAGE.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tessera-report: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the file `input` and writes the page to `output`.
fn write(input: &str, output: &str) -> Result<(), String> {
    let text = fs::read_to_string(input).map_err(|error| format!("{input}: {error}"))?;
    fs::write(output, made(&text)?).map_err(|error| format!("{output}: {error}"))
}

/// The page for an input.
fn made(text: &str) -> Result<String, String> {
    let input = input::read(text)?;
    let data = data::Data::of(&input)?;
    page::page(&data)
}
