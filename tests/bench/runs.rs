//! Samples as lines: in the order they were taken, equal neighbours as `VALUExCOUNT`.

use alloc::format;
use alloc::string::String;
use core::time::Duration;
use libvas::clock;
use rt::println;

/// The longest line, bytes; more samples go to the next.
const LINE_BYTES: usize = 200;

/// How long a byte takes on the serial line, rounded up.
const BYTE_TIME: Duration = Duration::from_micros(100);

/// Prints all samples, and waits until they are out: the line's interrupts are not to be in the next benchmark's samples.
pub(crate) fn print_runs(name: &str, samples: &[u64]) {
    let prefix = format!("bench {name} ");
    let mut line = prefix.clone();
    for run in samples.chunk_by(|one, next| one == next) {
        let text = text_of(run);
        if line.len() > prefix.len() && line.len() + 1 + text.len() > LINE_BYTES {
            print_whole(&line);
            line.truncate(prefix.len());
        }
        if line.len() > prefix.len() {
            line.push(',');
        }
        line.push_str(&text);
    }
    if line.len() > prefix.len() {
        print_whole(&line);
    }
}

/// Prints a line, and waits until it is out.
pub(crate) fn print_whole(line: &str) {
    println!("{line}");
    clock::sleep(BYTE_TIME * (line.len() as u32 + 2));
}

fn text_of(run: &[u64]) -> String {
    match run {
        [value] => format!("{value}"),
        [value, ..] => format!("{value}x{}", run.len()),
        [] => String::new(),
    }
}
