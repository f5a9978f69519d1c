//! A row: one series' values for all steps.
//!
//! Invariant: "no value at this step" is the staleness marker, bit for bit. No computation yields that pattern
//! (arithmetic returns quiet NaNs) and selectors never let a stored marker through, so the bit pattern is free.

use rustc_hash::FxHashMap;
use storage::{Labels, STALE_NAN_BITS, is_stale_nan};

use crate::promql::types::QueryError;

/// "No value at this step".
pub(crate) const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether `v` is [`ABSENT`]; an ordinary NaN is a value.
pub(crate) fn is_absent(v: f64) -> bool {
    is_stale_nan(v)
}

/// One series of an instant vector over all steps of a grid.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// The metric's name goes at the end of the query (only with delayed name removal).
    pub(crate) drop_name: bool,
    /// One for each step.
    pub(crate) values: Vec<f64>,
}

/// Takes rows one at a time.
pub(crate) type Sink<'s> = dyn FnMut(Row) -> Result<(), QueryError> + 's;

/// Words of Prometheus for two series that became one.
pub(super) const SAME_LABELSET: &str = "vector cannot contain metrics with the same labelset";

impl Row {
    pub(crate) fn new(labels: Labels, values: Vec<f64>) -> Self {
        Row { labels, drop_name: false, values }
    }

    pub(super) fn present_count(&self) -> usize {
        self.values.iter().filter(|v| !is_absent(**v)).count()
    }

    /// What keeping the row costs of the budget: its samples, but at least as much as its memory is worth of them
    /// (a budgeted sample is 16 bytes, a step 8).
    pub(super) fn cost(&self) -> usize {
        self.present_count().max(self.values.len() / 2)
    }

    pub(super) fn is_present(&self, step: usize) -> bool {
        !is_absent(self.values[step])
    }

    /// Takes the value at `step` away.
    pub(super) fn clear(&mut self, step: usize) {
        self.values[step] = ABSENT;
    }
}

/// What happens to rows whose labels are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overlap {
    /// They become one row if they have no step in common.
    Merge,
    /// The query fails.
    Refuse,
}

/// Makes label sets unique again, keeping the order of first appearance.
pub(super) fn unite(rows: Vec<Row>, overlap: Overlap) -> Result<Vec<Row>, QueryError> {
    let mut places: FxHashMap<Labels, usize> = FxHashMap::default();
    let mut united: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match places.get(&row.labels) {
            None => {
                places.insert(row.labels.clone(), united.len());
                united.push(row);
            }
            Some(_) if overlap == Overlap::Refuse => return Err(QueryError::Execution(SAME_LABELSET.to_owned())),
            Some(&place) => merge_into(&mut united[place], &row)?,
        }
    }
    Ok(united)
}

fn merge_into(target: &mut Row, row: &Row) -> Result<(), QueryError> {
    target.drop_name |= row.drop_name;
    for (old, &new) in target.values.iter_mut().zip(&row.values) {
        match (is_absent(*old), is_absent(new)) {
            (_, true) => {}
            (true, false) => *old = new,
            (false, false) => return Err(QueryError::Execution(SAME_LABELSET.to_owned())),
        }
    }
    Ok(())
}
