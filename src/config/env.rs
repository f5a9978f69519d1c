//! Environment variables in a configuration file.
//!
//! Here: which texts are expanded and how. Elsewhere: reading the file.
//!
//! Two rules. Values of `external_labels` follow Prometheus: `$NAME` and `${NAME}` stand for the variable, for nothing
//! where it is not set, and `$$` is a dollar sign. Everywhere else only `${NAME}` counts, NAME in capitals, and a
//! variable that is not set is an error; `$${NAME}` stands for `${NAME}` itself. Relabelling is left alone: there `$1`
//! and `${name}` mean groups of the expression. Keys are never expanded.

use super::yaml::{Node, Problems, Value};

/// How a variable is looked up; the process's own environment outside of tests.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

const RELABEL_KEYS: [&str; 4] =
    ["relabel_configs", "metric_relabel_configs", "alert_relabel_configs", "write_relabel_configs"];

/// Expands all texts of the tree in place.
pub(super) fn expand(node: &mut Node, lookup: Lookup<'_>, problems: &Problems) {
    let pos = node.pos;
    match &mut node.value {
        Value::Scalar { text, .. } => match braced(text, lookup) {
            Ok(None) => {}
            Ok(Some(expanded)) => *text = expanded,
            Err(message) => problems.add(pos, message),
        },
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, lookup, problems)),
        Value::Map(entries) => {
            for entry in entries {
                match entry.key.as_str() {
                    key if RELABEL_KEYS.contains(&key) => {}
                    "external_labels" => expand_labels(&mut entry.value, lookup),
                    _ => expand(&mut entry.value, lookup, problems),
                }
            }
        }
    }
}

fn expand_labels(node: &mut Node, lookup: Lookup<'_>) {
    if let Value::Map(entries) = &mut node.value {
        for entry in entries {
            if let Value::Scalar { text, .. } = &mut entry.value.value {
                *text = as_prometheus(text, lookup);
            }
        }
    }
}

/// `${NAME}` in capitals; `None` if there is none in `text`.
fn braced(text: &str, lookup: Lookup<'_>) -> Result<Option<String>, String> {
    let (mut out, mut rest, mut changed) = (String::new(), text, false);
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        let name = after.split_once('}').map(|(name, _)| name).filter(|name| is_env_name(name));
        let Some(name) = name else {
            out += &rest[..at + 2];
            rest = after;
            continue;
        };
        changed = true;
        if let Some(unescaped) = before.strip_suffix('$') {
            out += unescaped;
            out += &rest[at..at + 3 + name.len()];
        } else {
            out += before;
            let not_set = || {
                format!("environment variable {name} is not set; set it, or write $${{{name}}} if this is no variable")
            };
            out += &lookup(name).ok_or_else(not_set)?;
        }
        rest = &after[name.len() + 1..];
    }
    out += rest;
    Ok(changed.then_some(out))
}

fn is_env_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Go's `os.Expand`, as Prometheus uses it for external labels.
fn as_prometheus(text: &str, lookup: Lookup<'_>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('$') {
        out += &rest[..at];
        let after = &rest[at + 1..];
        let (value, consumed) = if after.starts_with('$') {
            ("$".to_owned(), 1)
        } else if let Some((name, _)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            (lookup(name).unwrap_or_default(), name.len() + 2)
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            if end == 0 { ("$".to_owned(), 0) } else { (lookup(&after[..end]).unwrap_or_default(), end) }
        };
        out += &value;
        rest = &after[consumed..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::super::yaml::{emit, parse};
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        matches!(name, "HOST" | "_X1").then(|| format!("<{name}>"))
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(braced(text, &lookup).map(|t| t.unwrap_or_else(|| text.to_owned())), Ok(expected.to_owned()));
    }

    #[test]
    fn braced_capitals_are_expanded() {
        check("${HOST}:9090", "<HOST>:9090");
        check("a${HOST}b${_X1}c", "a<HOST>b<_X1>c");
        check("$HOST $1 ${1} ${name} ${HOST ${", "$HOST $1 ${1} ${name} ${HOST ${");
        check("$${HOST}", "${HOST}");
        check("ü${HOST}ü", "ü<HOST>ü");
        let unset = "environment variable NOPE is not set; set it, or write $${NOPE} if this is no variable";
        assert_eq!(braced("${NOPE}", &lookup), Err(unset.to_owned()));
    }

    #[test]
    fn external_labels_follow_prometheus() {
        for (text, expected) in [
            ("$HOST", "<HOST>"),
            ("${HOST}x", "<HOST>x"),
            ("$$HOST", "$HOST"),
            ("$NOPE-", "-"),
            ("a$", "a$"),
            ("1$-", "1$-"),
        ] {
            assert_eq!(as_prometheus(text, &lookup), expected, "{text}");
        }
    }

    #[test]
    fn relabelling_is_left_alone() {
        let mut tree =
            parse("a: {relabel_configs: [{replacement: '${HOST}'}], external_labels: {x: $HOST}, t: ['${HOST}']}")
                .unwrap();
        let problems = Problems::new();
        expand(&mut tree, &lookup, &problems);
        assert!(problems.is_empty());
        let expected = "a:\n  relabel_configs:\n  - replacement: \"${HOST}\"\n  external_labels:\n    x: \"<HOST>\"\n  t:\n  - \"<HOST>\"\n";
        assert_eq!(emit(&tree), expected);
    }
}
