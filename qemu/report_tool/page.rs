//! The page: its head, its contents, its sections in their order.

use std::collections::BTreeSet;

use crate::data::{Curve, Data, particulars};
use crate::html::{Table, escaped, head, paragraph, words};
use crate::numbers::whole;
use crate::{curve_section, model_section, peer_section, result_section, text};

const STYLE: &str = include_str!("page.css");
/// Nothing is loaded from anywhere, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
const TITLE: &str = "Tessera: what switching and the TLB cost";
/// Benchmarks on the bare mechanism.
const KERNEL: &str = "kernel_";
/// Particulars of a run that come first.
const FIRST: [&str; 7] = ["commit", "emulator", "accelerator", "counting", "cpu", "memory_mib", "boot"];

/// A part of the page.
struct Section {
    id: &'static str,
    title: &'static str,
    html: String,
    /// What the contents list below it: places in the page and their names.
    inner: Vec<(String, String)>,
}

/// The whole page.
pub(crate) fn page(data: &Data) -> Result<String, String> {
    let sections: Vec<Section> = sections(data)?.into_iter().filter(|section| !section.html.is_empty()).collect();
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"{POLICY}\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{TITLE}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{TITLE}</h1>\n{}</header>\n",
        summary(data)
    );
    html += "<nav aria-label=\"Contents\">\n<h2>Contents</h2>\n<ul>\n";
    sections.iter().for_each(|section| html += &contents(section));
    html += "</ul>\n</nav>\n<main>\n";
    for Section { id, title, html: inner, .. } in &sections {
        html += &format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{inner}</section>\n");
    }
    Ok(html + "</main>\n</body>\n</html>\n")
}

fn contents(section: &Section) -> String {
    let mut html = format!("<li><a href=\"#{}\">{}</a>", section.id, section.title);
    if !section.inner.is_empty() {
        let items =
            section.inner.iter().map(|(id, name)| format!("<li><a href=\"#{id}\"><code>{name}</code></a></li>\n"));
        html += &format!("\n<ul class=\"columns\">\n{}</ul>\n", items.collect::<String>());
    }
    html + "</li>\n"
}

fn sections(data: &Data) -> Result<Vec<Section>, String> {
    let plain = |id, title, html| Section { id, title, html, inner: Vec::new() };
    let calls =
        result_section::singles(data, "user-table", "Benchmarks from user level", |name| !name.starts_with(KERNEL));
    let kernel = result_section::singles(
        data,
        "kernel-table",
        "Benchmarks in the kernel, with interrupts off and no call \
         around them",
        |name| name.starts_with(KERNEL),
    );
    Ok(vec![
        plain("units", "What the figures are", text::units(data)),
        plain("hidden", "What emulation cannot show", text::hidden()),
        plain("machine", "The machine", machine(data)),
        curves("user-curves", "Curves from user level", data, |curve| !curve.name.starts_with(KERNEL))?,
        curves("kernel-curves", "Curves in the kernel", data, |curve| curve.name.starts_with(KERNEL))?,
        plain("user", "Benchmarks from user level", calls),
        plain("kernel", "Benchmarks in the kernel", kernel),
        plain("growth", "Where there is more of everything", result_section::growth(data, "growth-table")),
        plain("peers", "Peers", peer_section::section(data, "peers-table")?),
        plain("model", "The TLB model", model_section::section(data, "model-table")?),
    ])
}

/// The commit, how much there is, and the budgets that do not hold.
fn summary(data: &Data) -> String {
    let commits: BTreeSet<&str> = data.runs.iter().map(|run| &*run.document.commit).collect();
    let commits: Vec<&str> = commits.into_iter().collect();
    let mut html = paragraph("commit", &format!("Commit {}", commits.join(" and ")));
    let counted = |count: usize, one: &str, many: &str| {
        format!("{} {}", whole(count as u64), if count == 1 { one } else { many })
    };
    let (singles, curves) = (data.singles.len(), data.curves.len());
    let (benchmarks, curves) = (counted(singles, "benchmark", "benchmarks"), counted(curves, "curve", "curves"));
    html += &paragraph("lead", &format!("{benchmarks} and {curves} on {}.", data.arches.join(" and ")));
    let (count, over) = result_section::budgets(data);
    let budgets = counted(count, "budget", "budgets");
    html += &match over.len() {
        _ if count == 0 => paragraph("lead", "None of them has a budget."),
        0 => paragraph("lead", &format!("{budgets} compared with medians: each holds.")),
        bad => paragraph("lead bad", &format!("{budgets} compared with medians: {bad} not held.")),
    };
    if !over.is_empty() {
        let items = over.iter().map(|line| format!("<li>{}</li>\n", escaped(line)));
        html += &format!("<ul class=\"bad\">\n{}</ul>\n", items.collect::<String>());
    }
    html
}

/// The particulars of each run, side by side.
fn machine(data: &Data) -> String {
    let all: Vec<_> = data.runs.iter().map(|run| particulars(run.document)).collect();
    let names: BTreeSet<&String> = all.iter().flat_map(|particulars| particulars.keys()).collect();
    let mut names: Vec<&String> = names.into_iter().collect();
    names.sort_by_key(|name| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    let columns: Vec<&str> = ["particular"].into_iter().chain(data.runs.iter().map(|run| &*run.label)).collect();
    let mut table = Table::new("machine-table", "How each run was made", &columns, columns.len());
    for name in names {
        let values = all.iter().map(|particulars| words(particulars.get(name).map_or("-", String::as_str)));
        table.row(&[head(name.replace('_', " "))].into_iter().chain(values).collect::<Vec<_>>());
    }
    table.html()
}

fn curves(
    id: &'static str,
    title: &'static str,
    data: &Data,
    is_wanted: fn(&Curve) -> bool,
) -> Result<Section, String> {
    let wanted: Vec<&Curve> = data.curves.iter().filter(|curve| is_wanted(curve)).collect();
    let mut html = String::new();
    if !wanted.is_empty() {
        html += &paragraph(
            "note",
            "Lines join medians; the shaded band reaches from the least sample to the 99th percentile. \
            The plots of a curve have one scale. An axis is logarithmic where its values spread tenfold or more, and \
            begins at zero otherwise.",
        );
    }
    for curve in &wanted {
        html += &curve_section::section(data, curve)?;
    }
    let inner = wanted.iter().map(|curve| (curve_section::id_of(curve), curve.name.to_string())).collect();
    Ok(Section { id, title, html, inner })
}
