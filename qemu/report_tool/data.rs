//! The documents, put together: runs with names that tell them apart, curves from their points, single benchmarks.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::input::{Document, Entry, Figures, Input, split};

/// Architectures that come first, in this order.
const FIRST: [&str; 2] = ["x86_64", "aarch64"];

/// How a particular that a run does not have is shown.
pub(crate) const NOTHING: &str = "-";

/// All that the page tells.
pub(crate) struct Data<'a> {
    pub(crate) input: &'a Input,
    pub(crate) runs: Vec<Run<'a>>,
    pub(crate) arches: Vec<&'a str>,
    pub(crate) curves: Vec<Curve<'a>>,
    pub(crate) singles: Vec<Single<'a>>,
}

/// One document, and what to call it.
pub(crate) struct Run<'a> {
    pub(crate) document: &'a Document,
    /// The architecture, and whatever else tells it from the other runs of that one.
    pub(crate) label: String,
}

/// Figures of one run: of a single benchmark, or at a point of a curve.
#[derive(Clone, Copy)]
pub(crate) struct Sample<'a> {
    pub(crate) run: usize,
    pub(crate) figures: &'a Figures,
}

/// A benchmark that is no curve.
pub(crate) struct Single<'a> {
    pub(crate) name: &'a str,
    pub(crate) samples: Vec<Sample<'a>>,
}

/// A benchmark that was taken at several points, in one unit.
pub(crate) struct Curve<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: &'a str,
    /// By point, then by run.
    pub(crate) points: BTreeMap<u64, Vec<Sample<'a>>>,
}

impl<'a> Data<'a> {
    /// Puts the input's documents together.
    pub(crate) fn of(input: &'a Input) -> Result<Self, String> {
        let mut documents: Vec<&Document> = input.documents.iter().collect();
        documents.sort_by_key(|document| rank(&document.arch));
        let runs = runs_of(&documents)?;
        let mut arches: Vec<&str> = documents.iter().map(|document| document.arch.as_str()).collect();
        arches.dedup();
        let mut data = Data { input, runs, arches, curves: Vec::new(), singles: Vec::new() };
        for (run, document) in documents.iter().enumerate() {
            for figures in &document.results {
                data.add(Sample { run, figures });
            }
        }
        Ok(data)
    }

    fn add(&mut self, sample: Sample<'a>) {
        let (name, point) = split(&sample.figures.name);
        let Some(point) = point else {
            match self.singles.iter_mut().find(|single| single.name == name) {
                Some(single) => single.samples.push(sample),
                None => self.singles.push(Single { name, samples: vec![sample] }),
            }
            return;
        };
        let unit = sample.figures.unit.as_str();
        let is_it = |curve: &&mut Curve| (curve.name, curve.unit) == (name, unit);
        match self.curves.iter_mut().find(is_it) {
            Some(curve) => curve.points.entry(point).or_default().push(sample),
            None => {
                let points = BTreeMap::from([(point, vec![sample])]);
                self.curves.push(Curve { name, unit, points });
            }
        }
    }

    /// What the catalogue says of a benchmark or curve.
    pub(crate) fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.input.catalogue.get(name)
    }

    /// The runs of one architecture, by their numbers.
    pub(crate) fn runs_on(&self, arch: &str) -> impl Iterator<Item = usize> + '_ {
        let arch = arch.to_string();
        (0..self.runs.len()).filter(move |run| self.runs[*run].document.arch == arch)
    }

    /// Every result, in order.
    pub(crate) fn results(&self) -> impl Iterator<Item = &'a Figures> + '_ {
        self.runs.iter().flat_map(|run| &run.document.results)
    }
}

impl<'a> Curve<'a> {
    /// The figures of one run, by point.
    pub(crate) fn of_run(&self, run: usize) -> Vec<(u64, &'a Figures)> {
        let points = self.points.iter();
        points
            .flat_map(|(point, samples)| samples.iter().map(move |sample| (*point, sample)))
            .filter(|(_, sample)| sample.run == run)
            .map(|(point, sample)| (point, sample.figures))
            .collect()
    }
}

/// Known architectures first, then by name.
fn rank(arch: &str) -> (usize, &str) {
    (FIRST.iter().position(|first| *first == arch).unwrap_or(FIRST.len()), arch)
}

/// Names the runs: by what differs among those of one architecture.
fn runs_of<'a>(documents: &[&'a Document]) -> Result<Vec<Run<'a>>, String> {
    let particulars: Vec<BTreeMap<String, String>> = documents.iter().map(|document| particulars(document)).collect();
    let mut runs: Vec<Run> = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let peers = (0..documents.len()).filter(|other| documents[*other].arch == document.arch);
        let others: Vec<usize> = peers.collect();
        let differs =
            |key: &&String| others.iter().any(|other| particulars[*other].get(*key) != particulars[index].get(*key));
        let words = particulars[index].iter().filter(|(key, _)| differs(key)).map(|(key, value)| told(key, value));
        let label = [document.arch.clone()].into_iter().chain(words).collect::<Vec<_>>().join(", ");
        if runs.iter().any(|run| run.label == label) {
            return Err(format!("two documents are of the same run: {label}"));
        }
        runs.push(Run { document, label });
    }
    Ok(runs)
}

fn told(key: &str, value: &str) -> String {
    if value == NOTHING { format!("no {key}") } else { format!("{key} {value}") }
}

/// All that is known of how a document came to be, by name.
pub(crate) fn particulars(document: &Document) -> BTreeMap<String, String> {
    let told = document.machine.iter().chain(&document.options).map(|(key, value)| (key.clone(), shown(value)));
    let own = [("commit", &document.commit), ("unit", &document.unit)];
    told.chain(own.map(|(key, value)| (key.to_string(), value.clone()))).collect()
}

/// A value of JSON as a reader wants it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => NOTHING.to_string(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
