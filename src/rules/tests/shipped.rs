//! The rule files in `rules/`: read by us, and checked and tested by promtool where it is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

fn shipped() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "yml"));
    files.sort();
    files
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|s| s.to_string_lossy().ends_with("_test"))
}

#[test]
fn all_shipped_rules_are_read_and_each_file_has_tests_beside_it() {
    let files = shipped();
    let (tests, rules): (Vec<_>, Vec<_>) = files.iter().partition(|p| is_test(p));
    let counts: Vec<(String, bool, String)> = rules
        .iter()
        .map(|path| {
            let checked = check_rules(path, crate::promql::ParseOptions::default());
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, checked.ok, checked.text.lines().nth(1).unwrap_or("").to_owned())
        })
        .collect();
    let expected = [("cairn.yml", 4), ("it-support.yml", 11), ("nanoe.yml", 4)];
    assert_eq!(counts, expected.map(|(name, n)| (name.to_owned(), true, format!("  SUCCESS: {n} rules found"))));
    for path in rules {
        let beside = path.with_file_name(format!("{}_test.yml", path.file_stem().unwrap().to_string_lossy()));
        assert!(tests.contains(&&beside), "{} is missing", beside.display());
    }
}

#[test]
fn every_shipped_alert_has_a_severity_and_texts_and_is_tested() {
    for path in shipped().iter().filter(|p| !is_test(p)) {
        let test = path.with_file_name(format!("{}_test.yml", path.file_stem().unwrap().to_string_lossy()));
        let tests = std::fs::read_to_string(test).unwrap();
        for rule in check::load(path).unwrap().iter().flat_map(|g| &g.rules) {
            let RuleKind::Alerting { annotations, .. } = &rule.kind else { panic!("{} is no alert", rule.name) };
            let severity = rule.label_texts().get("severity").cloned().unwrap_or_default();
            assert!(["critical", "warning", "info"].contains(&severity.as_str()), "{}: {severity}", rule.name);
            assert!(annotations.contains_key("summary") && annotations.contains_key("description"), "{}", rule.name);
            assert!(tests.contains(&format!("alertname: {}\n", rule.name)), "{} has no test", rule.name);
        }
    }
}

#[test]
fn promtool_agrees() {
    let (tests, rules): (Vec<_>, Vec<_>) = shipped().into_iter().partition(|p| is_test(p));
    for (what, files) in [("check", rules), ("test", tests)] {
        let ran = match Command::new("promtool").arg(what).arg("rules").args(&files).output() {
            Ok(ran) => ran,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                println!("skipped: promtool is not installed");
                return;
            }
            Err(e) => panic!("promtool: {e}"),
        };
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "promtool {what} rules: {said}");
    }
}

#[test]
fn our_engine_passes_the_same_unit_tests() {
    let counts: Vec<usize> = shipped().iter().filter(|p| is_test(p)).map(|p| promtool::run(p)).collect();
    assert!(counts.len() == 3 && counts.iter().all(|&n| n >= 5), "{counts:?}");
}
