//! Keeps the house tidy: imports go downwards only, every file says what lives in it, every dependency says why.
#![expect(clippy::unwrap_used, reason = "a test may unwrap")]

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first. A module may import modules of lower floors and itself; neighbours do not know each other.
const FLOORS: &[&[&str]] = &[
    &["clock", "telemetry", "wire"],
    &["config", "meta"],
    &["http_client", "template"],
    &["tenant", "exposition", "promql", "notify", "ui", "host"],
    &["auth", "scrape", "ingest", "rules", "dashboards", "query"],
    &["api", "cli"],
    &["server"],
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// The modules that a line like `use crate::a::B;` or `crate::a::f()` names.
fn imports(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap();
    code.match_indices("crate::")
        .map(|(at, found)| code[at + found.len()..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
        .collect()
}

#[test]
fn imports_go_downwards_only() {
    let src = root().join("src");
    let mut upward = Vec::new();
    for file in rust_files(&src) {
        let inside = file.strip_prefix(&src).unwrap();
        let module =
            inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if matches!(module.as_str(), "main" | "lib") {
            continue;
        }
        let own = floor(&module)
            .unwrap_or_else(|| panic!("src/{module} stands on no floor: add it to FLOORS in tests/tidy.rs"));
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            for import in imports(line).into_iter().filter(|i| *i != module) {
                if floor(import).is_some_and(|f| f >= own) {
                    upward.push(format!("src/{}:{}: {module} must not import {import}", inside.display(), number + 1));
                }
            }
        }
    }
    assert!(upward.is_empty(), "\n{}", upward.join("\n"));
}

#[test]
fn every_file_says_what_lives_in_it() {
    let dirs = ["src", "storage/src", "storage/tests", "storage/benches", "tests", "benches"].map(|d| root().join(d));
    let files = dirs.iter().filter(|d| d.is_dir()).flat_map(|d| rust_files(d));
    let files = files.filter(|f| !f.ends_with("tests.rs"));
    let headless: Vec<_> = files.filter(|f| !fs::read_to_string(f).unwrap().starts_with("//!")).collect();
    assert!(headless.is_empty(), "no head comment: {headless:?}");
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let mut silent = Vec::new();
    for manifest in ["Cargo.toml", "storage/Cargo.toml"] {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        let (mut in_dependencies, mut explained) = (false, false);
        for line in text.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
                explained = false;
            } else if line.starts_with('#') {
                explained = true;
            } else if line.is_empty() {
                explained = false;
            } else if in_dependencies && line.contains('=') {
                // `x.workspace = true` is explained where the version stands; one reason may serve neighbours in one block.
                if !explained && !line.contains(".workspace = true") {
                    silent.push(format!("{manifest}: {line}"));
                }
            }
        }
    }
    assert!(silent.is_empty(), "\n{}", silent.join("\n"));
}
