//! The TLB model: what it saw of each benchmark, and the profiles that say what it is a model of and what things cost.

use crate::data::Data;
use crate::html::{Table, head, number, paragraph, words};
use crate::input::Figures;
use crate::numbers::decimal;

/// The section, without its heading; nothing if no benchmark was run with the model.
pub(crate) fn section(data: &Data, id: &str) -> Result<String, String> {
    let modelled: Vec<&Figures> = data.results().filter(|result| result.model.is_some()).collect();
    if modelled.is_empty() {
        return Ok(String::new());
    }
    let mut html = format!("{}{}", table(data, id), paragraph("note", NOTE));
    let mut profiles: Vec<&str> =
        modelled.iter().flat_map(|result| &result.model).map(|model| &*model.profile).collect();
    profiles.sort_unstable();
    profiles.dedup();
    html += &profile_tables(&data.input.profiles, &profiles)?;
    Ok(html)
}

const NOTE: &str = "Each figure is that of one operation: what was counted between the two readings of the counter, \
                    divided by the number of samples.";

fn table(data: &Data, id: &str) -> String {
    let columns = [
        "benchmark",
        "run",
        "profile",
        "instruction misses",
        "data misses",
        "second-level misses",
        "walks",
        "walk references",
        "cycles",
    ];
    let mut table = Table::new(id, "What the TLB model says of one operation", &columns, 3);
    for run in &data.runs {
        for result in &run.document.results {
            let Some(model) = &result.model else { continue };
            let amounts = [
                model.instruction_misses,
                model.data_misses,
                model.second_level_misses,
                model.walks,
                model.walk_references,
                model.cycles,
            ];
            let names = [head(&*result.name), words(&*run.label), words(&*model.profile)];
            let amounts = amounts.map(|amount| number(decimal(amount)));
            table.row(&names.into_iter().chain(amounts).collect::<Vec<_>>());
        }
    }
    table.html()
}

/// A table for each of the profiles: its sizes and its costs, as the file has them.
fn profile_tables(text: &str, names: &[&str]) -> Result<String, String> {
    let unreadable = |error: toml::de::Error| format!("the profiles cannot be read: {}", error.message());
    let file: toml::Table = text.parse().map_err(unreadable)?;
    let mut html = String::new();
    for name in names {
        html += &match file.get(*name).and_then(toml::Value::as_table) {
            Some(profile) => profile_table(name, profile),
            None => paragraph("note", &format!("The file of profiles does not describe {name}.")),
        };
    }
    Ok(html)
}

fn profile_table(name: &str, profile: &toml::Table) -> String {
    let what = profile.get("what").and_then(toml::Value::as_str).unwrap_or_default();
    let caption = format!("The profile {name}: {what}. Costs in cycles; no source confirms those with a question mark");
    let mut table = Table::new(&format!("profile-{}", id_part(name)), &caption, &["parameter", "value"], 2);
    let unverified: Vec<&str> = match profile.get("unverified") {
        Some(toml::Value::Array(names)) => names.iter().filter_map(toml::Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut rows = Vec::new();
    let sizes = profile.iter().filter(|(key, _)| !["what", "unverified"].contains(&key.as_str()));
    sizes.for_each(|(key, value)| flatten(key, value, &mut rows));
    for (key, value) in rows {
        let mark = if unverified.contains(&&*key) { " ?" } else { "" };
        table.row(&[head(key.replace('_', " ")), words(value + mark)]);
    }
    table.html()
}

/// A name as a part of an element's name.
fn id_part(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

/// The parameters within a value, by name.
fn flatten(name: &str, value: &toml::Value, rows: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(table) => {
            table.iter().for_each(|(key, inner)| flatten(&format!("{name}.{key}"), inner, rows))
        }
        other => rows.push((name.to_string(), shown(other))),
    }
}

/// A value as a reader wants it: `entries 48, ways 48, pages 4K 16K`.
fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Table(table) => {
            let parts = table.iter().map(|(key, inner)| format!("{} {}", key.replace('_', " "), shown(inner)));
            parts.collect::<Vec<_>>().join(", ")
        }
        toml::Value::Array(values) => {
            let joint = if values.iter().any(toml::Value::is_table) { "; " } else { " " };
            values.iter().map(shown).collect::<Vec<_>>().join(joint)
        }
        other => other.to_string(),
    }
}
