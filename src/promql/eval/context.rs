//! What all parts of one query share: where series come from, its limits, its annotations.
//!
//! Here: selecting (each selector once), the budget of samples, the checks for timeout and cancellation.
//! Elsewhere: wording of annotations (`annotate`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rustc_hash::FxHashMap;
use storage::{Matcher, TimeRange};

use super::annotate::Annotations;
use super::grid::Grid;
use super::stats_only::StatsOnly;
use crate::promql::ast::{At, Expr, Span};
use crate::promql::functions::histogram::Repair;
use crate::promql::parse::position;
use crate::promql::source::{SeriesReader, Source, SourceError};
use crate::promql::types::{EngineOptions, QueryControl, QueryError};

/// Prometheus' words for a query over its budget of samples.
pub(crate) const TOO_MANY_SAMPLES: &str = "query processing would load too many samples into memory in query execution";

pub(super) type Selected = Rc<Vec<Box<dyn SeriesReader>>>;

/// One query under evaluation.
pub(crate) struct Context<'a> {
    source: &'a dyn Source,
    control: &'a QueryControl,
    pub(super) options: &'a EngineOptions,
    query: &'a str,
    /// The outermost grid; `@ start()` is its start.
    pub(super) outer: Grid,
    /// `@ end()`: as asked for, not cut to the grid.
    pub(super) end: i64,
    /// Selectors whose native histograms need no buckets.
    pub(super) stats_only: StatsOnly,
    samples_held: Cell<u64>,
    annotations: RefCell<Annotations>,
    /// By the address of the selector's matchers and the range of time.
    selected: RefCell<FxHashMap<(usize, i64, i64), Selected>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        source: &'a dyn Source,
        control: &'a QueryControl,
        options: &'a EngineOptions,
        query: &'a str,
        outer: Grid,
        end: i64,
    ) -> Self {
        Context {
            source,
            control,
            options,
            query,
            outer,
            end,
            stats_only: StatsOnly::default(),
            samples_held: Cell::new(0),
            annotations: RefCell::default(),
            selected: RefCell::default(),
        }
    }

    /// The same, for this expression. It must stay where it is.
    pub(crate) fn looking_at(self, expr: &Expr) -> Self {
        Context { stats_only: StatsOnly::of(expr), ..self }
    }

    /// Warnings and infos, in that order.
    pub(crate) fn into_annotations(self) -> (Vec<String>, Vec<String>) {
        self.annotations.into_inner().finish()
    }

    /// Ends the query if its time is over or its asker is gone.
    pub(super) fn check(&self) -> Result<(), QueryError> {
        if self.control.canceled.load(Ordering::Relaxed) {
            return Err(QueryError::Canceled);
        }
        if Instant::now() >= self.control.deadline {
            return Err(QueryError::Timeout);
        }
        Ok(())
    }

    /// Counts samples that the query now holds.
    pub(super) fn charge(&self, samples: usize) -> Result<(), QueryError> {
        let held = self.samples_held.get().saturating_add(samples as u64);
        self.samples_held.set(held);
        if held > self.options.samples_max {
            return Err(QueryError::Execution(TOO_MANY_SAMPLES.to_owned()));
        }
        Ok(())
    }

    /// Counts samples that the query no longer holds.
    pub(super) fn release(&self, samples: usize) {
        self.samples_held.set(self.samples_held.get().saturating_sub(samples as u64));
    }

    /// The series of `matchers` in `range`, asked for once in a query.
    pub(super) fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Selected, QueryError> {
        let key = (matchers.as_ptr() as usize, range.min_t, range.max_t);
        if let Some(found) = self.selected.borrow().get(&key) {
            return Ok(found.clone());
        }
        let series = self.select_anew(matchers, range)?;
        self.selected.borrow_mut().insert(key, series.clone());
        Ok(series)
    }

    /// As [`Self::select`] for matchers that do not live as long as the query and so cannot be known by their address.
    pub(super) fn select_anew(&self, matchers: &[Matcher], range: TimeRange) -> Result<Selected, QueryError> {
        self.check()?;
        let found = self.source.select(matchers, range).map_err(|e| expanding(&e))?;
        for warning in found.warnings {
            self.annotations.borrow_mut().warn(warning, None);
        }
        Ok(Rc::new(found.series))
    }

    /// What the query says at `span`.
    pub(super) fn text(&self, span: Span) -> &str {
        self.query.get(span.start..span.end).unwrap_or("")
    }

    /// The time of an `@`, if there is one.
    pub(super) fn at_time(&self, at: Option<At>) -> Option<i64> {
        at.map(|at| match at {
            At::Time(t) => t,
            At::Start => self.outer.start,
            At::End => self.end,
        })
    }

    /// Adds a warning about the expression at `span`.
    pub(super) fn warn(&self, message: &str, span: Span) {
        let at = position(self.query, span.start);
        self.annotations.borrow_mut().warn(format!("PromQL warning: {message}"), Some(at));
    }

    /// Notes that buckets of a histogram had to be made monotonic at time `t`.
    pub(super) fn repaired(&self, for_metric: &str, repair: Repair, t: i64, span: Span) {
        self.annotations.borrow_mut().repaired(for_metric, repair, t, position(self.query, span.start));
    }

    /// Adds an info about the expression at `span`.
    pub(super) fn info(&self, message: &str, span: Span) {
        let at = position(self.query, span.start);
        self.annotations.borrow_mut().info(format!("PromQL info: {message}"), Some(at));
    }
}

/// A failure while series are read.
pub(super) fn expanding(error: &SourceError) -> QueryError {
    QueryError::Execution(format!("expanding series: {error}"))
}
