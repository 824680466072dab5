//! Tables of benchmarks: every figure, the budget, and whether it holds; and what may not grow.

use crate::data::{Data, Sample, Single};
use crate::html::{Cell, Table, escaped, head, number, words};
use crate::numbers::{decimal, ratio, whole};

/// Columns of figures, behind those that name a row.
const FIGURES: [&str; 10] = ["n", "min", "q1", "median", "q3", "mean", "p99", "max", "budget", "budget holds"];

/// The table of single benchmarks for which `is_wanted` holds; nothing if there are none.
pub(crate) fn singles(data: &Data, id: &str, caption: &str, is_wanted: fn(&str) -> bool) -> String {
    let wanted: Vec<&Single> = data.singles.iter().filter(|single| is_wanted(single.name)).collect();
    if wanted.is_empty() {
        return String::new();
    }
    let columns: Vec<&str> = ["run", "unit"].into_iter().chain(FIGURES).collect();
    let mut table = Table::new(id, caption, &columns, 2);
    for single in wanted {
        table.group(single.name, &described(data, single.name));
        for sample in &single.samples {
            let first = [head(&*data.runs[sample.run].label), words(&*sample.figures.unit)];
            table.row(&first.into_iter().chain(figures(data, sample)).collect::<Vec<_>>());
        }
    }
    table.html()
}

/// A benchmark's name, what it measures and what it leaves out.
pub(crate) fn described(data: &Data, name: &str) -> String {
    let mut html = format!("<code>{}</code>", escaped(name));
    if let Some(entry) = data.entry(name) {
        html += &format!(" <span class=\"what\">Measures: {}</span>", escaped(&entry.what));
        if !entry.leaves_out.is_empty() {
            html += &format!(" <span class=\"what\">Leaves out: {}</span>", escaped(&entry.leaves_out));
        }
    }
    html
}

/// The table of a curve's points; `axis` is what they count.
pub(crate) fn points(data: &Data, id: &str, caption: &str, axis: &str, samples: &[(u64, Sample)]) -> String {
    let columns: Vec<&str> = [axis, "run"].into_iter().chain(FIGURES).collect();
    let mut table = Table::new(id, caption, &columns, 2);
    for (point, sample) in samples {
        let first = [head(whole(*point)), words(&*data.runs[sample.run].label)];
        table.row(&first.into_iter().chain(figures(data, sample)).collect::<Vec<_>>());
    }
    table.html()
}

fn figures(data: &Data, sample: &Sample) -> Vec<Cell> {
    let figures = sample.figures;
    let mut cells: Vec<Cell> =
        [figures.n, figures.min, figures.q1, figures.median, figures.q3].map(|value| number(whole(value))).into();
    cells.push(number(decimal(figures.mean)));
    cells.extend([figures.p99, figures.max].map(|value| number(whole(value))));
    match data.input.budgets.of(&figures.name, &figures.unit) {
        None => cells.extend([number("-"), words("no budget")]),
        Some(budget) => {
            let over = figures.median.saturating_sub(budget);
            let verdict = if over == 0 { words("holds") } else { Cell::Bad(format!("over by {}", whole(over))) };
            cells.extend([number(whole(budget)), verdict]);
        }
    }
    cells
}

/// How many results have a budget, and a line for each that is above it.
pub(crate) fn budgets(data: &Data) -> (usize, Vec<String>) {
    let mut count = 0;
    let mut over = Vec::new();
    for run in &data.runs {
        for result in &run.document.results {
            let Some(budget) = data.input.budgets.of(&result.name, &result.unit) else { continue };
            count += 1;
            if result.median > budget {
                let (median, budget) = (whole(result.median), whole(budget));
                over.push(format!("{} on {}: {median}, budget {budget}", result.name, run.label));
            }
        }
    }
    (count, over)
}

/// The table of benchmarks beside more of everything; nothing if none of them was run.
pub(crate) fn growth(data: &Data, id: &str) -> String {
    let rule = &data.input.budgets.growth;
    let columns = ["benchmark", "compared with", "run", "it takes", "the other", "factor", "at most", "holds"];
    let caption = "Medians where there is more of everything, beside those without";
    let mut table = Table::new(id, caption, &columns, 3);
    let mut is_empty = true;
    for (name, other) in &rule.pairs {
        let most = rule.ceilings.get(name).copied().unwrap_or(rule.factor);
        for run in &data.runs {
            let found = |name: &str| run.document.results.iter().find(|result| result.name == name);
            let (Some(one), Some(two)) = (found(name), found(other)) else { continue };
            is_empty = false;
            let holds = one.median as f64 <= most * two.median as f64;
            table.row(&[
                head(&**name),
                words(&**other),
                words(&*run.label),
                number(whole(one.median)),
                number(whole(two.median)),
                number(factor(one.median, two.median)),
                number(decimal(most)),
                if holds { words("holds") } else { Cell::Bad("grows more".to_string()) },
            ]);
        }
    }
    if is_empty { String::new() } else { table.html() }
}

fn factor(one: u64, two: u64) -> String {
    if two == 0 { "-".to_string() } else { ratio(one as f64 / two as f64) }
}
