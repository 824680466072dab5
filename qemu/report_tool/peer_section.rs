//! Peers: other kernels' figures for the same operations, and what ours are of them.

use crate::axis::Axis;
use crate::data::Data;
use crate::html::{Table, escaped, head, number, paragraph, words};
use crate::input::{Figures, RecordedPeers};
use crate::numbers::{decimal, ratio, whole};
use crate::plot::{Mark, legend, rows};

/// One peer's figure beside one of our benchmarks, or beside none.
struct Comparison<'a> {
    run: usize,
    name: &'a str,
    peer: String,
    operation: &'a str,
    unit: &'a str,
    ours: Option<u64>,
    theirs: f64,
    /// How many samples, the least and the most; nothing of a figure that was recorded alone.
    samples: Option<(u64, f64, f64)>,
}

impl Comparison<'_> {
    /// Ours divided by theirs.
    fn ratio(&self) -> Option<f64> {
        self.ours.filter(|_| self.theirs > 0.0).map(|ours| ours as f64 / self.theirs)
    }
}

/// The section, without its heading; nothing if there is no peer.
pub(crate) fn section(data: &Data, id: &str) -> Result<String, String> {
    let comparisons: Vec<Comparison> = (0..data.runs.len()).flat_map(|run| of_run(data, run)).collect();
    if comparisons.is_empty() {
        return Ok(String::new());
    }
    let mut html = sources(&data.input.peers, &comparisons);
    html += &figure(data, &comparisons)?;
    let columns = [
        "benchmark",
        "run",
        "peer",
        "its operation",
        "unit",
        "Tessera",
        "peer",
        "Tessera / peer",
        "its n",
        "its min",
        "its max",
    ];
    let mut table = Table::new(id, "Medians of both, and what ours is of the peer's", &columns, 5);
    for each in &comparisons {
        let (run, ours) = (&*data.runs[each.run].label, each.ours.map_or("-".to_string(), whole));
        let divided = each.ratio().map_or("-".to_string(), ratio);
        table.row(&[
            head(each.name),
            words(run),
            words(&*each.peer),
            words(each.operation),
            words(each.unit),
            number(ours),
            number(decimal(each.theirs)),
            number(divided),
            number(each.samples.map_or("-".to_string(), |(n, ..)| whole(n))),
            number(each.samples.map_or("-".to_string(), |(_, least, _)| decimal(least))),
            number(each.samples.map_or("-".to_string(), |(.., most)| decimal(most))),
        ]);
    }
    Ok(html + &table.html())
}

/// What one run can be compared with: what was measured with it, and what was recorded of others.
fn of_run<'a>(data: &Data<'a>, run: usize) -> Vec<Comparison<'a>> {
    let (document, recorded) = (data.runs[run].document, &data.input.peers);
    let median = |name: &str, unit: &str| {
        let is_it = |result: &&Figures| result.name == name && result.unit == unit;
        document.results.iter().find(is_it).map(|result| result.median)
    };
    let measured = document.peers.iter().map(|each| {
        let (name, unit) = (each.name.as_deref().unwrap_or("-"), each.unit.as_deref().unwrap_or(&document.unit));
        let (peer, ours, theirs) = (each.peer.clone(), median(name, unit), each.median);
        let samples = Some((each.n, each.min, each.max));
        Comparison { run, name, peer, operation: &each.operation, unit, ours, theirs, samples }
    });
    let mut found: Vec<Comparison> = measured.collect();
    for (name, figures) in &recorded.figures {
        let ours = median(name, &recorded.unit);
        // A figure measured beside ours is better than one that was recorded once.
        let is_measured = |peer: &str| document.peers.iter().any(|each| each.peer.starts_with(peer));
        for (peer, figure) in figures.iter().filter(|(peer, _)| ours.is_some() && !is_measured(peer)) {
            let Some(theirs) = figure.by_arch.get(&document.arch).copied() else { continue };
            let (peer, operation, unit) = (recorded_name(peer), &*figure.line, &*recorded.unit);
            found.push(Comparison { run, name, peer, operation, unit, ours, theirs, samples: None });
        }
    }
    found
}

/// Where the recorded figures come from, of the peers that are shown.
fn sources(recorded: &RecordedPeers, comparisons: &[Comparison]) -> String {
    let emulator = if recorded.emulator.is_empty() { String::new() } else { format!(" in {}", recorded.emulator) };
    let is_shown = |peer: &str| comparisons.iter().any(|each| each.peer == recorded_name(peer));
    let shown = recorded.sources.iter().filter(|(peer, _)| is_shown(peer));
    let lines = shown.map(|(peer, source)| {
        let name = recorded_name(peer);
        paragraph("note", &format!("{name}: measured once{emulator}, kept in tests/bench. {source}."))
    });
    lines.collect()
}

/// What a peer is called whose figures were not measured beside ours.
fn recorded_name(peer: &str) -> String {
    format!("{peer}, recorded")
}

/// The plot of ratios, one for each run.
fn figure(data: &Data, comparisons: &[Comparison]) -> Result<String, String> {
    let shown: Vec<(&Comparison, f64)> = comparisons.iter().filter_map(|each| Some((each, each.ratio()?))).collect();
    let ratios: Vec<f64> = shown.iter().map(|(_, ratio)| *ratio).chain([1.0]).filter(|ratio| *ratio > 0.0).collect();
    if ratios.len() < 2 {
        return Ok(String::new());
    }
    let (names, peers) =
        (unique(shown.iter().map(|(each, _)| each.name)), unique(shown.iter().map(|(each, _)| &*each.peer)));
    let axis = Axis::of_amounts(&ratios);
    let mut html = "<figure data-measure=\"peers\">\n<figcaption>Tessera's median divided by the peer's: left of the \
                    line at 1, Tessera takes less</figcaption>\n"
        .to_string();
    html += &legend(peers.iter().enumerate().map(|(series, peer)| (series, *peer)));
    html += "<div class=\"panels\">\n";
    for (run, label) in data.runs.iter().enumerate().map(|(run, entry)| (run, &entry.label)) {
        let mark = |(each, ratio): &(&Comparison, f64)| {
            let row = names.iter().position(|name| *name == each.name)?;
            let series = peers.iter().position(|peer| *peer == each.peer)?;
            Some(Mark { row, series, amount: *ratio })
        };
        let marks: Vec<Mark> = shown.iter().filter(|(each, _)| each.run == run).filter_map(mark).collect();
        if !marks.is_empty() {
            let svg = rows(&axis, &names, "Tessera / peer", 1.0, &marks)?;
            html += &format!(
                "<div class=\"panel\" data-arch=\"{}\">\n<h4>{}</h4>\n<div class=\"plot\" role=\"img\" aria-label=\"Ratios \
                 of {} operations; the table below has them.\">\n{svg}</div>\n</div>\n",
                data.runs[run].document.arch,
                escaped(label),
                marks.len()
            );
        }
    }
    Ok(html + "</div>\n</figure>\n")
}

/// The texts without those that came before.
fn unique<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    texts.for_each(|text| {
        if !found.contains(&text) {
            found.push(text);
        }
    });
    found
}
