//! `label_replace` and `label_join`: functions of labels alone.

use regex::Regex;
use storage::{LabelsBuilder, METRIC_NAME, full_match_regex};

use super::row::{Overlap, Row, Sink, unite};
use super::{Done, Evaluator};
use crate::promql::ast::Call;
use crate::promql::types::QueryError;

impl Evaluator<'_> {
    pub(super) fn label_replace(&self, call: &Call, sink: &mut Sink<'_>) -> Done {
        let text = |index: usize| self.string(&call.args[index]);
        let (target, template, source, pattern) = (text(1)?, text(2)?, text(3)?, text(4)?);
        let regex = full_match_regex(&pattern)
            .map_err(|_| QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
        if !is_label_name(&target) {
            let message = format!("invalid destination label name in label_replace(): {target}");
            return Err(QueryError::Execution(message));
        }
        let mut rows = self.rows(&call.args[0])?;
        for (index, row) in rows.iter_mut().enumerate() {
            self.check_now_and_then(index)?;
            let found = expanded(&regex, &template, row.labels.get(&source).unwrap_or(""));
            if let Some(value) = found {
                set_label(row, &target, &value);
            }
        }
        unite(rows, Overlap::Merge)?.into_iter().try_for_each(sink)
    }

    pub(super) fn label_join(&self, call: &Call, sink: &mut Sink<'_>) -> Done {
        let texts: Vec<String> = call.args[1..].iter().map(|arg| self.string(arg)).collect::<Result<_, _>>()?;
        let [target, separator, sources @ ..] = texts.as_slice() else { return Ok(()) };
        let refuse = |which: &str, name: &str| {
            Err(QueryError::Execution(format!("invalid {which} label name in label_join(): {name}")))
        };
        if let Some(source) = sources.iter().find(|s| !is_label_name(s)) {
            return refuse("source", source);
        }
        if !is_label_name(target) {
            return refuse("destination", target);
        }
        let mut rows = self.rows(&call.args[0])?;
        for (index, row) in rows.iter_mut().enumerate() {
            self.check_now_and_then(index)?;
            let values: Vec<&str> = sources.iter().map(|s| row.labels.get(s).unwrap_or("")).collect();
            let joined = values.join(separator);
            set_label(row, target, &joined);
        }
        unite(rows, Overlap::Merge)?.into_iter().try_for_each(sink)
    }
}

/// Any text that is UTF-8. What was not UTF-8 in the query carries a replacement character since it was unquoted.
pub(super) fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::REPLACEMENT_CHARACTER)
}

fn set_label(row: &mut Row, name: &str, value: &str) {
    row.labels = LabelsBuilder::from_labels(&row.labels).set(name, value).build();
    // A name that was given on purpose stays.
    row.drop_name &= name != METRIC_NAME;
}

/// The template with its groups filled in, if the whole value matches.
fn expanded(regex: &Regex, template: &str, value: &str) -> Option<String> {
    let mut out = String::new();
    // `$1x` is the group named "1x", `${1}x` group 1 and an x, as in Go; the crate reads templates the same way.
    regex.captures(value)?.expand(template, &mut out);
    Some(out)
}
