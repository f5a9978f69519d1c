//! Which series of two vectors meet: signatures, computed once for each series, and the labels of what they become.
//!
//! Here: joining by `on` or `ignoring`, and the errors of ambiguous joins. Elsewhere: values (`binary`).

use rustc_hash::FxHashMap;
use storage::{Labels, LabelsBuilder, METRIC_NAME};

use super::names::is_metadata;
use super::row::Row;
use crate::promql::ast::{Cardinality, VectorMatching};
use crate::promql::types::QueryError;

/// The join signature of every row, as small numbers.
pub(super) struct Signatures {
    pub(super) left: Vec<usize>,
    pub(super) right: Vec<usize>,
    /// How many there are.
    pub(super) count: usize,
}

impl Signatures {
    pub(super) fn new(matching: &VectorMatching, left: &[Row], right: &[Row]) -> Self {
        let mut numbers: FxHashMap<Labels, usize> = FxHashMap::default();
        let mut number_all = |rows: &[Row]| -> Vec<usize> {
            let number = |row: &Row| {
                let next = numbers.len();
                *numbers.entry(signature(matching, &row.labels)).or_insert(next)
            };
            rows.iter().map(number).collect()
        };
        let (left, right) = (number_all(left), number_all(right));
        Signatures { left, right, count: numbers.len() }
    }

    /// For each signature the rows that have it.
    pub(super) fn members(&self, of: &[usize]) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.count];
        of.iter().enumerate().for_each(|(row, &signature)| members[signature].push(row));
        members
    }
}

fn is_listed(matching: &VectorMatching, name: &str) -> bool {
    matching.labels.iter().any(|l| l == name)
}

/// The labels by which a series finds the other side.
pub(super) fn signature(matching: &VectorMatching, labels: &Labels) -> Labels {
    if matching.on {
        labels.filter(|name| is_listed(matching, name))
    } else {
        labels.filter(|name| name != METRIC_NAME && !is_listed(matching, name))
    }
}

/// The labels of a result: those of the many side, less what the operation drops, plus what `group_x` copies.
pub(super) fn result_labels(matching: &VectorMatching, many: &Labels, one: &Labels, drops_name: bool) -> Labels {
    let one_to_one = matching.card == Cardinality::OneToOne;
    let kept = many.filter(|name| {
        let is_dropped = drops_name && is_metadata(name);
        !is_dropped && (!one_to_one || is_listed(matching, name) == matching.on)
    });
    if matching.include.is_empty() {
        return kept;
    }
    let mut labels = LabelsBuilder::from_labels(&kept);
    for name in &matching.include {
        // What the one side lacks is removed.
        labels.set(name, one.get(name).unwrap_or(""));
    }
    labels.build()
}

/// Refuses two series of the one side that meet at the same step.
pub(super) fn duplicate_error(matching: &VectorMatching, a: &Row, b: &Row) -> QueryError {
    let side = if matching.card == Cardinality::OneToMany { "left" } else { "right" };
    let group = bare(&signature(matching, &a.labels));
    let (a, b) = (bare(&a.labels), bare(&b.labels));
    let (first, second) = if a > b { (b, a) } else { (a, b) };
    QueryError::Execution(format!(
        "found duplicate series for the match group {group} on the {side} hand-side of the operation: \
         [{first}, {second}];many-to-many matching not allowed: matching labels must be unique on one side"
    ))
}

/// All labels in braces, the name among them, as Prometheus prints them in messages.
pub(super) fn bare(labels: &Labels) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={}", crate::promql::parse::quote(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}
