//! Whole pages from small documents.

use serde_json::{Value, json};

use crate::made;

fn result(name: &str, median: u64) -> Value {
    json!({"name": name, "unit": "instructions", "n": 10, "min": median, "q1": median, "median": median, "q3": median,
        "mean": median as f64, "p99": median, "max": median})
}

fn document(arch: &str, results: Vec<Value>) -> Value {
    json!({"schema": 2, "commit": "c0ffee", "arch": arch, "machine": {"emulator": "QEMU", "accelerator": "tcg"},
        "options": {"smp": 1, "tags": null}, "unit": "instructions", "results": results})
}

fn input(documents: Vec<Value>) -> Value {
    json!({"documents": documents})
}

fn page(input: &Value) -> String {
    made(&input.to_string()).expect("the page")
}

fn refusal(input: &Value) -> String {
    let refusal = made(&input.to_string()).expect_err("a refusal");
    assert_eq!(refusal.lines().count(), 1, "{refusal}");
    refusal
}

/// The points of each line drawn in a panel.
fn drawn(page: &str, curve: &str, arch: &str) -> Vec<usize> {
    let figure = page.split(&format!("<figure data-curve=\"{curve}\" data-measure=\"measured\">")).nth(1).unwrap_or("");
    let figure = figure.split("</figure>").next().unwrap_or("");
    let panel = figure.split(&format!("data-arch=\"{arch}\"")).nth(1).unwrap_or("");
    let panel = panel.split("</svg>").next().unwrap_or("");
    let lines = panel.lines().filter(|line| line.contains("<polyline") && !line.contains("stroke-width=\"2\""));
    lines.map(|line| line.matches(',').count()).collect()
}

fn curve(name: &str, points: &[(u64, u64)]) -> Vec<Value> {
    points.iter().map(|(point, median)| result(&format!("{name}/{point}"), *median)).collect()
}

#[test]
fn points_become_curves_on_both_architectures() {
    let points = [(2, 80), (64, 90), (8192, 2000)];
    let mut first = curve("switch", &points);
    first.extend(curve("kernel_walk", &points[..2]));
    first.push(result("null", 8));
    let page = page(&input(vec![document("aarch64", curve("switch", &points[1..])), document("x86_64", first)]));
    assert_eq!(drawn(&page, "switch", "x86_64"), [3]);
    assert_eq!(drawn(&page, "switch", "aarch64"), [2]);
    assert_eq!(drawn(&page, "kernel_walk", "x86_64"), [2]);
    assert!(page.contains("Not measured on aarch64."));
    assert!(page.find("<h4>x86_64").expect("x86_64") < page.find("<h4>aarch64").expect("aarch64"));
    for place in ["curve-switch-instructions", "curve-kernel_walk-instructions"] {
        assert!(page.contains(&format!("href=\"#{place}\"")) && page.contains(&format!("id=\"{place}\"")));
    }
}

#[test]
fn one_architecture_is_enough() {
    let page = page(&input(vec![document("aarch64", curve("switch", &[(1, 5), (2, 6)]))]));
    assert_eq!(drawn(&page, "switch", "aarch64"), [2]);
    assert!(!page.contains("x86_64</h4>"));
}

#[test]
fn a_single_point_is_in_the_table_only() {
    let page = page(&input(vec![document("x86_64", curve("switch", &[(64, 5)]))]));
    assert!(page.contains("Too few points for a plot") && !page.contains("<svg"));
    assert!(page.contains("<th scope=\"row\">64</th>"));
}

#[test]
fn weird_amounts_are_drawn() {
    let huge = [(0, 0), (1, u64::MAX), (u64::MAX, 0)];
    let page =
        page(&input(vec![document("x86_64", [curve("switch", &huge), curve("nothing", &[(1, 0), (2, 0)])].concat())]));
    assert_eq!(drawn(&page, "switch", "x86_64"), [3]);
    assert_eq!(drawn(&page, "nothing", "x86_64"), [2]);
    assert!(page.contains("18,446,744,073,709,551,615"));
    assert!(!page.contains("NaN") && !page.contains("inf\""));
}

#[test]
fn runs_of_one_architecture_are_told_apart() {
    let points = [(1, 5), (2, 6)];
    let mut other = document("x86_64", curve("switch", &points));
    let same = input(vec![document("x86_64", Vec::new()), other.clone()]);
    assert!(refusal(&same).contains("two documents are of the same run: x86_64"));
    other["options"]["smp"] = json!(4);
    let page = page(&input(vec![document("x86_64", curve("switch", &points)), other]));
    assert_eq!(drawn(&page, "switch", "x86_64"), [2, 2]);
    assert!(page.contains("x86_64, smp 1</li>") && page.contains("x86_64, smp 4</li>"));
}

#[test]
fn texts_are_escaped() {
    let mut all =
        input(vec![document("x86_64", [vec![result("null", 8)], curve("switch", &[(1, 5), (2, 6)])].concat())]);
    let text = "<script>alert(\"1\" & '2')</script>";
    all["documents"][0]["commit"] = json!(text);
    all["documents"][0]["machine"]["emulator"] = json!(text);
    all["catalogue"] = json!({"null": {"what": text, "leaves_out": text}, "switch": {"what": text, "axis": text}});
    all["documents"][0]["peers"] =
        json!([{"peer": text, "name": "null", "operation": text, "n": 1, "min": 1, "median": 16, "max": 99}]);
    let page = page(&all);
    assert!(!page.contains("<script"));
    assert!(page.matches("&lt;script&gt;").count() > 6);
}

#[test]
fn budgets_hold_or_are_named() {
    let mut all = input(vec![document("x86_64", vec![result("null", 8), result("map", 600), result("alone", 1)])]);
    all["budgets"] =
        json!({"unit": "instructions", "budgets": {"null": "null_call", "null_call": 8, "map": 500, "gone": 1}});
    let page = page(&all);
    assert!(page.contains("2 budgets compared with medians: 1 not held."));
    assert!(page.contains("map on x86_64: 600, budget 500") && page.contains("over by 100"));
    assert!(page.contains("<td>holds</td>") && page.contains("<td>no budget</td>"));
}

#[test]
fn growth_is_compared() {
    let mut all = input(vec![document("x86_64", vec![result("many", 140), result("one", 100), result("zero", 0)])]);
    all["budgets"] =
        json!({"growth": {"factor": 1.3, "ceilings": {}, "pairs": {"many": "one", "one": "zero", "zero": "gone"}}});
    let page = page(&all);
    assert!(page.contains("1.40") && page.contains("grows more"));
}

#[test]
fn ratios_are_ours_by_theirs() {
    let mut all = input(vec![document("x86_64", vec![result("null", 8), result("map", 448)])]);
    all["documents"][0]["peers"] = json!([
        {"peer": "Linux 6.12", "name": "null", "operation": "getppid", "n": 1, "min": 311, "median": 311, "max": 320},
        {"peer": "Linux 6.12", "name": null, "operation": "fork", "n": 1, "min": 5.5, "median": 5.5, "max": 9}]);
    let recorded = json!({"x86_64": 734, "line": "mapping x1"});
    all["peers"] = json!({"unit": "instructions", "sources": {"seL4": "seL4 1326364bc"}, "figures": {
        "map": {"seL4": recorded, "Linux": recorded}, "gone": {"seL4": recorded}}});
    let page = page(&all);
    assert!(page.contains("0.0257") && page.contains("0.610") && page.contains("seL4 1326364bc"));
    assert!(page.contains("5.5") && page.contains("data-measure=\"peers\""));
    assert!(!page.contains("Linux, recorded"), "measured Linux replaces what was recorded of it");
}

#[test]
fn no_peers_no_section() {
    let page = page(&input(vec![document("x86_64", vec![result("null", 8)])]));
    assert!(!page.contains("id=\"peers\"") && !page.contains("id=\"model\""));
}

#[test]
fn the_model_is_shown_with_its_costs() {
    let mut points = curve("refill", &[(16, 5), (8192, 6)]);
    for (index, point) in points.iter_mut().enumerate() {
        point["model"] = json!({"profile": "n1", "instruction_misses": 0, "data_misses": 0.25, "second_level_misses": 0,
            "walks": index, "walk_references": 4 * index, "cycles": 100.5});
    }
    let mut all = input(vec![document("aarch64", points)]);
    all["profiles"] = json!(
        "[n1]\nwhat = \"A core\"\nunverified = [\"costs.walk\"]\ndata = [{ entries = 48 }]\n[n1.costs]\nwalk = 35\n"
    );
    let page = page(&all);
    for part in ["A core", "<td>35 ?</td>", "entries 48", "100.5", "data-measure=\"cycles\"", "data-measure=\"walks\""]
    {
        assert!(page.contains(part), "{part}");
    }
    all["profiles"] = json!("");
    assert!(made(&all.to_string()).is_ok_and(|page| page.contains("does not describe n1")));
    all["profiles"] = json!("[n1");
    assert!(refusal(&all).contains("profiles"));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let all = input(vec![
        document("x86_64", curve("switch", &[(1, 5), (2, 6)])),
        document("aarch64", vec![result("null", 8)]),
    ]);
    assert_eq!(page(&all), page(&all));
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let page = page(&input(vec![document("x86_64", curve("switch", &[(1, 5), (2, 6)]))]));
    let addresses = page.matches("http").count() - page.matches("http://www.w3.org/2000/svg").count();
    assert_eq!(addresses, page.matches("http-equiv").count());
    assert!(!page.contains("url(") && !page.contains("@import") && !page.contains(" src="));
}

#[test]
fn malformed_documents_are_refused_in_one_line() {
    let good = || document("x86_64", vec![result("null", 8)]);
    let with = |path: &str, value: Value| {
        let mut all = input(vec![good()]);
        *all.pointer_mut(path).expect(path) = value;
        refusal(&all)
    };
    assert!(with("/documents/0/schema", json!(1)).contains("schema is 1, not 2"));
    assert!(with("/documents/0/arch", json!("a b")).contains("architecture"));
    assert!(with("/documents/0/results/0/name", json!("a b")).contains("no benchmark's name"));
    assert!(with("/documents/0/results/0/name", json!("switch/x")).contains("no benchmark's name"));
    assert!(with("/documents/0/results/0/name", json!("switch/99999999999999999999")).contains("no benchmark's name"));
    assert!(with("/documents/0/results/0/n", json!(0)).contains("no samples"));
    assert!(with("/documents/0/results/0/q1", json!(9)).contains("not in order"));
    assert!(with("/documents/0/results/0/max", json!(-1)).contains("cannot be read"));
    assert!(with("/documents/0/results/0/unit", json!("cycles")).contains("no cost"));
    assert!(with("/documents/0/results", json!({})).contains("cannot be read"));
    assert!(refusal(&input(Vec::new())).contains("no document"));
    assert!(
        refusal(&input(vec![document("x86_64", vec![result("a", 1), result("a", 1)])])).contains("two results for a")
    );
    assert!(made("{").is_err());
}
