//! Rule files: YAML to checked groups.
//!
//! Here: the keys of a rule file, everything that Prometheus refuses in one, with places. Elsewhere: YAML itself
//! (`config::yaml`), expressions (`promql`), templates (`template`).
//!
//! Invariant: the expression and the templates of a [`RuleConfig`] have been parsed.

use std::collections::{BTreeMap, BTreeSet};

use storage::METRIC_NAME;

use crate::config::yaml::{FileProblem, Map, Node, Pos, Problems, parse};
use crate::promql::{ParseOptions, parse_with};
use crate::template::Template;

use super::RuleFileError;

/// One element of `groups`.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    /// The file it stands in.
    pub file: String,
    /// `name`, unique in the file.
    pub name: String,
    /// `interval` in milliseconds; `None`: the global one.
    pub interval_ms: Option<i64>,
    /// `query_offset` in milliseconds: rules look that far back; `None`: as `global.rule_query_offset` says.
    pub query_offset_ms: Option<i64>,
    /// `limit`: most series or alerts of one rule, 0 is no limit.
    pub limit: u64,
    /// `rules`, in order.
    pub rules: Vec<RuleConfig>,
}

/// One element of `rules`.
#[derive(Debug, Clone)]
pub struct RuleConfig {
    /// The metric or the alert.
    pub name: String,
    /// `expr` as it was written.
    pub expr: String,
    /// `expr` as Prometheus prints it.
    pub query: String,
    /// `labels`, those of the group included. Templates in alerting rules, plain texts in recording rules.
    pub labels: BTreeMap<String, Template>,
    /// What it makes.
    pub kind: RuleKind,
}

/// What a rule makes.
#[derive(Debug, Clone)]
pub enum RuleKind {
    /// `record`
    Recording,
    /// `alert`
    Alerting {
        /// `for` in milliseconds.
        for_ms: i64,
        /// `keep_firing_for` in milliseconds.
        keep_firing_for_ms: i64,
        /// `annotations`
        annotations: BTreeMap<String, Template>,
    },
}

/// The variables of templates in rules.
pub(super) const TEMPLATE_VARIABLES: [&str; 4] = ["$labels", "$externalLabels", "$externalURL", "$value"];

impl GroupConfig {
    /// Whether a running group with `other` needs no change.
    pub(super) fn is_same(&self, other: &GroupConfig) -> bool {
        let texts = |g: &GroupConfig| {
            (g.interval_ms, g.query_offset_ms, g.limit, g.rules.iter().map(RuleConfig::text).collect::<Vec<_>>())
        };
        (&self.file, &self.name, texts(self)) == (&other.file, &other.name, texts(other))
    }
}

impl RuleConfig {
    /// Name and labels: what makes a rule the same one after a reload.
    pub(super) fn identity(&self) -> String {
        format!("{:?}", (&self.name, self.label_texts()))
    }

    fn text(&self) -> String {
        let kind = match &self.kind {
            RuleKind::Recording => String::new(),
            RuleKind::Alerting { for_ms, keep_firing_for_ms, annotations } => {
                let annotations: Vec<_> = annotations.iter().map(|(n, t)| (n, t.text())).collect();
                format!("{:?}", (for_ms, keep_firing_for_ms, annotations))
            }
        };
        format!("{:?}", (&self.name, &self.query, self.label_texts(), kind))
    }

    /// Labels as written, templates not expanded.
    pub(super) fn label_texts(&self) -> BTreeMap<String, String> {
        self.labels.iter().map(|(n, t)| (n.clone(), t.text().to_owned())).collect()
    }
}

/// Reads `text`, which came from `file`, in the stable language.
pub fn read_rule_file(file: &str, text: &str) -> Result<Vec<GroupConfig>, Vec<RuleFileError>> {
    read_rule_file_with(file, text, ParseOptions::default())
}

/// Reads `text`, which came from `file`. All problems of the file are reported, in its order. Expressions may use what
/// `syntax` allows.
pub(super) fn read_rule_file_with(
    file: &str,
    text: &str,
    syntax: ParseOptions,
) -> Result<Vec<GroupConfig>, Vec<RuleFileError>> {
    let root =
        parse(text).map_err(|p| vec![FileProblem { file: file.to_owned(), pos: Some(p.pos), message: p.message }])?;
    let problems = Problems::new();
    let mut map = Map::new(&root, "the rule file", &problems);
    if let Some(tests) = root.entries().ok().and_then(|entries| entries.iter().find(|e| e.key == "tests")) {
        // A pattern like `rules/*.yml` catches the tests that lie beside the rules.
        let message = "this file holds unit tests, not rules; leave it out of rule_files".to_owned();
        return Err(vec![FileProblem { file: file.to_owned(), pos: Some(tests.key_pos), message }]);
    }
    let mut names = BTreeSet::new();
    let mut groups = Vec::new();
    for node in map.list("groups") {
        let group = read_group(file, node, syntax, &problems);
        if !names.insert(group.name.clone()) {
            problems.add(node.pos, format!("groupname: {:?} is repeated in the same file", group.name));
        }
        groups.push(group);
    }
    map.finish();
    if problems.is_empty() { Ok(groups) } else { Err(problems.in_file(file)) }
}

fn read_group(file: &str, node: &Node, syntax: ParseOptions, problems: &Problems) -> GroupConfig {
    let mut map = Map::new(node, "the group", problems);
    let name = map.read("name", Node::text).unwrap_or_default().to_owned();
    if name.is_empty() {
        problems.add(map.pos_of("name"), "groupname must not be empty");
    }
    let interval_ms = map.read("interval", duration_ms).filter(|&ms| ms > 0);
    let query_offset_ms = map.read("query_offset", duration_ms);
    let limit = map.read("limit", Node::unsigned).unwrap_or(0);
    let labels = read_texts(&mut map, "labels", problems);
    check_names(&labels, "label", &format!("group {name:?}"), problems);
    let rules = map.list("rules").iter().enumerate();
    let rules = rules
        .filter_map(|(i, n)| read_rule(n, &format!("group {name:?}, rule {}", i + 1), &labels, syntax, problems))
        .collect();
    map.finish();
    GroupConfig { file: file.to_owned(), name, interval_ms, query_offset_ms, limit, rules }
}

fn duration_ms(node: &Node) -> Result<i64, String> {
    crate::config::parse_duration(node.text()?).map(super::millis)
}

/// Texts with their places, by name.
type Texts<'n> = BTreeMap<&'n str, (Pos, &'n str)>;

fn read_texts<'n>(map: &mut Map<'n>, key: &'static str, problems: &Problems) -> Texts<'n> {
    let entries = map.read(key, Node::entries).unwrap_or(&[]);
    entries
        .iter()
        .filter_map(|e| Some((e.key.as_str(), (e.value.pos, problems.read(&e.key, &e.value, Node::text)?))))
        .collect()
}

fn check_names(texts: &Texts<'_>, what: &str, place: &str, problems: &Problems) {
    for (name, (pos, _)) in texts {
        if name.is_empty() || (what == "label" && *name == METRIC_NAME) {
            problems.add(*pos, format!("{place}: invalid {what} name: {name}"));
        }
    }
}

fn read_rule(
    node: &Node,
    place: &str,
    group_labels: &Texts<'_>,
    syntax: ParseOptions,
    problems: &Problems,
) -> Option<RuleConfig> {
    let mut map = Map::new(node, "the rule", problems);
    let record = map.read("record", Node::text);
    let alert = map.read("alert", Node::text);
    let place = format!("{place}, {:?}", record.or(alert).unwrap_or_default());
    let name = match (record, alert) {
        (Some(_), Some(_)) => {
            problems.add(map.pos_of("alert"), format!("{place}: only one of 'record' and 'alert' must be set"));
            None
        }
        (None, None) => {
            problems.add(map.pos(), format!("{place}: one of 'record' or 'alert' must be set"));
            None
        }
        (record, alert) => record.or(alert),
    };
    let (expr, query) = read_expr(&mut map, &place, syntax, problems);
    let mut labels = group_labels.clone();
    let own_labels = read_texts(&mut map, "labels", problems);
    check_names(&own_labels, "label", &place, problems);
    labels.extend(own_labels);
    let kind = match record {
        Some(record) => read_recording(&mut map, record, &place, problems),
        None => read_alerting(&mut map, alert.unwrap_or_default(), &place, problems),
    };
    let alert = if record.is_some() { None } else { alert };
    let labels = templates(&labels, "label", alert, &place, problems);
    map.finish();
    Some(RuleConfig { name: name?.to_owned(), expr, query, labels, kind })
}

fn read_expr(map: &mut Map<'_>, place: &str, syntax: ParseOptions, problems: &Problems) -> (String, String) {
    let expr = map.read("expr", Node::text).unwrap_or_default().to_owned();
    if expr.is_empty() {
        problems.add(map.pos_of("expr"), format!("{place}: field 'expr' must be set in rule"));
        return Default::default();
    }
    match parse_with(&expr, syntax) {
        Ok(parsed) => (expr, parsed.to_string()),
        Err(e) => {
            problems.add(map.pos_of("expr"), format!("{place}: could not parse expression: {e}"));
            Default::default()
        }
    }
}

fn read_recording(map: &mut Map<'_>, name: &str, place: &str, problems: &Problems) -> RuleKind {
    for key in ["annotations", "for", "keep_firing_for"] {
        if map.take(key).is_some() {
            problems.add(map.pos_of(key), format!("{place}: invalid field '{key}' in recording rule"));
        }
    }
    if name.contains(['{', '}']) {
        let message = format!("{place}: braces present in the recording rule name; should it be in expr?: {name}");
        problems.add(map.pos_of("record"), message);
    }
    RuleKind::Recording
}

fn read_alerting(map: &mut Map<'_>, alert: &str, place: &str, problems: &Problems) -> RuleKind {
    let for_ms = map.read("for", duration_ms).unwrap_or(0);
    let keep_firing_for_ms = map.read("keep_firing_for", duration_ms).unwrap_or(0);
    let annotations = read_texts(map, "annotations", problems);
    check_names(&annotations, "annotation", place, problems);
    let annotations = templates(&annotations, "annotation", Some(alert), place, problems);
    RuleKind::Alerting { for_ms, keep_firing_for_ms, annotations }
}

/// `alert`: its name; without one the texts are a recording rule's, whose braces mean nothing.
fn templates(
    texts: &Texts<'_>,
    what: &str,
    alert: Option<&str>,
    place: &str,
    problems: &Problems,
) -> BTreeMap<String, Template> {
    let mut parsed = BTreeMap::new();
    for (name, (pos, text)) in texts {
        let template = match alert {
            Some(alert) => Template::parse(&format!("__alert_{alert}"), text, &TEMPLATE_VARIABLES),
            None => Ok(Template::verbatim(text)),
        };
        match template {
            Ok(template) => _ = parsed.insert((*name).to_owned(), template),
            Err(e) => problems.add(*pos, format!("{place}: {what} {name:?}: {e}")),
        }
    }
    parsed
}
