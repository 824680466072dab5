//! The tables of `docs/tlb-model.md`: the profiles, and published differences beside the model's.

use tlb_model::model::{Access, Figures, Model, Profile};
use tlb_model::synthetic::Tables;

use crate::table::{markdown, mean, number, signed};

/// L4Re's figure for a Neoverse N1 at EL1: cycles of an IPC between two tasks less those of one inside a task.
const L4RE_DIFFERENCE: i64 = 399 - 257;
/// Pages of the kernel that an IPC touches, in global entries; a guess.
const KERNEL_PAGES: u64 = 8;
const TURNS: u64 = 16;
const KERNEL: u64 = 0xffff_8000_0000_0000;

/// The table of a name.
pub(crate) fn table(name: &str) -> Result<String, String> {
    match name {
        "profiles" => profiles(),
        "l4re" => l4re(),
        "l4re_costs" => l4re_costs(),
        "spacejmp" => spacejmp(),
        _ => Err(format!("the page names no table {name}")),
    }
}

fn profiles() -> Result<String, String> {
    let mut text = String::new();
    for name in ["neoverse_n1", "zen_2", "skylake", "sasid"] {
        let profile = Profile::built_in(name)?;
        text += &format!("`{name}`: {}\n\n", profile.what);
        for (part, what) in profile.parts() {
            text += &format!("    {part}: {what}\n");
        }
        for costs in profile.cost_line().split(' ').collect::<Vec<&str>>().chunks(5) {
            text += &format!("    costs: {}\n", costs.join(" "));
        }
        text += "\n";
    }
    Ok(text.trim_end().to_string() + "\n")
}

/// Two parties in turns, each touching the kernel's pages and its own.
#[derive(Clone, Copy)]
struct Turns {
    /// Pages that each party touches besides the kernel's.
    pages: u64,
    /// Pages that both touch, if they are in one space.
    common: u64,
    /// Whether they are in a space each.
    apart: bool,
    /// Whether spaces have tags.
    tagged: bool,
}

impl Turns {
    /// The figures of [`TURNS`] turns, when nothing changes any more.
    fn figures(&self, profile: &Profile) -> Figures {
        let mut model = Model::new(profile, 1);
        for _ in 0..3 {
            model.clear();
            for turn in 0..TURNS {
                self.turn(&mut model, turn % 2);
            }
        }
        model.figures(0)
    }

    fn turn(&self, model: &mut Model, party: u64) {
        let space = if self.apart { party } else { 0 };
        let tag = if self.tagged { space as u16 + 1 } else { 0 };
        let touch = |model: &mut Model, page: u64, global: bool, base: u64| {
            let address = base + (page << 12);
            model.access(0, Access::Load, tag, address, || Tables::private(space).walk(address, 12, global));
        };
        (0..KERNEL_PAGES).for_each(|page| touch(model, page, true, KERNEL));
        if self.apart {
            model.switch_root(0, tag, space << 12, !self.tagged);
        }
        (0..self.common).for_each(|page| touch(model, page, false, 0));
        let first = self.common + party * (self.pages - self.common);
        (first..first + self.pages - self.common).for_each(|page| touch(model, page, false, 0));
    }
}

/// Inter less intra, in cycles of one IPC.
fn difference(pages: u64, tagged: bool, profile: &Profile) -> i64 {
    // In one space both run the same program: all its pages but a stack each are the same.
    let inside = Turns { pages, common: pages - 1, apart: false, tagged: true };
    let apart = Turns { apart: true, tagged, ..inside };
    let cycles = |turns: Turns| (turns.figures(profile).cycles(&profile.costs) / TURNS) as i64;
    cycles(apart) - cycles(inside)
}

fn l4re() -> Result<String, String> {
    let profile = Profile::built_in("neoverse_n1")?;
    let head = ["pages of each", "first-level misses an IPC", "walks", "tagged", "root write for 142", "untagged"];
    let row = |pages: u64| {
        let turns = Turns { pages, common: pages - 1, apart: true, tagged: true };
        let figures = turns.figures(&profile);
        let tagged = difference(pages, true, &profile);
        let root_write = L4RE_DIFFERENCE - (tagged - i64::from(profile.costs.root_write));
        vec![
            number(pages),
            mean(figures.data_misses, TURNS),
            mean(figures.walks, TURNS),
            signed(tagged),
            signed(root_write),
            signed(difference(pages, false, &profile)),
        ]
    };
    Ok(markdown(&head.map(str::to_string), &[2, 4, 8, 16, 20, 21, 24, 32, 64].map(row)))
}

fn l4re_costs() -> Result<String, String> {
    let root_writes: &[u32] = &[10, 30, 60, 100, 142];
    let hits: &[u32] = &[3, 6, 9];
    let head: Vec<String> = std::iter::once("second-level hit".to_string())
        .chain(root_writes.iter().map(|cost| format!("root write {cost}")))
        .collect();
    let mut rows = Vec::new();
    for (pages, name) in [(8, "8 pages"), (24, "24 pages")] {
        for hit in hits {
            let mut row = vec![format!("{name}, {hit}")];
            for &root_write in root_writes {
                let mut profile = Profile::built_in("neoverse_n1")?;
                (profile.costs.second_level_hit, profile.costs.root_write) = (*hit, root_write);
                row.push(signed(difference(pages, true, &profile)));
            }
            rows.push(row);
        }
    }
    Ok(markdown(&head, &rows))
}

/// Untagged less tagged, in cycles of one switch, by pages touched after it and by the cost of a reference.
fn spacejmp() -> Result<String, String> {
    let references: &[u32] = &[4, 8, 16, 30];
    let head: Vec<String> = std::iter::once("pages after a switch".to_string())
        .chain(references.iter().map(|cost| format!("reference {cost}")))
        .collect();
    let mut rows = Vec::new();
    for pages in [1, 2, 4, 6, 8, 12, 16, 24, 32] {
        let mut row = vec![number(pages)];
        for &reference in references {
            let mut profile = Profile::built_in("skylake")?;
            let costs = &mut profile.costs;
            (costs.walk_reference, costs.root_write, costs.root_write_flush) = (reference, 224, 130);
            let cycles = |tagged: bool| {
                let turns = Turns { pages, common: 0, apart: true, tagged };
                (turns.figures(&profile).cycles(&profile.costs) / TURNS) as i64
            };
            row.push(signed(cycles(false) - cycles(true)));
        }
        rows.push(row);
    }
    Ok(markdown(&head, &rows))
}
