//! Conformance: scripts in the language of Prometheus' own tests, run through `storage::Db`.
//!
//! Here: the tests that run them - Prometheus' scripts where they lie beside the project, and our own in
//! `testdata/promql`. Elsewhere: reading scripts (`script`, `series`, `histograms`), running and comparing (`run`);
//! what holds of every query (`properties`), and functions by their definitions (`slow`).

#[path = "../../../tests/it/promql/data.rs"]
mod data;
#[path = "../../../tests/it/promql/generate.rs"]
mod generate;
mod histogram_ranges;
mod histograms;
mod placement;
mod properties;
#[path = "../../../storage/tests/support/random.rs"]
mod random;
mod run;
mod script;
mod series;
mod slow;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::promql::{EngineOptions, ParseOptions};
use placement::Placement;
use run::{Outcome, run_script};

/// How many evaluations Prometheus' scripts have. All of them pass.
const EVALUATIONS: usize = 2214;

fn shared() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).to_owned()
}

fn scripts_in(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok).map(|e| e.path());
    let mut scripts: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "test")).collect();
    scripts.sort();
    scripts
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What each evaluation needs, by file and line.
fn read_index(path: &Path) -> HashMap<(String, usize), String> {
    let text = fs::read_to_string(path).expect("the index lies beside the scripts");
    let rows = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.map(|row| ((row[0].to_owned(), row[1].parse().expect("a line number")), row[3].to_owned())).collect()
}

/// The settings that Prometheus' scripts are written for.
fn script_options() -> EngineOptions {
    EngineOptions {
        syntax: ParseOptions::all(),
        delayed_name_removal: true,
        use_start_timestamps: true,
        samples_max: 10_000,
        ..EngineOptions::default()
    }
}

/// Runs all of Prometheus' scripts; the number that pass, and the failures of which `must_pass` says they may not be.
/// `None` where the scripts are not there.
fn run_prometheus(
    options: &EngineOptions,
    placement: Placement,
    must_pass: fn(&str) -> bool,
) -> Option<(usize, Vec<String>)> {
    let dir = shared().join("promqltest");
    let scripts = scripts_in(&dir);
    if scripts.is_empty() {
        println!("skipped: no scripts in {}", dir.display());
        return None;
    }
    let index = read_index(&dir.join("eval-index.tsv"));
    let (mut passed, mut total, mut wrong) = (0, 0, Vec::new());
    for path in scripts {
        let file = file_name(&path);
        let outcomes = run_script(&fs::read_to_string(&path).expect("a readable script"), options, placement);
        let good = outcomes.iter().filter(|o| o.failure.is_none()).count();
        println!("{file}: {good} of {} pass", outcomes.len());
        (passed, total) = (passed + good, total + outcomes.len());
        for Outcome { line, query, failure } in outcomes {
            let needs = index.get(&(file.clone(), line)).map_or("?", String::as_str);
            let Some(failure) = failure else { continue };
            println!("  {file}:{line} [{needs}] {query}: {failure}");
            if must_pass(needs) {
                wrong.push(format!("{file}:{line} {query}: {failure}"));
            }
        }
    }
    println!("{passed} of {total} evaluations pass");
    Some((passed, wrong))
}

#[test]
fn prometheus_scripts() {
    all_pass(Placement::Head);
}

#[test]
fn prometheus_scripts_through_blocks() {
    all_pass(Placement::Blocks);
}

#[test]
fn prometheus_scripts_half_through_blocks() {
    all_pass(Placement::Both);
}

fn all_pass(placement: Placement) {
    let Some((passed, wrong)) = run_prometheus(&script_options(), placement, |_| true) else {
        return;
    };
    assert!(wrong.is_empty(), "{} evaluations fail that must pass:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(passed, EVALUATIONS, "scripts or evaluations are missing");
}

/// Evaluations that need the delayed removal of names after all: a warning names the metric, or the sum is by it.
const NEED_NAMES: [&str; 7] = [
    "histograms.test:1179 ",
    "histograms.test:1184 ",
    "histograms.test:1189 ",
    "histograms.test:1200 ",
    "histograms.test:1205 ",
    "histograms.test:1210 ",
    "name_label_dropping.test:119 ",
];

#[test]
fn prometheus_scripts_with_names_dropped_at_once() {
    let options = EngineOptions { delayed_name_removal: false, ..script_options() };
    let is_complete = |needs: &str| needs.chars().all(|letter| "DEFX".contains(letter));
    let Some((_, mut wrong)) = run_prometheus(&options, Placement::Head, is_complete) else { return };
    wrong.retain(|failure| !NEED_NAMES.iter().any(|place| failure.starts_with(place)));
    assert!(wrong.is_empty(), "{} evaluations fail that must pass:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn our_scripts() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/promql"));
    let scripts = scripts_in(dir);
    assert!(!scripts.is_empty(), "no scripts in {}", dir.display());
    for path in scripts {
        // Some scripts are about what an option changes; the others run as usual.
        let options = EngineOptions {
            syntax: ParseOptions::all(),
            use_start_timestamps: file_name(&path) == "use_start_timestamps.test",
            type_and_unit_labels: file_name(&path) == "type_and_unit_labels.test",
            ..EngineOptions::default()
        };
        let text = fs::read_to_string(&path).expect("a readable script");
        for placement in [Placement::Head, Placement::Blocks, Placement::Both] {
            for outcome in run_script(&text, &options, placement) {
                let place = format!("{}:{} {}", path.display(), outcome.line, outcome.query);
                assert_eq!(outcome.failure, None, "{placement:?} {place}");
            }
        }
    }
}
