//! Function calls that yield an instant vector.
//!
//! Here: who takes which function, and those that look at each value alone.
//! Elsewhere: functions of windows (`range_call`), of buckets (`buckets`), of labels (`relabel`), order (`rank`).

use storage::{Labels, LabelsBuilder, METRIC_NAME, MatchOp};

use super::extended::check_extension;
use super::look_back::Pick;
use super::row::{ABSENT, Overlap, Row, Sink, is_absent};
use super::{Done, Evaluator};
use crate::promql::ast::{Call, Expr, ExprKind, Span};
use crate::promql::functions::native::native_variance;
use crate::promql::functions::{calendar, math};
use crate::promql::histogram::FloatHistogram;
use crate::promql::types::QueryError;

impl Evaluator<'_> {
    pub(super) fn call(&self, call: &Call, span: Span, sink: &mut Sink<'_>) -> Done {
        let name = call.function.name;
        check_extension(call)?;
        if let Some(f) = math::unary(name) {
            return self.map_values(&call.args[0], &f, sink);
        }
        if let Some(f) = calendar::find(name) {
            return match call.args.first() {
                Some(arg) => self.map_values(arg, &f, sink),
                None => sink(Row::new(Labels::empty(), self.times().map(f).collect())),
            };
        }
        match name {
            "clamp" | "clamp_min" | "clamp_max" => self.clamp(call, sink),
            "round" => self.round(call, sink),
            "vector" => sink(Row::new(Labels::empty(), self.scalar(&call.args[0])?)),
            "timestamp" => self.timestamp(&call.args[0], sink),
            "absent" => self.absent(&call.args[0], sink),
            "absent_over_time" => self.absent_over_time(&call.args[0], sink),
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => self.sort(call, span, sink),
            "label_replace" => self.label_replace(call, sink),
            "label_join" => self.label_join(call, sink),
            "histogram_quantile" => self.histogram_quantile(call, sink),
            "histogram_quantiles" => self.histogram_quantiles(call, sink),
            "info" => self.info(call, sink),
            "histogram_fraction" => self.histogram_fraction(call, sink),
            "start_timestamp" => self.start_timestamp(&call.args[0], sink),
            "histogram_avg" => self.of_histogram(&call.args[0], |h| h.sum / h.count, sink),
            "histogram_count" => self.of_histogram(&call.args[0], |h| h.count, sink),
            "histogram_sum" => self.of_histogram(&call.args[0], |h| h.sum, sink),
            "histogram_stddev" => self.of_histogram(&call.args[0], |h| native_variance(h).sqrt(), sink),
            "histogram_stdvar" => self.of_histogram(&call.args[0], native_variance, sink),
            _ => self.range_call(call, sink),
        }
    }

    fn times(&self) -> impl Iterator<Item = f64> {
        let grid = self.grid;
        // Whole seconds, as the calendar functions take them.
        (0..grid.count).map(move |i| grid.time(i).div_euclid(1000) as f64)
    }

    /// Every float of `arg` through `f`, names dropped.
    fn map_values(&self, arg: &Expr, f: &dyn Fn(f64) -> f64, sink: &mut Sink<'_>) -> Done {
        let mut map = |row: &mut Row| row.values.iter_mut().filter(|v| !is_absent(**v)).for_each(|v| *v = f(*v));
        self.map_floats(arg, &mut map, sink)
    }

    /// The floats of every row through `f`, names dropped. Histograms have no place in the result.
    fn map_floats(&self, arg: &Expr, f: &mut dyn FnMut(&mut Row), sink: &mut Sink<'_>) -> Done {
        let mut without_histograms = |row: &mut Row| {
            row.histograms = None;
            f(row);
        };
        self.map_rows(arg, &mut without_histograms, sink)
    }

    /// Every native histogram of `arg` through `f`. Floats have no place in the result.
    fn of_histogram(&self, arg: &Expr, f: fn(&FloatHistogram) -> f64, sink: &mut Sink<'_>) -> Done {
        let mut to_floats = |row: &mut Row| {
            row.values.fill(ABSENT);
            for (step, histogram) in row.histograms.take().iter().flatten().enumerate() {
                if let Some(histogram) = histogram {
                    row.values[step] = f(histogram);
                }
            }
        };
        self.map_rows(arg, &mut to_floats, sink)
    }

    /// `-vector`
    pub(super) fn negate(&self, arg: &Expr, sink: &mut Sink<'_>) -> Done {
        let mut negated = |row: &mut Row| {
            row.values.iter_mut().filter(|v| !is_absent(**v)).for_each(|v| *v = -*v);
            row.map_histograms(|_, histogram| Some(histogram.scaled(-1.0)));
        };
        self.map_rows(arg, &mut negated, sink)
    }

    /// Every row of `arg` through `f`, names dropped.
    pub(super) fn map_rows(&self, arg: &Expr, f: &mut dyn FnMut(&mut Row), sink: &mut Sink<'_>) -> Done {
        self.dropping_names(arg, Overlap::Merge, sink, &mut |sink| {
            self.each_row(arg, &mut |mut row| {
                f(&mut row);
                sink(row)
            })
        })
    }

    fn clamp(&self, call: &Call, sink: &mut Sink<'_>) -> Done {
        let bound = |index: usize| self.scalar(&call.args[index]);
        let same = |v: f64| vec![v; self.grid.count];
        let (min, max) = match call.function.name {
            "clamp" => (bound(1)?, bound(2)?),
            "clamp_min" => (bound(1)?, same(f64::INFINITY)),
            _ => (same(f64::NEG_INFINITY), bound(1)?),
        };
        let mut clamp_row = |row: &mut Row| {
            for ((v, &min), &max) in row.values.iter_mut().zip(&min).zip(&max).filter(|((v, _), _)| !is_absent(**v)) {
                *v = if max < min { ABSENT } else { math::clamp(*v, min, max) };
            }
        };
        self.map_floats(&call.args[0], &mut clamp_row, sink)
    }

    fn round(&self, call: &Call, sink: &mut Sink<'_>) -> Done {
        let Some(arg) = call.args.get(1) else {
            return self.map_values(&call.args[0], &|v| math::round(v, 1.0), sink);
        };
        let to_nearest = self.scalar(arg)?;
        let mut round_row = |row: &mut Row| {
            for (v, &to) in row.values.iter_mut().zip(&to_nearest).filter(|(v, _)| !is_absent(**v)) {
                *v = math::round(*v, to);
            }
        };
        self.map_floats(&call.args[0], &mut round_row, sink)
    }

    /// The sample's own time directly on a selector, the evaluation time on anything else.
    fn timestamp(&self, arg: &Expr, sink: &mut Sink<'_>) -> Done {
        if let ExprKind::Selector(selector) = &arg.unwrap_parens().kind {
            return self.dropping_names(arg, Overlap::Merge, sink, &mut |sink| {
                self.picked_rows(selector, arg.span, Pick::Time, sink)
            });
        }
        let grid = self.grid;
        let mut stamp = |row: &mut Row| {
            let histograms = row.histograms.take();
            for (step, v) in row.values.iter_mut().enumerate() {
                if !is_absent(*v) || histograms.as_ref().is_some_and(|column| column[step].is_some()) {
                    *v = grid.time(step) as f64 / 1000.0;
                }
            }
        };
        self.map_rows(arg, &mut stamp, sink)
    }

    fn absent(&self, arg: &Expr, sink: &mut Sink<'_>) -> Done {
        let mut values = vec![1.0; self.grid.count];
        self.each_row(arg, &mut |row| {
            for (value, &v) in values.iter_mut().zip(&row.values) {
                *value = if is_absent(v) { *value } else { ABSENT };
            }
            row.each_histogram().for_each(|(step, _)| values[step] = ABSENT);
            Ok(())
        })?;
        self.emit_if_any(Row::new(absent_labels(arg), values), sink)
    }

    fn absent_over_time(&self, arg: &Expr, sink: &mut Sink<'_>) -> Done {
        let windows = self.windows(arg)?;
        let mut values = vec![1.0; self.grid.count];
        self.each_range_series(arg, &mut |series| match series.histograms {
            None => windows.slide(&self.ctx.budget, series.columns, &mut |step, _| values[step] = ABSENT),
            Some(range) => windows.slide_mixed(self.ctx, series.columns, range, &mut |step, _| values[step] = ABSENT),
        })?;
        self.emit_if_any(Row::new(absent_labels(arg), values), sink)
    }

    pub(super) fn emit_if_any(&self, row: Row, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        if row.present_count() > 0 { sink(row) } else { Ok(()) }
    }
}

/// What is known of a series that is not there: labels that an equality sets, and nothing else says otherwise.
fn absent_labels(arg: &Expr) -> Labels {
    let matchers = match &arg.kind {
        ExprKind::Selector(selector) => &selector.matchers,
        ExprKind::Matrix(matrix) => &matrix.selector.matchers,
        _ => return Labels::empty(),
    };
    let mut labels = LabelsBuilder::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|m| m.name() != METRIC_NAME) {
        if matcher.op() == MatchOp::Equal && !seen.contains(&matcher.name()) {
            labels.set(matcher.name(), matcher.value());
            seen.push(matcher.name());
        } else {
            labels.remove(matcher.name());
        }
    }
    labels.build()
}
