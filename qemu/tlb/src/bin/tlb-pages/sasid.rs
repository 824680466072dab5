//! The tables of `docs/sasid.md`.

use tlb_model::model::{Costs, Figures, Profile};

use crate::scene::{Order, Scene, Sharing};
use crate::table::{grid, markdown, mean, number};

const PAGES: &[u64] = &[16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];
const SPACES: &[u64] = &[1, 2, 4, 8, 16, 32, 64];
/// The numbers of spaces of which a table shows all kinds of sharing beside each other.
const FEW_SPACES: &[u64] = &[4, 8, 64];

/// A kind of sharing on a CPU.
struct Kind {
    name: &'static str,
    sharing: Sharing,
    profile: &'static str,
    /// Whether the second level and the walk caches mix the tag into their index.
    hash_tag: bool,
}

const PRIVATE: Kind = Kind { name: "private", sharing: Sharing::Private, profile: "neoverse_n1", hash_tag: false };
const SHARED: Kind = Kind { name: "shared", sharing: Sharing::Shared, ..PRIVATE };
const PUBLIC: Kind = Kind { name: "public", sharing: Sharing::Public, ..PRIVATE };
const SASID: Kind = Kind { name: "SASID", profile: "sasid", ..SHARED };
const PRIVATE_HASHED: Kind = Kind { name: "private*", hash_tag: true, ..PRIVATE };
const SASID_HASHED: Kind = Kind { name: "SASID*", hash_tag: true, ..SASID };
/// What tables of cycles show beside each other.
const KINDS: &[&Kind] = &[&PRIVATE, &PUBLIC, &SASID, &PRIVATE_HASHED, &SASID_HASHED];

impl Kind {
    fn profile(&self) -> Result<Profile, String> {
        let mut profile = Profile::built_in(self.profile)?;
        for shape in profile.second_level.iter_mut().chain(&mut profile.walk_caches) {
            shape.hash_tag |= self.hash_tag;
        }
        Ok(profile)
    }
}

/// The table of a name.
pub(crate) fn table(name: &str) -> Result<String, String> {
    match name {
        "costs" => costs(),
        "walks_private" => walks(&PRIVATE),
        "walks_private_hashed" => walks(&PRIVATE_HASHED),
        "walks_sasid_hashed" => walks(&SASID_HASHED),
        "walks_public" => walks(&PUBLIC),
        "shared_as_private" => compared(&SHARED, &PRIVATE),
        "sasid_as_public" => compared(&SASID, &PUBLIC),
        "cycles" => beside(Order::Sweep),
        "cycles_random" => beside(Order::Random),
        "libraries" => libraries(),
        "untagged" => untagged(),
        "others" => others(),
        "walk_costs" => walk_costs(),
        _ => Err(format!("the page names no table {name}")),
    }
}

/// The cost table.
fn costs() -> Result<String, String> {
    let line = SASID.profile()?.cost_line();
    Ok(line.split(' ').collect::<Vec<&str>>().chunks(5).map(|costs| format!("    {}\n", costs.join(" "))).collect())
}

/// Walks in one turn.
fn walks(kind: &Kind) -> Result<String, String> {
    let profile = kind.profile()?;
    Ok(grid("pages", PAGES, SPACES, |pages, spaces| {
        mean(Scene::new(kind.sharing, spaces, pages).steady_round(&profile).walks, spaces)
    }))
}

/// Sentences that say whether one kind's figures are another's.
fn compared(one: &Kind, other: &Kind) -> Result<String, String> {
    let (ours, theirs) = (one.profile()?, other.profile()?);
    let (mut walks, mut references) = (0, 0);
    for &pages in PAGES {
        for &spaces in SPACES {
            let of = |kind: &Kind, profile: &Profile| Scene::new(kind.sharing, spaces, pages).steady_round(profile);
            let (ours, theirs) = (of(one, &ours), of(other, &theirs));
            walks += u64::from((ours.data_misses, ours.walks) != (theirs.data_misses, theirs.walks));
            references += u64::from(ours.walk_references != theirs.walk_references);
        }
    }
    let cells = (PAGES.len() * SPACES.len()) as u64;
    let sentence = |what: &str, differing: u64| match differing {
        0 => format!("{what} are the same in all {cells} cells."),
        _ => format!("{what} differ in {differing} of {cells} cells."),
    };
    let walks = sentence("misses of the first level and walks", walks);
    let references = sentence("References of walks", references);
    Ok(format!("**{}** against **{}**: {walks} {references}\n", one.name, other.name))
}

/// All kinds beside each other, for a few numbers of spaces.
fn beside(order: Order) -> Result<String, String> {
    let mut text = String::new();
    for &spaces in FEW_SPACES {
        let head: Vec<String> = [format!("{spaces} spaces: pages")]
            .into_iter()
            .chain(KINDS.iter().map(|kind| kind.name.to_string()))
            .chain(["private : SASID", "private* : SASID*"].map(str::to_string))
            .collect();
        let mut rows: Vec<Vec<String>> = Vec::new();
        for &pages in PAGES {
            let mut cycles = Vec::new();
            for kind in KINDS {
                let profile = kind.profile()?;
                let scene = Scene { order, ..Scene::new(kind.sharing, spaces, pages) };
                cycles.push(scene.steady_round(&profile).cycles(&profile.costs));
            }
            let ratios = [mean(cycles[0], cycles[2]), mean(cycles[3], cycles[4])];
            let cells = cycles.iter().map(|&sum| number((sum + spaces / 2) / spaces));
            rows.push(std::iter::once(number(pages)).chain(cells).chain(ratios).collect());
        }
        text += &format!("{}\n", markdown(&head, &rows));
    }
    Ok(text.trim_end().to_string() + "\n")
}

/// More libraries than a SASID has bits.
fn libraries() -> Result<String, String> {
    let counts: &[u64] = &[16, 32, 64, 96, 128];
    let head = ["libraries", "private", "public", "SASID"].map(str::to_string);
    let mut rows = Vec::new();
    for &count in counts {
        let mut row = vec![number(count)];
        for kind in [&PRIVATE, &PUBLIC, &SASID] {
            let scene = Scene { libraries: count, ..Scene::new(kind.sharing, 16, 8) };
            row.push(mean(scene.steady_round(&kind.profile()?).walks, 16));
        }
        rows.push(row);
    }
    Ok(markdown(&head, &rows))
}

/// Without tags: what global entries save there.
fn untagged() -> Result<String, String> {
    let profile = PRIVATE.profile()?;
    let head = ["pages", "private", "public", "private, tagged", "public, tagged"].map(str::to_string);
    let row = |&pages: &u64| {
        let walks = |kind: &Kind, tagged: bool| {
            let scene = Scene { tagged, ..Scene::new(kind.sharing, 4, pages) };
            mean(scene.steady_round(&profile).walks, 4)
        };
        vec![number(pages), walks(&PRIVATE, false), walks(&PUBLIC, false), walks(&PRIVATE, true), walks(&PUBLIC, true)]
    };
    Ok(markdown(&head, &PAGES.iter().map(row).collect::<Vec<Vec<String>>>()))
}

/// The other profiles.
fn others() -> Result<String, String> {
    let names = ["neoverse_n1", "zen_2", "skylake"];
    let mut head = vec!["pages".to_string()];
    let mut profiles = Vec::new();
    for name in names {
        head.extend([format!("{name}, private"), format!("{name}, public")]);
        profiles.push(Profile::built_in(name)?);
    }
    let row = |&pages: &u64| {
        let cells = profiles.iter().flat_map(|profile| {
            [Sharing::Private, Sharing::Public]
                .map(|sharing| mean(Scene::new(sharing, 8, pages).steady_round(profile).walks, 8))
        });
        std::iter::once(number(pages)).chain(cells).collect()
    };
    Ok(markdown(&head, &PAGES.iter().map(row).collect::<Vec<Vec<String>>>()))
}

/// How much of the difference is the cost of a reference.
fn walk_costs() -> Result<String, String> {
    const SPACES: u64 = 16;
    const REFERENCES: [u32; 4] = [4, 11, 30, 100];
    let names = KINDS.iter().map(|kind| kind.name.to_string());
    let head: Vec<String> = std::iter::once("cycles a reference".to_string()).chain(names).collect();
    let mut columns: Vec<(Figures, Profile)> = Vec::new();
    for kind in KINDS {
        let profile = kind.profile()?;
        columns.push((Scene::new(kind.sharing, SPACES, 256).steady_round(&profile), profile));
    }
    let row = |reference: u32| -> Vec<String> {
        let cell = |(figures, profile): &(Figures, Profile)| {
            let costs = Costs { walk_reference: reference, ..profile.costs };
            number((figures.cycles(&costs) + SPACES / 2) / SPACES)
        };
        std::iter::once(reference.to_string()).chain(columns.iter().map(cell)).collect()
    };
    Ok(markdown(&head, &REFERENCES.map(row)))
}
