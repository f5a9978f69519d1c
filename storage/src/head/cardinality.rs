//! What the head is full of.
//!
//! Here: the lists of `/api/v1/status/tsdb`.
//! Elsewhere: postings themselves (`head::pairs`).
//!
//! Invariant: equal numbers are listed by name, so two calls give the same lists.

use super::Head;
use crate::{Cardinality, METRIC_NAME};

impl Head {
    /// The largest `limit` of each kind; walks the index, not the series.
    pub(crate) fn cardinality(&self, limit: usize) -> Cardinality {
        let mut all = Cardinality::default();
        for (name, row) in self.pairs.rows() {
            let mut value_bytes = 0;
            for &id in row {
                let value = self.pairs.texts(id).1;
                let series = u64::from(self.pairs.count(id));
                value_bytes += value.len() as u64;
                all.label_pairs += 1;
                keep_largest(&mut all.series_by_pair, limit, series, || format!("{name}={value}"));
                if name == METRIC_NAME {
                    keep_largest(&mut all.series_by_metric, limit, series, || value.to_owned());
                }
            }
            keep_largest(&mut all.values_by_label, limit, row.len() as u64, || name.to_owned());
            keep_largest(&mut all.bytes_by_label, limit, value_bytes, || name.to_owned());
        }
        all
    }
}

/// Inserts into a list that is sorted by falling number, then name, and at most `limit` long.
fn keep_largest(list: &mut Vec<(String, u64)>, limit: usize, number: u64, name: impl FnOnce() -> String) {
    if list.len() >= limit && list.last().is_none_or(|last| last.1 > number) {
        return;
    }
    let name = name();
    let at = list.partition_point(|(n, x)| *x > number || (*x == number && *n < name));
    list.insert(at, (name, number));
    list.truncate(limit);
}
