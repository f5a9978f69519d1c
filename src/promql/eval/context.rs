//! What all parts of one query share: where series come from, its limits, its annotations.
//!
//! Here: selecting (each selector once). Elsewhere: limits, timeout and cancellation (`budget`), wording of annotations
//! (`annotate`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rustc_hash::FxHashMap;
use storage::{Matcher, TimeRange};

use super::annotate::Annotations;
use super::budget::Budget;
use super::common::Common;
use super::grid::Grid;
use super::parallel::{self, Helpers};
use super::stats_only::StatsOnly;
use crate::promql::ast::{At, Expr, Span};
use crate::promql::functions::histogram::Repair;
use crate::promql::parse::position;
use crate::promql::source::{SeriesReader, Source, SourceError};
use crate::promql::types::{EngineOptions, QueryControl, QueryError};

pub(super) type Selected = Rc<Vec<Box<dyn SeriesReader>>>;

/// One query under evaluation.
pub(crate) struct Context<'a> {
    source: &'a dyn Source,
    /// What it may use, and its end.
    pub(super) budget: Budget<'a>,
    pub(super) options: &'a EngineOptions,
    /// Threads for what is worth more than one.
    pub(super) helpers: &'a Helpers,
    query: &'a str,
    /// The outermost grid; `@ start()` is its start.
    pub(super) outer: Grid,
    /// `@ end()`: as asked for, not cut to the grid.
    pub(super) end: i64,
    /// Selectors whose native histograms need no buckets.
    pub(super) stats_only: StatsOnly,
    /// Subexpressions that are evaluated once.
    pub(super) common: Common,
    /// How often something about a place in the query was to be said.
    told: Cell<u64>,
    annotations: RefCell<Annotations>,
    /// By the address of the selector's matchers and the range of time.
    selected: RefCell<FxHashMap<(usize, i64, i64), Selected>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        source: &'a dyn Source,
        control: &'a QueryControl,
        (options, helpers): (&'a EngineOptions, &'a Helpers),
        query: &'a str,
        outer: Grid,
        end: i64,
    ) -> Self {
        Context {
            source,
            budget: Budget::new(control, options),
            options,
            helpers,
            query,
            outer,
            end,
            stats_only: StatsOnly::default(),
            common: Common::default(),
            told: Cell::new(0),
            annotations: RefCell::default(),
            selected: RefCell::default(),
        }
    }

    /// The same, for this expression. It must stay where it is.
    pub(crate) fn looking_at(self, expr: &Expr) -> Self {
        let stats_only = StatsOnly::of(expr);
        // Equal texts are evaluated differently where only one of them stands inside a function of count and sum; and who
        // asks for samples at each step wants to hear of both.
        let is_plain = stats_only.is_empty() && !self.budget.control().numbers.has_steps();
        let common = if is_plain { Common::of(expr) } else { Common::default() };
        Context { stats_only, common, ..self }
    }

    /// Warnings and infos, in that order.
    pub(crate) fn into_annotations(self) -> (Vec<String>, Vec<String>) {
        let selected = self.selected.into_inner().into_values();
        for series in selected.filter_map(|series| Rc::try_unwrap(series).ok()) {
            parallel::give_back(self.helpers, self.options.cores, series);
        }
        self.annotations.into_inner().finish()
    }

    /// What the query may use.
    pub(in crate::promql) fn budget(&self) -> &Budget<'a> {
        &self.budget
    }

    /// Ends the query if its time is over or its asker is gone.
    pub(super) fn check(&self) -> Result<(), QueryError> {
        self.budget.check()
    }

    /// Counts samples that the query now holds.
    pub(super) fn charge(&self, samples: usize) -> Result<(), QueryError> {
        self.budget.charge(samples)
    }

    /// Counts samples that the query no longer holds.
    pub(super) fn release(&self, samples: usize) {
        self.budget.release(samples);
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
        let left = self.budget.series_left();
        let budget = &self.budget;
        let go_on = |found: usize| found as u64 <= left && budget.check().is_ok();
        let spare = self.options.cores.saturating_sub(1);
        let taken = self.helpers.take(spare, spare);
        let found = self.source.select_while(matchers, range, 1 + taken.count(), &go_on);
        drop(taken);
        let Some(found) = found.map_err(|e| expanding(&e))? else {
            self.check()?;
            return Err(self.budget.too_many_series());
        };
        self.budget.charge_series(&found.series)?;
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

    /// Rises with everything that is said about a place in the query.
    pub(super) fn told(&self) -> u64 {
        self.told.get()
    }

    /// Adds a warning about the expression at `span`.
    pub(super) fn warn(&self, message: &str, span: Span) {
        self.told.set(self.told.get() + 1);
        let at = position(self.query, span.start);
        self.annotations.borrow_mut().warn(format!("PromQL warning: {message}"), Some(at));
    }

    /// Notes that buckets of a histogram had to be made monotonic at time `t`.
    pub(super) fn repaired(&self, for_metric: &str, repair: Repair, t: i64, span: Span) {
        self.told.set(self.told.get() + 1);
        self.annotations.borrow_mut().repaired(for_metric, repair, t, position(self.query, span.start));
    }

    /// Adds an info about the expression at `span`.
    pub(super) fn info(&self, message: &str, span: Span) {
        self.told.set(self.told.get() + 1);
        let at = position(self.query, span.start);
        self.annotations.borrow_mut().info(format!("PromQL info: {message}"), Some(at));
    }
}

/// A failure while series are read.
pub(super) fn expanding(error: &SourceError) -> QueryError {
    QueryError::Execution(format!("expanding series: {error}"))
}
