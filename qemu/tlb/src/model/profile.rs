//! Profiles: what a CPU has, read from a file and checked.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::costs::Costs;
use super::owner::SHARED_SPACES;

/// The profiles that come with the crate, as text.
pub const PROFILES: &str = include_str!("../../profiles.toml");

/// The parts of a profile that `unverified` can name, besides `costs.NAME`.
const PARTS: &[&str] =
    &["instruction", "data", "second_level", "second_level_instruction", "walk_caches", "shared_spaces"];

/// A size of pages, or of what one table translates, written like `4K`, `2M` or `512G`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct PageSize(u8);

impl PageSize {
    /// The size as a power of two.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }
}

impl TryFrom<String> for PageSize {
    type Error = String;

    fn try_from(text: String) -> Result<PageSize, String> {
        let wrong = || format!("`{text}` is no size of pages: it is a power of two and K, M, G or T, such as 4K");
        let unit = text.chars().last().and_then(|unit| "KMGT".find(unit)).ok_or_else(wrong)?;
        let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        if !number.is_power_of_two() || number > 512 || unit == 0 && number < 4 {
            return Err(wrong());
        }
        Ok(PageSize(number.trailing_zeros() as u8 + 10 * (unit as u8 + 1)))
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.0 / 10;
        write!(out, "{}{}", 1_u64 << (self.0 - unit * 10), ["", "K", "M", "G", "T"][usize::from(unit)])
    }
}

/// One array of entries.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// How many entries it has.
    pub entries: u32,
    /// In how many ways; as many as entries if it is fully associative.
    pub ways: u32,
    /// Which sizes of pages it holds.
    pub pages: Vec<PageSize>,
    /// Whether the tag is mixed into the index, so that pages at the same address of many spaces are not in one set.
    #[serde(default)]
    pub hash_tag: bool,
}

/// A CPU.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name in the file.
    #[serde(skip)]
    pub name: String,
    /// The CPU in words.
    pub what: String,
    /// The first level for fetches.
    pub instruction: Vec<Shape>,
    /// The first level for loads and stores.
    pub data: Vec<Shape>,
    /// The second level.
    pub second_level: Vec<Shape>,
    /// The second level for fetches, where there is one of their own.
    #[serde(default)]
    pub second_level_instruction: Vec<Shape>,
    /// The page-walk caches; the size is what the table translates that an entry leads to.
    pub walk_caches: Vec<Shape>,
    /// How many shared spaces the hardware tells apart; 0 if it knows none.
    #[serde(default)]
    pub shared_spaces: u32,
    /// What things cost.
    pub costs: Costs,
    /// The parts, and costs as `costs.NAME`, that no source confirms.
    pub unverified: Vec<String>,
}

impl Profile {
    /// The profile `name` of a text of profiles; otherwise one line that says what is wrong.
    pub fn find(text: &str, name: &str) -> Result<Profile, String> {
        let mut profiles: BTreeMap<String, Profile> = toml::from_str(text).map_err(|error| one_line(text, &error))?;
        for (name, profile) in &mut profiles {
            profile.name.clone_from(name);
            profile.check().map_err(|mistake| format!("profile {name}: {mistake}"))?;
        }
        let names = profiles.keys().cloned().collect::<Vec<String>>().join(", ");
        profiles.remove(name).ok_or_else(|| format!("there is no profile {name}; there are {names}"))
    }

    /// One that comes with the crate.
    pub fn built_in(name: &str) -> Result<Profile, String> {
        Profile::find(PROFILES, name)
    }

    /// Changes a cost, from words like `walk_reference=20`.
    pub fn set_cost(&mut self, words: &str) -> Result<(), String> {
        let (name, value) = words.split_once('=').ok_or_else(|| format!("{words} is not like walk_reference=20"))?;
        let known = || format!("there is no cost {name}; there are {}", Costs::NAMES.join(", "));
        let cost = self.costs.get_mut(name).ok_or_else(known)?;
        *cost = value.parse().map_err(|_| format!("{value} is no number of cycles"))?;
        Ok(())
    }

    /// The cost table in one line; a question mark is behind what no source confirms.
    #[must_use]
    pub fn cost_line(&self) -> String {
        let cost =
            |(name, cycles): (&'static str, u32)| format!("{name}={cycles}{}", self.mark(&format!("costs.{name}")));
        self.costs.named().into_iter().map(cost).collect::<Vec<String>>().join(" ")
    }

    /// What the profile has, part by part; a question mark is behind what no source confirms.
    #[must_use]
    pub fn parts(&self) -> Vec<(&'static str, String)> {
        let levels =
            self.levels().map(|(name, shapes)| (name, shapes.iter().map(described).collect::<Vec<_>>().join("; ")));
        let shared =
            ("shared_spaces", if self.shared_spaces > 0 { self.shared_spaces.to_string() } else { String::new() });
        let present = levels.into_iter().chain([shared]).filter(|(_, text)| !text.is_empty());
        present.map(|(name, text)| (name, text + self.mark(name))).collect()
    }

    fn mark(&self, part: &str) -> &'static str {
        if self.unverified.iter().any(|name| name == part) { "?" } else { "" }
    }

    fn levels(&self) -> [(&'static str, &[Shape]); 5] {
        [
            ("instruction", &self.instruction),
            ("data", &self.data),
            ("second_level", &self.second_level),
            ("second_level_instruction", &self.second_level_instruction),
            ("walk_caches", &self.walk_caches),
        ]
    }

    fn check(&self) -> Result<(), String> {
        for (part, shapes) in self.levels() {
            check_level(shapes).map_err(|mistake| format!("{part}: {mistake}"))?;
        }
        for (part, shapes) in [("instruction", &self.instruction), ("data", &self.data)] {
            if shapes.is_empty() {
                return Err(format!("{part}: there is no array"));
            }
        }
        if let Some(size) = self.walk_caches.iter().flat_map(|shape| &shape.pages).find(|size| !is_table(**size)) {
            return Err(format!("walk_caches: no table translates {size}: it is 2M, 1G, 512G or 256T"));
        }
        if self.shared_spaces > SHARED_SPACES {
            return Err(format!("shared_spaces: {} are more than {SHARED_SPACES}", self.shared_spaces));
        }
        let known = |name: &str| {
            PARTS.contains(&name) || name.strip_prefix("costs.").is_some_and(|cost| Costs::NAMES.contains(&cost))
        };
        match self.unverified.iter().find(|name| !known(name)) {
            Some(name) => Err(format!("unverified: there is nothing called {name}")),
            None => Ok(()),
        }
    }
}

/// Whether it is what a table of some level translates.
fn is_table(size: PageSize) -> bool {
    [21, 30, 39, 48].contains(&size.bits())
}

fn check_level(shapes: &[Shape]) -> Result<(), String> {
    let mut seen = Vec::new();
    for shape in shapes {
        let (entries, ways) = (shape.entries, shape.ways);
        if entries == 0 || ways == 0 || entries >= u32::from(u16::MAX) {
            return Err(format!("{entries} entries in {ways} ways are not possible"));
        }
        if entries % ways != 0 || !(entries / ways).is_power_of_two() {
            return Err(format!("{entries} entries in {ways} ways do not make a power of two of sets"));
        }
        if shape.pages.is_empty() {
            return Err("an array holds no size of pages".to_string());
        }
        for page in &shape.pages {
            if seen.contains(page) {
                return Err(format!("{page} is named twice"));
            }
            seen.push(*page);
        }
    }
    Ok(())
}

fn described(shape: &Shape) -> String {
    let ways =
        if shape.ways == shape.entries { "fully associative".to_string() } else { format!("{} ways", shape.ways) };
    let pages = shape.pages.iter().map(PageSize::to_string).collect::<Vec<String>>().join(", ");
    let index = if shape.hash_tag { ", tag in the index" } else { "" };
    format!("{}, {ways}{index}: {pages}", shape.entries)
}

/// An error of the format, in one line with the number of the line it is about.
fn one_line(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    format!("{place}{}", error.message().replace('\n', "; "))
}
