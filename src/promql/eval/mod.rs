//! The evaluator: a tree and a grid of times to rows.
//!
//! Here: which kind of node goes where, and the few nodes that need no file of their own.
//! Elsewhere: reading series (`selector`, `window`, with modifiers `extended`), `aggregate` with `rank` and `limit`,
//! `binary` with `matching` and `fill`, function calls (`call`, `range_call`, `buckets`, `quantiles`, `relabel`, `info`),
//! native histograms where they need more (`histogram_selector`, `histogram_fold`, `mixed_range`, `mixed_binary`), what a
//! query shares (`context`) and may use (`budget`), counting samples (`counting`), dropping names (`names`).
//!
//! Columnar: a node yields one [`Row`] for each series with a value for every step, never one vector for each step.
//! Rows are handed on one at a time where the node allows, so that an aggregation holds its groups and not its input.

mod aggregate;
mod annotate;
mod binary;
mod buckets;
mod budget;
mod call;
mod common;
mod context;
mod count_values;
mod counting;
mod extended;
mod fill;
mod fold;
mod grid;
mod histogram_fold;
mod histogram_selector;
mod info;
mod limit;
mod look_back;
mod matching;
mod mixed_binary;
mod mixed_range;
mod names;
mod parallel;
mod quantiles;
mod range_call;
mod rank;
mod relabel;
mod row;
mod scalar;
mod selector;
mod sort;
mod started;
mod stats_only;
mod tally;
mod window;

pub(super) use annotate::short_float;
pub(super) use budget::{too_large, too_many_samples};
pub(super) use context::Context;
pub(super) use grid::Grid;
pub(super) use parallel::Helpers;
pub(super) use row::{Row, is_absent};
pub(super) use sort::sort_while;
pub(super) use window::Window;

use super::ast::{Expr, ExprKind};
use super::types::QueryError;
use common::{Keeping, Kept};
use counting::Counting;
use row::Sink;

/// Evaluates expressions on one grid of times; subqueries get an evaluator of their own.
pub(super) struct Evaluator<'a> {
    ctx: &'a Context<'a>,
    grid: Grid,
    counting: Counting,
}

type Done = Result<(), QueryError>;

impl<'a> Evaluator<'a> {
    pub(super) fn new(ctx: &'a Context<'a>, grid: Grid) -> Self {
        Evaluator { ctx, grid, counting: Counting::of_query() }
    }

    /// For what stands inside a subquery.
    fn inner(ctx: &'a Context<'a>, grid: Grid, counting: Counting) -> Self {
        Evaluator { ctx, grid, counting }
    }

    /// The rows of an instant vector expression with names dropped where the language drops them.
    pub(super) fn finished_rows(&self, expr: &Expr) -> Result<Vec<Row>, QueryError> {
        let rows = self.rows(expr)?;
        if !self.ctx.options.delayed_name_removal {
            return Ok(rows);
        }
        names::finish(rows)
    }

    /// Looks for the query's end at some of the steps of a long loop.
    fn check_now_and_then(&self, step: usize) -> Done {
        const STEPS_BETWEEN_CHECKS: usize = 16;
        if step.is_multiple_of(STEPS_BETWEEN_CHECKS) { self.ctx.check() } else { Ok(()) }
    }

    /// The text of a string expression.
    pub(super) fn string(&self, expr: &Expr) -> Result<String, QueryError> {
        match &expr.unwrap_parens().kind {
            ExprKind::String(text) => Ok(text.clone()),
            _ => Err(impossible("a string")),
        }
    }

    /// All rows of an instant vector expression.
    fn rows(&self, expr: &Expr) -> Result<Vec<Row>, QueryError> {
        let mut rows = Vec::new();
        self.each_row(expr, &mut |row| {
            self.ctx.budget.charge_row(&row)?;
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Hands every row of an instant vector expression to `sink`, each as soon as it is ready.
    fn each_row(&self, expr: &Expr, sink: &mut Sink<'_>) -> Done {
        // Where some steps do not count, what has been counted for others is not what they would count.
        match self.ctx.common.number(expr).filter(|_| !self.counting.has_gaps()) {
            None => self.each_own_row(expr, sink),
            Some(number) => self.each_common_row(number, expr, sink),
        }
    }

    /// Rows of an expression that the query has several times.
    fn each_common_row(&self, number: usize, expr: &Expr, sink: &mut Sink<'_>) -> Done {
        let numbers = &self.ctx.budget().control().numbers;
        let place = (number, self.grid, self.counting.is_looked_at());
        if let Some(kept) = self.ctx.common.kept(place) {
            numbers.saw_samples(kept.samples);
            return kept.rows.iter().try_for_each(|row| sink(row.clone()));
        }
        let (told, samples) = (self.ctx.told(), numbers.samples());
        let mut keeping = Some(Keeping::new());
        self.each_own_row(expr, &mut |row| {
            Keeping::add(&mut keeping, &row);
            sink(row)
        })?;
        if let Some(keeping) = keeping.filter(|_| self.ctx.told() == told) {
            let kept = Kept { rows: keeping.into_rows(), samples: numbers.samples() - samples };
            kept.rows.iter().try_for_each(|row| self.ctx.budget().charge_row(row))?;
            self.ctx.common.keep(place, kept);
        }
        Ok(())
    }

    fn each_own_row(&self, expr: &Expr, sink: &mut Sink<'_>) -> Done {
        self.ctx.check()?;
        match &expr.kind {
            ExprKind::Paren(inner) => self.each_row(inner, sink),
            ExprKind::Selector(selector) => self.selector_rows(selector, expr.span, sink),
            ExprKind::Unary(unary) if !unary.is_minus => self.each_row(&unary.expr, sink),
            ExprKind::Unary(unary) => self.negate(&unary.expr, sink),
            ExprKind::Binary(binary) => self.binary(binary, expr.span, sink),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, expr.span, sink),
            ExprKind::Call(call) => self.call(call, expr.span, sink),
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Matrix(_) | ExprKind::Subquery(_) => {
                Err(impossible("an instant vector"))
            }
        }
    }
}

/// The type check lets no other kind of expression come here; a message is better than a panic if it ever does.
fn impossible(wanted: &str) -> QueryError {
    QueryError::Execution(format!("the query was type-checked wrongly: {wanted} was expected"))
}
