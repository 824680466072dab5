//! Curves: for each a plot per architecture, side by side and to one scale, and the table of its points.

use crate::axis::Axis;
use crate::data::{Curve, Data, Sample};
use crate::html::{escaped, paragraph};
use crate::input::{Figures, ModelFigures};
use crate::numbers::{decimal, whole};
use crate::plot::{LETTERS, Line, Point, legend, lines};
use crate::result_section;

/// What is plotted of a curve.
struct Measure {
    /// Tells a curve's figures from each other.
    name: &'static str,
    /// What stands at the vertical axis.
    unit: String,
    /// The title of the figure.
    title: String,
    take: fn(&Figures) -> Option<(f64, f64, f64)>,
}

/// One curve's section.
pub(crate) fn section(data: &Data, curve: &Curve) -> Result<String, String> {
    let id = id_of(curve);
    let mut html =
        format!("<section id=\"{id}\">\n<h3><code>{}</code> <small>{}</small></h3>\n", curve.name, escaped(curve.unit));
    let entry = data.entry(curve.name);
    if let Some(entry) = entry {
        html += &paragraph("what", &format!("Measures: {}", entry.what));
        if !entry.leaves_out.is_empty() {
            html += &paragraph("what", &format!("Leaves out: {}", entry.leaves_out));
        }
    }
    let axis = entry.map(|entry| entry.axis.as_str()).filter(|axis| !axis.is_empty()).unwrap_or("point");
    for measure in measures(curve) {
        html += &figure(data, curve, axis, &measure)?;
    }
    let flat = curve.points.iter().flat_map(|(point, samples)| samples.iter().map(|sample| (*point, *sample)));
    let samples: Vec<(u64, Sample)> = flat.collect();
    let caption = format!("{}: {} at each point", curve.name, curve.unit);
    let table = result_section::points(data, &format!("{id}-table"), &caption, axis, &samples);
    html += &format!("<details>\n<summary>Table of {} rows</summary>\n{table}</details>\n</section>\n", samples.len());
    Ok(html)
}

/// The name of a curve's section in the page.
pub(crate) fn id_of(curve: &Curve) -> String {
    let unit: String = curve.unit.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("curve-{}-{unit}", curve.name)
}

/// The curve itself, and what the model says where it was asked.
fn measures(curve: &Curve) -> Vec<Measure> {
    let measured = Measure {
        name: "measured",
        unit: curve.unit.to_string(),
        title: format!("{}: median of {}, from the least to the 99th percentile", curve.name, curve.unit),
        take: |figures| Some((figures.min as f64, figures.median as f64, figures.p99 as f64)),
    };
    let mut profiles: Vec<&str> = models(curve).map(|model| model.profile.as_str()).collect();
    profiles.sort_unstable();
    profiles.dedup();
    let modelled = |name, unit: &str, take| {
        let title = format!("{}: {unit} for one operation, by the TLB model ({})", curve.name, profiles.join(", "));
        Measure { name, unit: unit.to_string(), title, take }
    };
    let mut found = vec![measured];
    if !profiles.is_empty() {
        found.push(modelled("cycles", "modelled cycles", |figures| {
            figures.model.as_ref().map(|model| thrice(model.cycles))
        }));
        found.push(modelled("walks", "modelled walks", |figures| {
            figures.model.as_ref().map(|model| thrice(model.walks))
        }));
    }
    found
}

fn models<'a>(curve: &Curve<'a>) -> impl Iterator<Item = &'a ModelFigures> {
    let samples: Vec<&'a Figures> = curve.points.values().flatten().map(|sample| sample.figures).collect();
    samples.into_iter().filter_map(|figures| figures.model.as_ref())
}

/// The model gives one amount, not many samples.
fn thrice(amount: f64) -> (f64, f64, f64) {
    (amount, amount, amount)
}

/// The plots of one measure, one for each architecture.
fn figure(data: &Data, curve: &Curve, axis: &str, measure: &Measure) -> Result<String, String> {
    let all: Vec<Line> = (0..data.runs.len()).map(|run| line(curve, run, measure)).collect();
    if all.iter().all(|line| line.points.len() < 2) {
        return Ok(paragraph("note", "Too few points for a plot; see the table."));
    }
    let points: Vec<u64> = curve.points.keys().copied().collect();
    let amounts = all.iter().flat_map(|line| &line.points).flat_map(|point| [point.low, point.middle, point.high]);
    let (x, y) = (Axis::of_points(&points, LETTERS), Axis::of_amounts(&amounts.collect::<Vec<_>>()));
    let (name, title) = (measure.name, escaped(&measure.title));
    let mut html =
        format!("<figure data-curve=\"{}\" data-measure=\"{name}\">\n<figcaption>{title}</figcaption>\n", curve.name);
    let drawn = all.iter().filter(|line| !line.points.is_empty());
    if drawn.clone().count() > data.arches.len() {
        html += &legend(drawn.map(|line| (line.series, &*data.runs[line.series].label)));
    }
    html += "<div class=\"panels\">\n";
    for arch in &data.arches {
        let here = data.runs_on(arch).map(|run| line(curve, run, measure)).filter(|line| !line.points.is_empty());
        let here: Vec<Line> = here.collect();
        html += &format!("<div class=\"panel\" data-arch=\"{arch}\">\n<h4>{arch}</h4>\n");
        if here.is_empty() {
            html += &paragraph("note", &format!("Not measured on {arch}."));
        } else {
            let label = escaped(&spoken(data, arch, axis, measure, &here));
            let svg = lines(&x, &y, axis, &measure.unit, &here)?;
            html += &format!("<div class=\"plot\" role=\"img\" aria-label=\"{label}\">\n{svg}</div>\n");
        }
        html += "</div>\n";
    }
    Ok(html + "</div>\n</figure>\n")
}

fn line(curve: &Curve, run: usize, measure: &Measure) -> Line {
    let points = curve.of_run(run).into_iter().filter_map(|(x, figures)| {
        let (low, middle, high) = (measure.take)(figures)?;
        Some(Point { x: x as f64, low, middle, high })
    });
    Line { series: run, points: points.collect() }
}

/// A plot in words: where each line begins and ends.
fn spoken(data: &Data, arch: &str, axis: &str, measure: &Measure, lines: &[Line]) -> String {
    let ends = lines.iter().filter_map(|line| {
        let (first, last) = (line.points.first()?, line.points.last()?);
        let label = &data.runs[line.series].label;
        let (from, to) = (decimal(first.middle), decimal(last.middle));
        let (low, high) = (whole(first.x as u64), whole(last.x as u64));
        Some(format!("{label}: from {from} at {low} to {to} at {high}"))
    });
    let ends = ends.collect::<Vec<_>>().join("; ");
    format!("{} on {arch}, {} by {axis}. {ends}.", measure.title, measure.unit)
}
