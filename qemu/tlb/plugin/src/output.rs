//! The output file. Its lines begin with `stale` (a report), `figures` (of one benchmark), `checked` (at the end), or
//! `unreadable` (something went wrong here); or else with `stretch` (the longest of a cause) and `stretches` (at the end).

use std::fs::File;
use std::io::Write;

use tlb_model::checker::{Now, Stale, What};
use tlb_model::model::{Costs, Figures};
use tlb_model::stretches::{Cause, Stretch, Summary};
use tlb_model::walk::Rights;

/// More reports than these are counted only.
const REPORTS_MAX: u64 = 200;

/// The file, and what stands in it.
pub(crate) struct Output {
    file: File,
    stale: u64,
    unreadable: u64,
}

impl Output {
    pub(crate) fn create(path: &str) -> Result<Output, String> {
        let file = File::create(path).map_err(|error| format!("{path}: {error}"))?;
        Ok(Output { file, stale: 0, unreadable: 0 })
    }

    /// Writes a line. One that cannot be written is missed by whoever reads the file.
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.file, "{text}");
    }

    pub(crate) fn stale(&mut self, stale: &Stale, pc: u64) {
        self.stale += 1;
        if self.stale > REPORTS_MAX {
            return;
        }
        let tag = stale.tag.map_or("every tag".into(), |tag| format!("tag {tag}"));
        let kept = &stale.kept;
        let what = match kept.what {
            What::Page => "page",
            What::Table => "table",
        };
        let now = match stale.now {
            Now::Nothing => "is not there any more".into(),
            Now::Freed => "is free".into(),
            Now::Other(frame, rights) => format!("is {frame:#x} {} now", words(rights)),
        };
        self.line(&format!(
            "stale CPU {} under {tag} may use for {:#x} the {what} {:#x} {} of 2^{} bytes, which {now} (pc {pc:#x})",
            stale.cpu,
            stale.address,
            kept.frame,
            words(kept.rights),
            kept.bits,
        ));
    }

    pub(crate) fn unreadable(&mut self, place: u64, address: u64, pc: u64) {
        self.unreadable += 1;
        if self.unreadable == 1 {
            self.line(&format!("unreadable entry at {place:#x} on the way to {address:#x} (pc {pc:#x})"));
        }
    }

    pub(crate) fn figures(&mut self, regions: u64, figures: &Figures, costs: &Costs) {
        let named = figures.named();
        let all: Vec<String> = named.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.line(&format!(
            "figures regions={regions} {} second_level_misses={} cycles={}",
            all.join(" "),
            figures.second_level_misses(),
            figures.cycles(costs),
        ));
    }

    /// All that is written where stretches are watched.
    pub(crate) fn stretches(&mut self, found: &[(Cause, Summary)]) {
        for (cause, Summary { longest, count }) in found {
            let cause = match cause {
                Cause::Call(number) => format!("call:{number}"),
                Cause::Fault => "fault".into(),
                Cause::Interrupt => "interrupt".into(),
            };
            let Stretch { instructions, waiting, .. } = longest;
            self.line(&format!("stretch cause={cause} instructions={instructions} waiting={waiting} count={count}"));
        }
        self.line(&format!("stretches causes={}", found.len()));
    }

    /// The last line.
    pub(crate) fn end(&mut self, begun: bool, comparisons: u64) {
        let (stale, unreadable) = (self.stale, self.unreadable);
        let served = u8::from(begun);
        self.line(&format!("checked served={served} comparisons={comparisons} stale={stale} unreadable={unreadable}"));
    }
}

fn words(rights: Rights) -> String {
    let letter = |has: bool, letter: char| if has { letter } else { '-' };
    let user = if rights.user { "user" } else { "kernel" };
    format!("r{}{} {user}", letter(rights.write, 'w'), letter(rights.execute, 'x'))
}
