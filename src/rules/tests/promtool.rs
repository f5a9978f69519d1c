//! The unit tests beside the shipped rules, run by our own engine: what promtool says must hold here, too.
//!
//! Here: the part of promtool's test format that these files use. Elsewhere: promtool itself (`shipped`).

use std::path::Path;

use crate::config::yaml::{Node, parse};
use crate::promql::{Value, parse_selector};

use super::*;

/// Runs one file; the number of assertions that held.
pub(super) fn run(path: &Path) -> usize {
    let root = parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(get(&root, "evaluation_interval").unwrap().text(), Ok("1m"));
    let files = list(&root, "rule_files").iter().map(|f| path.with_file_name(f.text().unwrap()));
    let configs: Vec<GroupConfig> = files.flat_map(|f| check::load(&f).unwrap()).collect();
    list(&root, "tests").iter().map(|test| run_test(&configs, test, path)).sum()
}

fn run_test(configs: &[GroupConfig], test: &Node, path: &Path) -> usize {
    let place = format!("{}: {}", path.display(), text(test, "name"));
    let mut b = Bench::new("  - {record: unused, expr: '1'}\n");
    b.ctx.external_labels = Mutex::default();
    let series: Vec<(Labels, Vec<Option<f64>>)> =
        list(test, "input_series").iter().map(|s| (selector(&text(s, "series")), values(&text(s, "values")))).collect();
    let groups: Vec<Group> = configs.iter().map(|c| Group::new(c.clone(), MINUTE, false)).collect();
    let (alerts, exprs) = (list(test, "alert_rule_test"), list(test, "promql_expr_test"));
    let last = alerts.iter().chain(exprs).map(minute_of).max().unwrap_or(0);
    for minute in 0..=last {
        b.clock.set(START + minute * MINUTE);
        for (labels, values) in &series {
            if let Some(Some(v)) = values.get(minute as usize) {
                b.store.put_labels(labels.clone(), START + minute * MINUTE, *v);
            }
        }
        groups.iter().for_each(|g| g.evaluate(&b.ctx, START + minute * MINUTE));
        for case in alerts.iter().filter(|c| minute_of(c) == minute) {
            check_alerts(&groups, case, &format!("{place}, minute {minute}"));
        }
        for case in exprs.iter().filter(|c| minute_of(c) == minute) {
            check_expr(&b, case, minute, &format!("{place}, minute {minute}"));
        }
    }
    alerts.len() + exprs.len()
}

fn check_alerts(groups: &[Group], case: &Node, place: &str) {
    let name = text(case, "alertname");
    let mut expected: Vec<(Labels, BTreeMap<String, String>)> = Vec::new();
    for alert in list(case, "exp_alerts") {
        let mut pairs = texts(alert, "exp_labels");
        pairs.insert("alertname".to_owned(), name.clone());
        let labels = Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))).unwrap();
        expected.push((labels, texts(alert, "exp_annotations")));
    }
    let rules: Vec<RuleStatus> = groups.iter().flat_map(|g| g.status().rules).filter(|r| r.name == name).collect();
    assert_eq!(rules.len(), 1, "{place}: {name}");
    assert_eq!(rules[0].last_error, None, "{place}: {name}");
    let RuleStatusKind::Alerting { alerts, .. } = &rules[0].kind else { panic!("{name} is no alert") };
    let firing = alerts.iter().filter(|a| a.state == AlertState::Firing);
    let found: Vec<_> = firing.map(|a| (a.labels.clone(), a.annotations.clone())).collect();
    assert_eq!(found, expected, "{place}: {name}");
}

fn check_expr(b: &Bench, case: &Node, minute: i64, place: &str) {
    let (expr, t) = (text(case, "expr"), START + minute * MINUTE);
    let asked = RuleQuery { expr: &expr, t, file: place, group: "", canceled: &Arc::default() };
    let result = b.ctx.store.query(asked).unwrap();
    let Value::Vector(vector) = result.value else { panic!("{expr} gives no vector") };
    let mut found: Vec<(Labels, f64)> = vector.into_iter().map(|s| (s.labels, s.v)).collect();
    let samples = list(case, "exp_samples").iter();
    let value = |s: &Node| text(s, "value").parse::<f64>().unwrap();
    let mut expected: Vec<(Labels, f64)> = samples.map(|s| (selector(&text(s, "labels")), value(s))).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, expected, "{place}: {expr}");
}

fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.entries().unwrap().iter().find(|e| e.key == key).map(|e| &e.value)
}

fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    get(node, key).map_or(&[], |n| n.list().unwrap())
}

fn text(node: &Node, key: &str) -> String {
    get(node, key).unwrap_or_else(|| panic!("{key} is missing")).text().unwrap().to_owned()
}

fn texts(node: &Node, key: &str) -> BTreeMap<String, String> {
    get(node, key)
        .map_or(&[][..], |n| n.entries().unwrap())
        .iter()
        .map(|e| (e.key.clone(), e.value.text().unwrap().to_owned()))
        .collect()
}

fn minute_of(case: &Node) -> i64 {
    text(case, "eval_time").strip_suffix('m').unwrap().parse().unwrap()
}

/// `up{job="x"}` as labels.
fn selector(text: &str) -> Labels {
    if text == "{}" {
        return Labels::empty();
    }
    let matchers = parse_selector(text).unwrap();
    Labels::from_pairs(matchers.iter().map(|m| (m.name(), m.value()))).unwrap()
}

/// `1 _ 0x3 5+2x4`: a value or a gap, `x` times more often, each `+` that much more.
fn values(text: &str) -> Vec<Option<f64>> {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        if word == "_" {
            out.push(None);
            continue;
        }
        let (expr, times) = word.split_once('x').map_or((word, 0), |(e, n)| (e, n.parse::<u32>().unwrap()));
        let (first, step) = expr.split_once('+').unwrap_or((expr, "0"));
        let (first, step): (f64, f64) = (first.parse().unwrap(), step.parse().unwrap());
        out.extend((0..=times).map(|i| Some(first + f64::from(i) * step)));
    }
    out
}
