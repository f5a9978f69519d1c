//! Classic histograms in a vector: which rows are buckets of the same histogram.
//!
//! Here: grouping rows by their labels without `le`, once for all steps. Elsewhere: the numbers
//! (`functions::histogram`).

use rustc_hash::FxHashMap;
use storage::Labels;

use super::names::without_metadata;
use super::row::{ABSENT, Overlap, Row, Sink, is_absent, unite};
use super::{Done, Evaluator};
use crate::promql::ast::{Call, Expr};
use crate::promql::functions::histogram::{Bucket, Repair, bucket_fraction, bucket_quantile};
use crate::promql::parse::quote;
use crate::promql::types::QueryError;

const BUCKET_LABEL: &str = "le";

/// The buckets of one histogram.
struct Histogram {
    /// Without `le`.
    labels: Labels,
    drop_name: bool,
    /// Upper bound and counts.
    buckets: Vec<(f64, Vec<f64>)>,
}

impl Evaluator<'_> {
    pub(super) fn histogram_quantile(&self, call: &Call, sink: &mut Sink<'_>) -> Done {
        self.quantile_of(&call.args[0], &call.args[1], sink)
    }

    /// The quantile that scalar `q` says of the histograms of `arg`.
    pub(super) fn quantile_of(&self, q: &Expr, arg: &Expr, sink: &mut Sink<'_>) -> Done {
        let q_span = q.span;
        let q = self.scalar(q)?;
        self.warn_of_quantiles(&q, q_span);
        self.each_histogram(arg, sink, &mut |step, labels, buckets| {
            let (value, repair) = bucket_quantile(q[step], buckets);
            if let Some(repair) = repair {
                self.tell_repair(repair, labels, step, arg);
            }
            value
        })
    }

    pub(super) fn histogram_fraction(&self, call: &Call, sink: &mut Sink<'_>) -> Done {
        let (lower, upper) = (self.scalar(&call.args[0])?, self.scalar(&call.args[1])?);
        self.each_histogram(&call.args[2], sink, &mut |step, _, buckets| {
            bucket_fraction(lower[step], upper[step], buckets)
        })
    }

    fn each_histogram(
        &self,
        arg: &Expr,
        sink: &mut Sink<'_>,
        value_of: &mut dyn FnMut(usize, &Labels, &mut Vec<Bucket>) -> f64,
    ) -> Done {
        let mut rows = Vec::new();
        let mut buckets = Vec::new();
        for histogram in self.histograms(arg)? {
            self.ctx.check()?;
            let mut values = vec![ABSENT; self.grid.count];
            for (step, value) in values.iter_mut().enumerate() {
                buckets.clear();
                buckets.extend(
                    histogram
                        .buckets
                        .iter()
                        .filter(|(_, counts)| !is_absent(counts[step]))
                        .map(|(upper_bound, counts)| Bucket { upper_bound: *upper_bound, count: counts[step] }),
                );
                if !buckets.is_empty() {
                    *value = value_of(step, &histogram.labels, &mut buckets);
                }
            }
            rows.push(Row { labels: histogram.labels, drop_name: histogram.drop_name, values });
        }
        if self.ctx.options.delayed_name_removal {
            rows.iter_mut().for_each(|row| row.drop_name = true);
        } else {
            rows.iter_mut().for_each(|row| row.labels = without_metadata(&row.labels));
            rows = unite(rows, Overlap::Merge)?;
        }
        rows.into_iter().try_for_each(sink)
    }

    fn histograms(&self, arg: &Expr) -> Result<Vec<Histogram>, QueryError> {
        let mut places: FxHashMap<Labels, usize> = FxHashMap::default();
        let mut found: Vec<Histogram> = Vec::new();
        self.each_row(arg, &mut |row| {
            let le = row.labels.get(BUCKET_LABEL).unwrap_or("");
            let Some(upper_bound) = parse_bound(le) else {
                self.warn_of_bucket(&row.labels, le, arg);
                return Ok(());
            };
            self.ctx.charge(row.cost())?;
            let labels = row.labels.filter(|name| name != BUCKET_LABEL);
            let place = *places.entry(labels).or_insert_with_key(|labels| {
                let (labels, drop_name) = (labels.clone(), row.drop_name);
                found.push(Histogram { labels, drop_name, buckets: Vec::new() });
                found.len() - 1
            });
            found[place].buckets.push((upper_bound, row.values));
            Ok(())
        })?;
        Ok(found)
    }

    fn warn_of_bucket(&self, labels: &Labels, le: &str, arg: &Expr) {
        let what = format!("bucket label \"{BUCKET_LABEL}\" is missing or has a malformed value of {}", quote(le));
        self.ctx.warn(&(what + &self.for_metric(labels)), arg.span);
    }

    /// The name is known only while it has not been dropped, so Prometheus shows it with delayed removal alone.
    fn for_metric(&self, labels: &Labels) -> String {
        match labels.metric_name() {
            name if self.ctx.options.delayed_name_removal && !name.is_empty() => {
                format!(" for metric name {}", quote(name))
            }
            _ => String::new(),
        }
    }

    fn tell_repair(&self, repair: Repair, labels: &Labels, step: usize, arg: &Expr) {
        self.ctx.repaired(&self.for_metric(labels), repair, self.grid.time(step), arg.span);
    }
}

/// A bound as Go's float parser reads it.
fn parse_bound(le: &str) -> Option<f64> {
    let lower = le.to_ascii_lowercase();
    match lower.trim_start_matches(['+', '-']) {
        "inf" | "infinity" | "nan" => lower.parse().ok(),
        rest if rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') => lower.parse().ok(),
        _ => None,
    }
}
