//! Histograms in a vector: native ones, and which rows are buckets of the same classic one.
//!
//! Here: grouping rows by their labels without `le`, once for all steps; the functions that take either kind.
//! Elsewhere: the numbers (`functions::histogram` for classic ones, `functions::native`).

use rustc_hash::FxHashMap;
use storage::Labels;

use super::names::without_metadata;
use super::row::{ABSENT, Column, Overlap, Row, Sink, is_absent, unite};
use super::{Done, Evaluator};
use crate::promql::ast::{Call, Expr};
use crate::promql::functions::histogram::{Bucket, Repair, bucket_fraction, bucket_quantile};
use crate::promql::functions::native::{NanNote, native_fraction, native_quantile};
use crate::promql::histogram::FloatHistogram;
use crate::promql::parse::quote;
use crate::promql::types::QueryError;

const BUCKET_LABEL: &str = "le";

/// One histogram at all steps.
struct Histogram {
    /// Without `le`.
    labels: Labels,
    drop_name: bool,
    /// Upper bound and counts of a classic one.
    buckets: Vec<(f64, Vec<f64>)>,
    native: Option<Column>,
}

/// One histogram at one step.
enum Shape<'h> {
    /// Never empty.
    Classic(&'h mut Vec<Bucket>),
    Native(&'h FloatHistogram),
}

/// What a function makes of a histogram at the step of this number.
type ValueOf<'f> = dyn FnMut(usize, &Labels, Shape<'_>) -> f64 + 'f;

impl Evaluator<'_> {
    pub(super) fn histogram_quantile(&self, call: &Call, sink: &mut Sink<'_>) -> Done {
        self.quantile_of(&call.args[0], &call.args[1], sink)
    }

    /// The quantile that scalar `q` says of the histograms of `arg`.
    pub(super) fn quantile_of(&self, q: &Expr, arg: &Expr, sink: &mut Sink<'_>) -> Done {
        let q_span = q.span;
        let q = self.scalar(q)?;
        self.warn_of_quantiles(&q, q_span);
        let found = self.histograms(arg)?;
        let rows = self.each_histogram(&found, arg, &mut |step, labels, shape| {
            self.quantile_at(q[step], step, labels, shape, arg)
        })?;
        self.emit_nameless(rows, sink)
    }

    pub(super) fn histogram_fraction(&self, call: &Call, sink: &mut Sink<'_>) -> Done {
        let (lower, upper) = (self.scalar(&call.args[0])?, self.scalar(&call.args[1])?);
        let arg = &call.args[2];
        let found = self.histograms(arg)?;
        let rows = self.each_histogram(&found, arg, &mut |step, labels, shape| match shape {
            Shape::Classic(buckets) => bucket_fraction(lower[step], upper[step], buckets),
            Shape::Native(histogram) => {
                let (value, note) = native_fraction(lower[step], upper[step], histogram);
                self.tell_nan(note, labels, arg);
                value
            }
        })?;
        self.emit_nameless(rows, sink)
    }

    fn quantile_at(&self, q: f64, step: usize, labels: &Labels, shape: Shape<'_>, arg: &Expr) -> f64 {
        match shape {
            Shape::Classic(buckets) => {
                let (value, repair) = bucket_quantile(q, buckets);
                if let Some(repair) = repair {
                    self.tell_repair(repair, labels, step, arg);
                }
                value
            }
            Shape::Native(histogram) => {
                let (value, note) = native_quantile(q, histogram);
                self.tell_nan(note, labels, arg);
                value
            }
        }
    }

    /// One row for each histogram. Where a classic and a native one have the same labels, neither counts.
    fn each_histogram(
        &self,
        found: &[Histogram],
        arg: &Expr,
        value_of: &mut ValueOf<'_>,
    ) -> Result<Vec<Row>, QueryError> {
        let mut rows = Vec::with_capacity(found.len());
        let mut buckets = Vec::new();
        for histogram in found {
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
                let native = histogram.native.as_ref().and_then(|column| column[step].as_deref());
                *value = match (native, buckets.is_empty()) {
                    (None, true) => ABSENT,
                    (None, false) => value_of(step, &histogram.labels, Shape::Classic(&mut buckets)),
                    (Some(native), true) => value_of(step, &histogram.labels, Shape::Native(native)),
                    (Some(_), false) => {
                        self.warn_of_mix(&histogram.labels, arg);
                        ABSENT
                    }
                };
            }
            rows.push(Row { drop_name: histogram.drop_name, ..Row::new(histogram.labels.clone(), values) });
        }
        Ok(rows)
    }

    fn emit_nameless(&self, mut rows: Vec<Row>, sink: &mut Sink<'_>) -> Done {
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
        self.each_row(arg, &mut |mut row| {
            let cost = row.cost();
            if let Some(column) = row.histograms.take() {
                self.ctx.charge(cost)?;
                let place = place_of(&mut places, &mut found, row.labels.clone(), row.drop_name);
                found[place].native = Some(column);
            }
            // Histograms alone, or what a function left of them: no buckets.
            if row.present_count() == 0 {
                return Ok(());
            }
            let le = row.labels.get(BUCKET_LABEL).unwrap_or("");
            let Some(upper_bound) = parse_bound(le) else {
                self.warn_of_bucket(&row.labels, le, arg);
                return Ok(());
            };
            self.ctx.charge(cost)?;
            let labels = row.labels.filter(|name| name != BUCKET_LABEL);
            let place = place_of(&mut places, &mut found, labels, row.drop_name);
            found[place].buckets.push((upper_bound, row.values));
            Ok(())
        })?;
        Ok(found)
    }

    fn warn_of_bucket(&self, labels: &Labels, le: &str, arg: &Expr) {
        let what = format!("bucket label \"{BUCKET_LABEL}\" is missing or has a malformed value of {}", quote(le));
        self.ctx.warn(&(what + &self.for_metric(labels)), arg.span);
    }

    fn warn_of_mix(&self, labels: &Labels, arg: &Expr) {
        let what = "vector contains a mix of classic and native histograms".to_owned();
        self.ctx.warn(&(what + &self.for_metric(labels)), arg.span);
    }

    fn tell_nan(&self, note: Option<NanNote>, labels: &Labels, arg: &Expr) {
        let Some(note) = note else { return };
        let what = match note {
            NanNote::Result => "input to histogram_quantile has NaN observations, result is NaN",
            NanNote::Skew => "input to histogram_quantile has NaN observations, result is skewed higher",
            NanNote::Fraction => {
                "input to histogram_fraction has NaN observations, which are excluded from all fractions"
            }
        };
        self.ctx.info(&(what.to_owned() + &self.for_metric(labels)), arg.span);
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

/// The place of the histogram with these labels; a new one is put at the end.
fn place_of(
    places: &mut FxHashMap<Labels, usize>,
    found: &mut Vec<Histogram>,
    labels: Labels,
    drop_name: bool,
) -> usize {
    *places.entry(labels).or_insert_with_key(|labels| {
        found.push(Histogram { labels: labels.clone(), drop_name, buckets: Vec::new(), native: None });
        found.len() - 1
    })
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
