//! Conformance: scripts in the language of Prometheus' own tests, run through `storage::Db`.
//!
//! Here: the tests that run them - Prometheus' scripts where they lie beside the project, and our own in
//! `testdata/promql`. Elsewhere: reading scripts (`script`, `series`), running and comparing (`run`).

mod run;
mod script;
mod series;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use run::{Outcome, run_script};

/// How many of Prometheus' evaluations pass; it only ever rises.
const PASSED_MIN: usize = 1084;

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

#[test]
fn prometheus_scripts() {
    let dir = shared().join("promqltest");
    let scripts = scripts_in(&dir);
    if scripts.is_empty() {
        println!("skipped: no scripts in {}", dir.display());
        return;
    }
    let index = read_index(&dir.join("eval-index.tsv"));
    let (mut passed, mut total, mut plain_failures) = (0, 0, Vec::new());
    for path in scripts {
        let file = file_name(&path);
        let outcomes = run_script(&fs::read_to_string(&path).expect("a readable script"));
        let good = outcomes.iter().filter(|o| o.failure.is_none()).count();
        println!("{file}: {good} of {} pass", outcomes.len());
        (passed, total) = (passed + good, total + outcomes.len());
        for Outcome { line, query, failure } in outcomes {
            let needs = index.get(&(file.clone(), line)).map_or("?", String::as_str);
            let Some(failure) = failure else { continue };
            println!("  {file}:{line} [{needs}] {query}: {failure}");
            if needs.is_empty() {
                plain_failures.push(format!("{file}:{line} {query}: {failure}"));
            }
        }
    }
    println!("{passed} of {total} evaluations pass");
    assert!(
        plain_failures.is_empty(),
        "{} plain evaluations fail:\n{}",
        plain_failures.len(),
        plain_failures.join("\n")
    );
    assert!(passed >= PASSED_MIN, "{passed} evaluations pass, {PASSED_MIN} did before");
}

#[test]
fn our_scripts() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/promql"));
    let scripts = scripts_in(dir);
    assert!(!scripts.is_empty(), "no scripts in {}", dir.display());
    for path in scripts {
        for outcome in run_script(&fs::read_to_string(&path).expect("a readable script")) {
            let place = format!("{}:{} {}", path.display(), outcome.line, outcome.query);
            assert_eq!(outcome.failure, None, "{place}");
        }
    }
}
