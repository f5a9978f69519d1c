//! The engine: one query in, one answer out.
//!
//! Here: parsing, setting up an evaluation, and shaping rows into the answer's value.
//! Elsewhere: the evaluation itself (`eval`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ast::{Expr, ValueType};
use super::duration::{QueryTimes, resolved};
use super::eval::{Context, Evaluator, Grid, Helpers, Row, is_absent, sort_while, too_large, too_many_samples};
use super::numbers::Phase;
use super::parse::parse_with;
use super::source::Source;
use super::types::{EngineOptions, MatrixSeries, QueryControl, QueryError, QueryResult, Value, VectorSample};

/// The evaluator. Stateless but for its options and the threads that help; any number of queries at once.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    options: EngineOptions,
    helpers: Arc<Helpers>,
}

impl Engine {
    /// An engine with these limits.
    pub fn new(options: EngineOptions) -> Self {
        Engine { options, helpers: Arc::default() }
    }

    /// The limits and defaults it was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// An engine with other options; the threads that help are shared with this one.
    pub fn with_options(&self, options: EngineOptions) -> Self {
        Engine { options, helpers: self.helpers.clone() }
    }

    /// The same engine with another lookback.
    pub fn with_lookback(&self, lookback: Duration) -> Self {
        self.with_options(EngineOptions { lookback, ..self.options.clone() })
    }

    /// Parses `query` with the extensions that this engine allows.
    pub fn parse(&self, query: &str) -> Result<Expr, QueryError> {
        parse_with(query, self.options.syntax).map_err(|e| QueryError::Parse(e.to_string()))
    }

    /// The same, counted as a part of a query's time.
    pub fn prepare(&self, query: &str, control: &QueryControl) -> Result<Expr, QueryError> {
        let _timer = Timer::new(control, Phase::Prepare);
        self.parse(query)
    }

    /// Refuses an answer that was put together from several and is larger than one may be.
    pub fn check_result(&self, result: &QueryResult) -> Result<(), QueryError> {
        let max = self.options.result_bytes_max;
        if result.bytes() > max { Err(too_large(max)) } else { Ok(()) }
    }

    /// Evaluates `query` at `t` (milliseconds).
    pub fn instant(
        &self,
        source: &dyn Source,
        query: &str,
        t: i64,
        control: &QueryControl,
    ) -> Result<QueryResult, QueryError> {
        self.instant_expr(source, &self.prepare(query, control)?, query, t, control)
    }

    /// Evaluates an already parsed query at `t`; `query` is its text, for positions in warnings.
    pub fn instant_expr(
        &self,
        source: &dyn Source,
        expr: &Expr,
        query: &str,
        t: i64,
        control: &QueryControl,
    ) -> Result<QueryResult, QueryError> {
        let _timer = Timer::new(control, Phase::Inner);
        // No distance between steps: there is one, and `step()` is then 0.
        let grid = Grid { start: t, step: 0, count: 1 };
        let expr = &*resolved(expr, QueryTimes { step: 0, range: 0 })?;
        let context = Context::new(source, control, (&self.options, &self.helpers), query, grid, t).looking_at(expr);
        control.numbers.expect_steps(grid.count);
        let evaluator = Evaluator::new(&context, grid);
        let value = match expr.value_type() {
            ValueType::Scalar => Value::Scalar { t, v: evaluator.scalar(expr)?[0] },
            ValueType::String => Value::String { t, s: evaluator.string(expr)? },
            ValueType::Vector => {
                let rows = evaluator.finished_rows(expr)?;
                context.budget().check_result(&rows)?;
                Value::Vector(vector(rows, t))
            }
            ValueType::Matrix => Value::Matrix(sorted(evaluator.matrix(expr)?, control)?),
        };
        let (warnings, infos) = context.into_annotations();
        Ok(QueryResult { value, warnings, infos })
    }

    /// Evaluates `query` at `start`, `start + step`, … up to `end` (milliseconds, inclusive; `step > 0`).
    pub fn range(
        &self,
        source: &dyn Source,
        query: &str,
        start: i64,
        end: i64,
        step: i64,
        control: &QueryControl,
    ) -> Result<QueryResult, QueryError> {
        self.range_expr(source, &self.prepare(query, control)?, query, (start, end, step), control)
    }

    /// Evaluates an already parsed query at `(start, end, step)`; `query` is its text, for positions in warnings.
    pub fn range_expr(
        &self,
        source: &dyn Source,
        expr: &Expr,
        query: &str,
        (start, end, step): (i64, i64, i64),
        control: &QueryControl,
    ) -> Result<QueryResult, QueryError> {
        let found = expr.value_type();
        if !matches!(found, ValueType::Scalar | ValueType::Vector) {
            let found = found.documented();
            let rule = "must be Scalar or instant Vector";
            return Err(QueryError::Parse(format!("invalid expression type \"{found}\" for range query, {rule}")));
        }
        if step <= 0 {
            return Err(QueryError::Parse("zero or negative query resolution step widths are not accepted".to_owned()));
        }
        let Some(grid) = Grid::spanning(start, end, step) else {
            return Ok(QueryResult { value: Value::Matrix(Vec::new()), warnings: Vec::new(), infos: Vec::new() });
        };
        if grid.count as u64 > self.options.samples_max {
            return Err(too_many_samples(self.options.samples_max));
        }
        let timer = Timer::new(control, Phase::Inner);
        let expr = &*resolved(expr, QueryTimes { step, range: end.saturating_sub(start) })?;
        let context = Context::new(source, control, (&self.options, &self.helpers), query, grid, end).looking_at(expr);
        control.numbers.expect_steps(grid.count);
        let evaluator = Evaluator::new(&context, grid);
        let rows = match found {
            ValueType::Scalar => vec![Row::new(storage::Labels::empty(), evaluator.scalar(expr)?)],
            _ => evaluator.finished_rows(expr)?,
        };
        context.budget().check_result(&rows)?;
        let series = rows.into_iter().map(|row| series(row, grid)).filter(|s| !s.is_empty()).collect();
        let (warnings, infos) = context.into_annotations();
        drop(timer);
        Ok(QueryResult { value: Value::Matrix(sorted(series, control)?), warnings, infos })
    }
}

fn vector(rows: Vec<Row>, t: i64) -> Vec<VectorSample> {
    let sample = |row: Row| match row.histogram(0).cloned() {
        Some(histogram) => Some(VectorSample { labels: row.labels, t, v: 0.0, histogram: Some(histogram) }),
        None if is_absent(row.values[0]) => None,
        None => Some(VectorSample { v: row.values[0], labels: row.labels, t, histogram: None }),
    };
    rows.into_iter().filter_map(sample).collect()
}

fn series(row: Row, grid: Grid) -> MatrixSeries {
    let points = row.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)).map(|(i, v)| (grid.time(i), *v));
    let points = points.collect();
    let histograms = row.each_histogram().map(|(i, histogram)| (grid.time(i), histogram.clone())).collect();
    MatrixSeries { points, histograms, labels: row.labels }
}

fn sorted(mut series: Vec<MatrixSeries>, control: &QueryControl) -> Result<Vec<MatrixSeries>, QueryError> {
    let _timer = Timer::new(control, Phase::Sort);
    sort_while(&mut series, &|a, b| a.labels.cmp(&b.labels), &|| control.check())?;
    Ok(series)
}

/// Tells how long a phase took when it is dropped, whatever its end was.
struct Timer<'a> {
    control: &'a QueryControl,
    phase: Phase,
    started: Instant,
}

impl<'a> Timer<'a> {
    fn new(control: &'a QueryControl, phase: Phase) -> Self {
        Timer { control, phase, started: Instant::now() }
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        self.control.numbers.took(self.phase, self.started.elapsed());
    }
}

#[cfg(test)]
mod tests;
