//! What the tool is given: documents of schema 2, and beside them the catalogue, budgets, recorded peers and profiles.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// The schema of documents that this tool knows.
const SCHEMA: u64 = 2;

/// The whole input.
#[derive(Deserialize)]
pub(crate) struct Input {
    pub(crate) documents: Vec<Document>,
    /// By the names of benchmarks and curves.
    #[serde(default)]
    pub(crate) catalogue: BTreeMap<String, Entry>,
    #[serde(default)]
    pub(crate) budgets: Budgets,
    #[serde(default)]
    pub(crate) peers: RecordedPeers,
    /// The file of the TLB model's profiles, in TOML; nothing if there is none.
    #[serde(default)]
    pub(crate) profiles: String,
}

/// One run of the benchmarks on one architecture.
#[derive(Deserialize)]
pub(crate) struct Document {
    schema: u64,
    pub(crate) commit: String,
    pub(crate) arch: String,
    pub(crate) machine: BTreeMap<String, Value>,
    pub(crate) options: BTreeMap<String, Value>,
    pub(crate) unit: String,
    pub(crate) results: Vec<Figures>,
    #[serde(default)]
    pub(crate) peers: Vec<PeerFigures>,
}

/// One benchmark's figures, or those of one point of a curve.
#[derive(Deserialize)]
pub(crate) struct Figures {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) n: u64,
    pub(crate) min: u64,
    pub(crate) q1: u64,
    pub(crate) median: u64,
    pub(crate) q3: u64,
    pub(crate) mean: f64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
    #[serde(default)]
    pub(crate) model: Option<ModelFigures>,
}

/// What the TLB model saw of one benchmark, for one of its operations.
#[derive(Deserialize)]
pub(crate) struct ModelFigures {
    pub(crate) profile: String,
    pub(crate) instruction_misses: f64,
    pub(crate) data_misses: f64,
    pub(crate) second_level_misses: f64,
    pub(crate) walks: f64,
    pub(crate) walk_references: f64,
    pub(crate) cycles: f64,
}

/// A peer's figures, measured with the document they stand in.
#[derive(Deserialize)]
pub(crate) struct PeerFigures {
    pub(crate) peer: String,
    /// The benchmark of ours that does the same; nothing if there is none.
    #[serde(default)]
    pub(crate) name: Option<String>,
    pub(crate) operation: String,
    #[serde(default)]
    pub(crate) unit: Option<String>,
    pub(crate) n: u64,
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

/// What a benchmark is, as its source says.
#[derive(Deserialize)]
pub(crate) struct Entry {
    pub(crate) what: String,
    #[serde(default)]
    pub(crate) leaves_out: String,
    /// What a curve's points count; empty if it is no curve.
    #[serde(default)]
    pub(crate) axis: String,
}

/// `tests/bench/budgets.json`.
#[derive(Default, Deserialize)]
pub(crate) struct Budgets {
    #[serde(default)]
    pub(crate) unit: String,
    #[serde(default)]
    pub(crate) budgets: BTreeMap<String, Budget>,
    #[serde(default)]
    pub(crate) growth: Growth,
}

/// The highest median that a benchmark may have.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Budget {
    Limit(u64),
    /// That of the benchmark of this name.
    Same(String),
}

/// How much more a benchmark may take than the one it is paired with.
#[derive(Default, Deserialize)]
pub(crate) struct Growth {
    #[serde(default)]
    pub(crate) factor: f64,
    #[serde(default)]
    pub(crate) ceilings: BTreeMap<String, f64>,
    #[serde(default)]
    pub(crate) pairs: BTreeMap<String, String>,
}

/// Of `tests/bench/sel4.json` and `linux.json`: figures of peers that were measured once.
#[derive(Default, Deserialize)]
pub(crate) struct RecordedPeers {
    #[serde(default)]
    pub(crate) unit: String,
    #[serde(default)]
    pub(crate) emulator: String,
    /// For each peer its version and how it was built.
    #[serde(default)]
    pub(crate) sources: BTreeMap<String, String>,
    /// By our benchmark, then by the peer.
    #[serde(default)]
    pub(crate) figures: BTreeMap<String, BTreeMap<String, RecordedFigure>>,
}

/// One recorded figure of a peer.
#[derive(Deserialize)]
pub(crate) struct RecordedFigure {
    /// The operation, in the peer's own words.
    pub(crate) line: String,
    #[serde(flatten)]
    pub(crate) by_arch: BTreeMap<String, f64>,
}

impl Budgets {
    /// The budget of a benchmark, if it has one in this unit.
    pub(crate) fn of(&self, name: &str, unit: &str) -> Option<u64> {
        let is_same_unit = self.unit.is_empty() || self.unit == unit;
        match self.budgets.get(name).filter(|_| is_same_unit)? {
            Budget::Limit(limit) => Some(*limit),
            Budget::Same(other) => match self.budgets.get(other)? {
                Budget::Limit(limit) => Some(*limit),
                Budget::Same(_) => None,
            },
        }
    }
}

/// Reads the input and checks it; an error is one line.
pub(crate) fn read(text: &str) -> Result<Input, String> {
    let input: Input = serde_json::from_str(text).map_err(|error| format!("the documents cannot be read: {error}"))?;
    if input.documents.is_empty() {
        return Err("there is no document to report".to_string());
    }
    for (index, document) in input.documents.iter().enumerate() {
        check(document).map_err(|what| format!("document {} ({:?}): {what}", index + 1, document.arch))?;
    }
    Ok(input)
}

fn check(document: &Document) -> Result<(), String> {
    if document.schema != SCHEMA {
        return Err(format!("its schema is {}, not {SCHEMA}", document.schema));
    }
    if document.arch.is_empty() || !document.arch.bytes().all(is_of_name) {
        return Err("this is no architecture's name".to_string());
    }
    let mut seen = BTreeSet::new();
    for result in &document.results {
        check_figures(result).map_err(|what| format!("{:?}: {what}", result.name))?;
        if !seen.insert(&result.name) {
            return Err(format!("it has two results for {}", result.name));
        }
        let is_emulated = document.machine.get("accelerator").and_then(Value::as_str) == Some("tcg");
        if result.unit == "cycles" && is_emulated {
            return Err(format!("{}: cycles of an emulator are no cost", result.name));
        }
    }
    Ok(())
}

fn check_figures(result: &Figures) -> Result<(), String> {
    let (base, point) = split(&result.name);
    let is_curve = result.name.contains('/');
    let is_name = base.starts_with(|first: char| first.is_ascii_lowercase()) && base.bytes().all(is_of_name);
    if !is_name || is_curve != point.is_some() {
        return Err("this is no benchmark's name".to_string());
    }
    if result.n == 0 || result.unit.is_empty() {
        return Err("it has no samples or no unit".to_string());
    }
    let sorted = [result.min, result.q1, result.median, result.q3, result.p99, result.max];
    if !sorted.is_sorted() {
        return Err(format!("its figures are not in order: {sorted:?}"));
    }
    Ok(())
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

/// A benchmark's name and, if it is a point of a curve, the point.
pub(crate) fn split(name: &str) -> (&str, Option<u64>) {
    match name.split_once('/') {
        Some((base, point)) if point.bytes().all(|byte| byte.is_ascii_digit()) => (base, point.parse().ok()),
        _ => (name, None),
    }
}
