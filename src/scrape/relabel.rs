//! Relabelling: rules that rewrite a label set or drop it.
//!
//! Here: all of Prometheus' actions, for targets (before a scrape) and for samples (after it).
//! Elsewhere: reading and validating the rules (`config`).

use md5::{Digest, Md5};
use storage::LabelsBuilder;

use crate::config::{RelabelAction, RelabelConfig};

/// Whether the label set stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, rewritten.
    Keep,
    /// A rule dropped it; the rules after that one did not run.
    Drop,
}

/// Runs `rules` in order over `labels`.
pub fn relabel(labels: &mut LabelsBuilder, rules: &[RelabelConfig]) -> Verdict {
    match rules.iter().all(|rule| apply(labels, rule)) {
        true => Verdict::Keep,
        false => Verdict::Drop,
    }
}

/// One rule; false if it drops the set.
fn apply(labels: &mut LabelsBuilder, rule: &RelabelConfig) -> bool {
    let values: Vec<&str> = rule.source_labels.iter().map(|name| labels.get(name)).collect();
    let source = values.join(&rule.separator);
    match rule.action {
        RelabelAction::Keep => return rule.regex.is_match(&source),
        RelabelAction::Drop => return !rule.regex.is_match(&source),
        RelabelAction::KeepEqual => return labels.get(&rule.target_label) == source,
        RelabelAction::DropEqual => return labels.get(&rule.target_label) != source,
        RelabelAction::Replace => replace(labels, rule, &source),
        RelabelAction::Lowercase => drop(labels.set(&rule.target_label, source.to_lowercase())),
        RelabelAction::Uppercase => drop(labels.set(&rule.target_label, source.to_uppercase())),
        RelabelAction::HashMod => {
            let shard = hash(&source).checked_rem(rule.modulus).unwrap_or(0);
            labels.set(&rule.target_label, shard.to_string());
        }
        RelabelAction::LabelMap => label_map(labels, rule),
        RelabelAction::LabelDrop => labels.retain(|name, _| !rule.regex.is_match(name)),
        RelabelAction::LabelKeep => labels.retain(|name, _| rule.regex.is_match(name)),
    }
    true
}

fn replace(labels: &mut LabelsBuilder, rule: &RelabelConfig, source: &str) {
    let Some(captures) = rule.regex.captures(source) else { return };
    let (mut target, mut value) = (String::new(), String::new());
    captures.expand(&rule.target_label, &mut target);
    captures.expand(&rule.replacement, &mut value);
    // A template that names no label leaves the set alone, as in Prometheus.
    if !target.is_empty() {
        labels.set(&target, value);
    }
}

fn label_map(labels: &mut LabelsBuilder, rule: &RelabelConfig) {
    // In order of names, so that the same one wins each time where two map to one.
    for (name, value) in labels.build().iter() {
        if rule.regex.is_match(name) {
            let target = rule.regex.replace_all(name, rule.replacement.as_str());
            if !target.is_empty() {
                labels.set(&target, value);
            }
        }
    }
}

/// The last eight bytes of the MD5 as a big-endian number: what shards computed by Prometheus agree on.
fn hash(text: &str) -> u64 {
    let digest: [u8; 16] = Md5::digest(text.as_bytes()).into();
    digest[8..].iter().fold(0, |n, &b| n << 8 | u64::from(b))
}

#[cfg(test)]
mod tests {
    use storage::{Labels, full_match_regex};

    use super::*;

    fn rule(action: RelabelAction, sources: &[&str], regex: &str) -> RelabelConfig {
        RelabelConfig {
            source_labels: sources.iter().map(|&s| s.to_owned()).collect(),
            separator: ";".to_owned(),
            target_label: String::new(),
            regex: full_match_regex(regex).unwrap(),
            modulus: 0,
            replacement: "$1".to_owned(),
            action,
        }
    }

    fn to(mut rule: RelabelConfig, target: &str, replacement: &str) -> RelabelConfig {
        (rule.target_label, rule.replacement) = (target.to_owned(), replacement.to_owned());
        rule
    }

    /// `a=foo, b=bar, c=baz` after `rule`; `None` if dropped.
    #[track_caller]
    fn check(rule: RelabelConfig, expected: Option<&[(&str, &str)]>) {
        let start = Labels::from_pairs([("a", "foo"), ("b", "bar"), ("c", "baz")]).unwrap();
        let mut labels = LabelsBuilder::from_labels(&start);
        let verdict = relabel(&mut labels, std::slice::from_ref(&rule));
        let found = (verdict == Verdict::Keep).then(|| labels.build());
        assert_eq!(found, expected.map(|e| Labels::from_pairs(e.iter().copied()).unwrap()), "{rule:?}");
    }

    const ALL: &[(&str, &str)] = &[("a", "foo"), ("b", "bar"), ("c", "baz")];

    #[test]
    fn replace_expands_templates() {
        use RelabelAction::Replace;
        check(
            to(rule(Replace, &["a"], "f(.*)"), "d", "ch${1}-ch${1}"),
            Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "choo-choo")]),
        );
        check(
            to(rule(Replace, &["a", "b"], "f(.*);(.*)r"), "a", "b${1}${2}m"),
            Some(&[("a", "boobam"), ("b", "bar"), ("c", "baz")]),
        );
        check(
            to(rule(Replace, &["a"], ".*(?P<last>.)"), "d", "$last$$"),
            Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "o$")]),
        );
        check(to(rule(Replace, &["a"], "(f).*"), "d", "$1x"), Some(ALL));
        check(to(rule(Replace, &["a"], "(f).*"), "b", "$2"), Some(&[("a", "foo"), ("c", "baz")]));
        check(
            to(rule(Replace, &["a"], "(f)oo"), "x_${1}", "v"),
            Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("x_f", "v")]),
        );
        check(to(rule(Replace, &["a"], "nomatch"), "b", "v"), Some(ALL));
        check(to(rule(Replace, &["a"], "fo"), "b", "v"), Some(ALL));
        check(to(rule(Replace, &["a"], "(x)?foo"), "$1", "v"), Some(ALL));
        check(to(rule(Replace, &[], "(.*)"), "d", "v"), Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "v")]));
        check(to(rule(Replace, &["missing"], "(.*)"), "a", "$1"), Some(&[("b", "bar"), ("c", "baz")]));
    }

    #[test]
    fn keeps_and_drops() {
        use RelabelAction::*;
        check(rule(Drop, &["a"], "f.*"), None);
        check(rule(Drop, &["a"], "f"), Some(ALL));
        check(rule(Keep, &["a", "b"], "foo;bar"), Some(ALL));
        check(rule(Keep, &["missing"], ".+"), None);
        check(to(rule(KeepEqual, &["a"], "(.*)"), "a", ""), Some(ALL));
        check(to(rule(KeepEqual, &["a"], "(.*)"), "b", ""), None);
        check(to(rule(DropEqual, &["a"], "(.*)"), "a", ""), None);
        check(to(rule(DropEqual, &["a"], "(.*)"), "b", ""), Some(ALL));
    }

    #[test]
    fn rewrites_names_and_case() {
        use RelabelAction::*;
        check(
            to(rule(LabelMap, &[], "(a|b)"), "", "x_$1"),
            Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("x_a", "foo"), ("x_b", "bar")]),
        );
        check(to(rule(LabelMap, &[], "a|b"), "", "c"), Some(&[("a", "foo"), ("b", "bar"), ("c", "bar")]));
        check(rule(LabelDrop, &[], "a|c"), Some(&[("b", "bar")]));
        check(rule(LabelKeep, &[], "a"), Some(&[("a", "foo")]));
        check(
            to(rule(Uppercase, &["a", "b"], "(.*)"), "d", ""),
            Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "FOO;BAR")]),
        );
        check(to(rule(Lowercase, &["missing"], "(.*)"), "a", ""), Some(&[("b", "bar"), ("c", "baz")]));
    }

    #[test]
    fn hashmod_agrees_with_prometheus() {
        let mut r = to(rule(RelabelAction::HashMod, &["c"], "(.*)"), "d", "");
        r.modulus = 1000;
        check(r.clone(), Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "976")]));
        r.source_labels = vec!["a".to_owned()];
        r.modulus = 0;
        check(r, Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "0")]));
    }
}
