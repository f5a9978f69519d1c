//! What a rule file may say, and where it is told that it may not.

use super::*;

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let problems = read_rule_file("r.yml", text).unwrap_err();
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

fn rule(lines: &str) -> String {
    format!("groups:\n- name: g\n  rules:\n  - {}\n", lines.replace('\n', "\n    "))
}

#[test]
fn everything_that_a_file_may_say() {
    let text = "groups:\n- name: g\n  interval: 30s\n  query_offset: 1m\n  limit: 5\n  labels: {team: a, env: prod}\n  rules:\n\
                \x20 - record: job:up:sum\n    expr: sum  by(job)(up)\n    labels: {env: '{{ x }}'}\n\
                \x20 - alert: Down\n    expr: up == 0\n    for: 1m30s\n    keep_firing_for: 5m\n    annotations: {summary: '{{ $labels.job }}'}\n";
    let groups = read_rule_file("r.yml", text).unwrap();
    let g = &groups[0];
    assert_eq!((g.interval_ms, g.query_offset_ms, g.limit), (Some(30_000), Some(60_000), 5));
    assert_eq!(g.rules[0].query, "sum by (job) (up)");
    assert_eq!(
        g.rules[0].label_texts(),
        BTreeMap::from([("env".into(), "{{ x }}".into()), ("team".into(), "a".into())])
    );
    assert!(
        matches!(&g.rules[1].kind, RuleKind::Alerting { for_ms: 90_000, keep_firing_for_ms: 300_000, annotations } if annotations.len() == 1)
    );
    assert_eq!(g.rules[1].label_texts()["env"], "prod");
    assert_eq!(read_rule_file("r.yml", "groups: []").unwrap().len(), 0);
    assert_eq!(read_rule_file("r.yml", "").unwrap().len(), 0);
}

#[test]
fn unknown_keys_name_the_nearest() {
    refused("group: []", &["r.yml:1:1: unknown key \"group\" in the rule file; did you mean \"groups\"?"]);
    refused(
        &rule("alert: A\nexpr: up\nanotations: {a: b}"),
        &["r.yml:6:5: unknown key \"anotations\" in the rule; did you mean \"annotations\"?"],
    );
    refused(
        "groups:\n- name: g\n  intervall: 1m\n",
        &["r.yml:3:3: unknown key \"intervall\" in the group; did you mean \"interval\"?"],
    );
}

#[test]
fn a_file_of_tests_is_named_as_such() {
    refused(
        "rule_files: [a.yml]\ntests: []\n",
        &["r.yml:2:1: this file holds unit tests, not rules; leave it out of rule_files"],
    );
}

#[test]
fn refuses_what_prometheus_refuses_with_a_place() {
    refused("groups:\n- name: g\n- name: g\n", &["r.yml:3:3: groupname: \"g\" is repeated in the same file"]);
    refused("groups:\n- rules: []\n", &["r.yml:2:3: groupname must not be empty"]);
    refused(
        &rule("alert: A\nrecord: b\nexpr: up"),
        &["r.yml:4:12: group \"g\", rule 1, \"b\": only one of 'record' and 'alert' must be set"],
    );
    refused(&rule("expr: up"), &["r.yml:4:5: group \"g\", rule 1, \"\": one of 'record' or 'alert' must be set"]);
    refused(&rule("alert: A"), &["r.yml:4:5: group \"g\", rule 1, \"A\": field 'expr' must be set in rule"]);
    refused(
        &rule("record: a\nexpr: up\nfor: 1m\nannotations: {a: b}"),
        &[
            "r.yml:6:10: group \"g\", rule 1, \"a\": invalid field 'for' in recording rule",
            "r.yml:7:18: group \"g\", rule 1, \"a\": invalid field 'annotations' in recording rule",
        ],
    );
    refused(
        &rule("record: 'a{b=\"c\"}'\nexpr: up"),
        &[
            "r.yml:4:13: group \"g\", rule 1, \"a{b=\\\"c\\\"}\": braces present in the recording rule name; should it be in expr?: a{b=\"c\"}",
        ],
    );
    refused(
        &rule("alert: A\nexpr: up\nlabels: {__name__: x}"),
        &["r.yml:6:24: group \"g\", rule 1, \"A\": invalid label name: __name__"],
    );
    refused(
        &rule("alert: A\nexpr: up\nannotations: {a: '{{ $lables.x }}'}"),
        &[
            "r.yml:6:22: group \"g\", rule 1, \"A\": annotation \"a\": template: __alert_A:1:4: undefined variable \"$lables\"",
        ],
    );
    refused(
        &rule("alert: A\nexpr: up\nfor: 5 minutes"),
        &["r.yml:6:10: for: not a valid duration string: \"5 minutes\""],
    );
}

#[test]
fn a_bad_expression_is_placed_in_the_file_and_in_itself() {
    let problems = read_rule_file("r.yml", &rule("alert: A\nexpr: sum(up")).unwrap_err();
    let message = problems[0].to_string();
    assert!(
        message.starts_with("r.yml:5:11: group \"g\", rule 1, \"A\": could not parse expression: 1:7: parse error: "),
        "{message}"
    );
}

#[test]
fn all_problems_of_a_file_are_told_at_once() {
    let text = "groups:\n- name: g\n  rules:\n  - alert: A\n  - record: b\n    expr: up\n    for: 1m\n  extra: 1\n";
    assert_eq!(read_rule_file("r.yml", text).unwrap_err().len(), 3);
}

#[test]
fn the_check_speaks_like_promtool() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.yml");
    std::fs::write(&path, "groups:\n- name: g\n  rules: [{record: a, expr: up}, {record: a, expr: down}]\n").unwrap();
    let checked = check_rules(&path, crate::promql::ParseOptions::default());
    assert!(checked.ok);
    let expected = format!(
        "Checking {}\n  SUCCESS: 2 rules found\n1 duplicate rule(s) found.\nMetric: a\nLabel(s):\nMight cause inconsistency while recording expressions\n",
        path.display()
    );
    assert_eq!(checked.text, expected);
    assert_eq!(count_rules(&path), Ok(2));
    std::fs::write(&path, "groups:\n- nam: g\n").unwrap();
    let checked = check_rules(&path, crate::promql::ParseOptions::default());
    assert!(!checked.ok && count_rules(&path).unwrap_err().len() == 2);
    assert!(
        checked.text.contains("  FAILED:\n") && checked.text.contains(":2:3: unknown key \"nam\""),
        "{}",
        checked.text
    );
}
