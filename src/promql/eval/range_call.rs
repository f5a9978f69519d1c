//! Functions of a range vector: one window of samples to one number, for each series and step.
//!
//! Elsewhere: series that have native histograms, too (`mixed_range`), or start timestamps (`started`); several threads
//! (`parallel`).

use storage::{Columns, Labels, METRIC_TYPE};

use super::annotate::invalid_quantile;
use super::budget::Budget;
use super::counting::Counts;
use super::parallel::{Room, each_in_order};
use super::row::{ABSENT, Overlap, Row, Sink, is_absent};
use super::window::{RangeSeries, Window, Windows, read_floats};
use super::{Done, Evaluator, impossible};
use crate::promql::ast::{Call, Expr, ExprKind, Span, ValueType};
use crate::promql::functions::native_range::HistogramRange;
use crate::promql::functions::quantile::quantile;
use crate::promql::functions::rate::{Kind, extrapolated, instant};
use crate::promql::functions::{over_time, regression};
use crate::promql::parse::quote;
use crate::promql::source::SeriesReader;
use crate::promql::types::QueryError;

/// A window at the step of this number to a value, if it has one.
pub(super) type WindowFn<'f> = Box<dyn FnMut(usize, Window<'_>) -> Option<f64> + 'f>;

/// One that needs nothing but the window: several threads may call it.
pub(super) type PureFn = Box<dyn Fn(Window<'_>) -> Option<f64> + Sync>;

/// What several threads make of series.
enum Worked {
    /// A value for each step, if any step has one.
    Values(Option<Vec<f64>>),
    /// It has more than floats, which is for the query's own thread.
    Mixed,
}

impl Evaluator<'_> {
    pub(super) fn range_call(&self, call: &Call, sink: &mut Sink<'_>) -> Done {
        let Some(arg) = call.args.iter().find(|a| a.value_type() == ValueType::Matrix) else {
            return Err(impossible("a range vector"));
        };
        let name = call.function.name;
        let mut function = self.window_fn(call)?;
        let keeps_name = matches!(name, "last_over_time" | "first_over_time");
        let wants_counter = matches!(name, "rate" | "increase");
        let mut produce = |sink: &mut Sink<'_>| {
            self.each_range_row(call, arg, &mut function, &mut |labels, row| {
                if wants_counter && row.values.iter().any(|v| !is_absent(*v)) {
                    self.hint_at_gauge(labels, arg.span);
                }
                sink(row)
            })
        };
        if keeps_name { produce(sink) } else { self.dropping_names(arg, Overlap::Refuse, sink, &mut produce) }
    }

    fn each_range_row(
        &self,
        call: &Call,
        arg: &Expr,
        function: &mut WindowFn<'_>,
        emit: &mut dyn FnMut(&Labels, Row) -> Done,
    ) -> Done {
        let windows = self.windows(arg)?;
        let uses_starts = self.uses_starts(call);
        let refused =
            if call.function.name == "double_exponential_smoothing" { self.refused(call)? } else { Vec::new() };
        let mut columns = Columns::default();
        let (budget, steps) = (&self.ctx.budget, self.grid.count);
        if let (Some(pure), ExprKind::Matrix(matrix)) = (pure_fn(call), &arg.unwrap_parens().kind) {
            let work = |series: &dyn SeriesReader, room: &mut Room| {
                let columns = &mut room.columns;
                if series.has_histograms() || (uses_starts && series.has_starts()) {
                    return Ok(Worked::Mixed);
                }
                read_floats(budget, series, columns)?;
                budget.charge(columns.len())?;
                let values = slid(budget, windows, columns, steps, &mut |_, window| pure(window))?;
                budget.release(columns.len());
                Ok(Worked::Values(values))
            };
            let selected = self.select_window(matrix)?;
            let cores = self.ctx.options.cores;
            return each_in_order(
                self.ctx.helpers,
                cores,
                (&selected, steps),
                &work,
                &mut |series, worked| match worked {
                    Worked::Values(None) => Ok(()),
                    Worked::Values(Some(values)) => emit(series.labels(), Row::new(series.labels().clone(), values)),
                    Worked::Mixed => self.visit_stored(matrix, series, &mut columns, &mut |series| {
                        let row = match (series.started.filter(|_| uses_starts), series.histograms) {
                            (Some(reader), _) => self.started_row(call, windows, &series, reader)?,
                            (None, Some(range)) => self.mixed_range_row(call, windows, &series, range, function)?,
                            (None, None) => slid(budget, windows, series.columns, steps, function)?
                                .map(|values| Row::new(series.labels.clone(), values)),
                        };
                        row.map_or(Ok(()), |row| emit(series.labels, row))
                    }),
                },
            );
        }
        self.each_range_series(arg, &mut |series| {
            if !refused.is_empty() {
                self.refuse(&refused, windows, &series)?;
            }
            if let Some(range) = series.histograms {
                let row = self.mixed_range_row(call, windows, &series, range, function)?;
                return row.map_or(Ok(()), |row| emit(series.labels, row));
            }
            let Some(values) = slid(budget, windows, series.columns, steps, function)? else { return Ok(()) };
            emit(series.labels, Row { drop_name: series.drop_name, ..Row::new(series.labels.clone(), values) })
        })
    }

    fn window_fn<'f>(&'f self, call: &'f Call) -> Result<WindowFn<'f>, QueryError> {
        if let Some(function) = pure_fn(call) {
            return Ok(Box::new(move |_, w| function(w)));
        }
        Ok(match call.function.name {
            "predict_linear" => {
                let (seconds, grid) = (self.scalar(&call.args[1])?, self.grid);
                Box::new(move |step, w| regression::predict_linear(w, grid.time(step), seconds[step]))
            }
            "quantile_over_time" => {
                let q = self.scalar(&call.args[0])?;
                let mut values = Vec::new();
                Box::new(move |step, w| {
                    // Only where there are samples to take it from.
                    self.warn_of_quantiles(&q[step..=step], call.args[0].span);
                    values.clear();
                    values.extend_from_slice(w.v);
                    Some(quantile(q[step], &mut values))
                })
            }
            "double_exponential_smoothing" => self.smoothing(call)?,
            _ => return Err(impossible("a known function")),
        })
    }

    fn smoothing<'f>(&'f self, call: &'f Call) -> Result<WindowFn<'f>, QueryError> {
        let (sf, tf) = (self.scalar(&call.args[1])?, self.scalar(&call.args[2])?);
        Ok(Box::new(move |step, w| regression::double_exponential_smoothing(w, sf[step], tf[step])))
    }

    /// For each step the factor that is out of bounds, in words; empty if none is.
    fn refused(&self, call: &Call) -> Result<Vec<Option<String>>, QueryError> {
        let refused = |at: usize, what: &str, short: &str| -> Result<Vec<Option<String>>, QueryError> {
            let is_good = |f: f64| !(f <= 0.0 || f >= 1.0);
            let words = |f: f64| format!("invalid {what} factor. Expected: 0 < {short} < 1, got: {f:.6}");
            Ok(self.scalar(&call.args[at])?.into_iter().map(|f| (!is_good(f)).then(|| words(f))).collect())
        };
        let (smoothing, trend) = (refused(1, "smoothing", "sf")?, refused(2, "trend", "tf")?);
        let either: Vec<_> = smoothing.into_iter().zip(trend).map(|(smoothing, trend)| smoothing.or(trend)).collect();
        Ok(if either.iter().any(Option::is_some) { either } else { Vec::new() })
    }

    /// Factors matter only where there are samples of any kind.
    fn refuse(&self, refused: &[Option<String>], windows: Windows<'_>, series: &RangeSeries<'_>) -> Done {
        let no_histograms = HistogramRange::default();
        let mut first = None;
        let range = series.histograms.unwrap_or(&no_histograms);
        let windows = Windows { counts: Counts::Nothing, ..windows };
        windows.slide_mixed(self.ctx, series.columns, range, &mut |step, _| {
            first = first.take().or(refused[step].as_ref());
        })?;
        first.map_or(Ok(()), |words| Err(QueryError::Execution(words.clone())))
    }

    pub(super) fn warn_of_quantiles(&self, quantiles: &[f64], span: Span) {
        for &q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            self.ctx.warn(&invalid_quantile(q), span);
        }
    }

    fn hint_at_gauge(&self, labels: &Labels, span: Span) {
        const COUNTER_SUFFIXES: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];
        let metric = labels.metric_name();
        if metric.is_empty() {
            return;
        }
        if self.ctx.options.type_and_unit_labels {
            let kind = labels.get(METRIC_TYPE).unwrap_or_default();
            if !matches!(kind, "counter" | "histogram") {
                let rule = r#"metric might not be a counter, __type__ label is not set to "counter" or "histogram""#;
                self.ctx.info(&format!("{rule}, got {}: {}", quote(kind), quote(metric)), span);
            }
        } else if !COUNTER_SUFFIXES.iter().any(|suffix| metric.ends_with(suffix)) {
            let rule = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket";
            self.ctx.info(&format!("{rule}: {}", quote(metric)), span);
        }
    }
}

/// The function, if it needs nothing but the window.
fn pure_fn(call: &Call) -> Option<PureFn> {
    if let Some(function) = super::extended::pure_fn(call) {
        return Some(function);
    }
    if let Some(summary) = over_time::find(call.function.name) {
        return Some(Box::new(move |w| Some(summary(w))));
    }
    Some(match call.function.name {
        "rate" => Box::new(|w| extrapolated(Kind::Rate, w)),
        "increase" => Box::new(|w| extrapolated(Kind::Increase, w)),
        "delta" => Box::new(|w| extrapolated(Kind::Delta, w)),
        "irate" => Box::new(|w| instant(true, w)),
        "idelta" => Box::new(|w| instant(false, w)),
        "deriv" => Box::new(regression::deriv),
        _ => return None,
    })
}

/// What the function makes of each window; `None` if it has a value for none of them.
fn slid(
    budget: &Budget<'_>,
    windows: Windows<'_>,
    columns: &Columns,
    steps: usize,
    function: &mut dyn FnMut(usize, Window<'_>) -> Option<f64>,
) -> Result<Option<Vec<f64>>, QueryError> {
    let mut values = vec![ABSENT; steps];
    let mut any = false;
    windows.slide(budget, columns, &mut |step, window| {
        if let Some(value) = function(step, window) {
            (values[step], any) = (value, true);
        }
    })?;
    Ok(any.then_some(values))
}
