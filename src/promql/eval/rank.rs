//! Order among series: `topk`, `bottomk` and the sort functions.

use std::cmp::Ordering;

use storage::Labels;

use super::aggregate::Groups;
use super::annotate::ignored_in_aggregation;
use super::row::{ABSENT, Row, Sink};
use super::sort::sort_while;
use super::{Done, Evaluator, impossible};
use crate::promql::ast::{AggregateExpr, AggregateOp, Call, Span};
use crate::promql::types::QueryError;

impl Evaluator<'_> {
    /// `topk` and `bottomk`: the same series, each only at the steps where it is among the k of its group.
    pub(super) fn rank(&self, aggregate: &AggregateExpr, span: Span, sink: &mut Sink<'_>) -> Done {
        let param = aggregate.param.as_ref().ok_or_else(|| impossible("a number of series"))?;
        let k = self.scalar(param)?;
        // The input may fail although nothing of it is wanted.
        let mut rows = self.rows(&aggregate.expr)?;
        if k.iter().all(|&k| k < 1.0) {
            return Ok(());
        }
        check_k(&k)?;
        self.ignore_histograms(&mut rows, aggregate.op.as_str(), &k, span);
        let mut groups = Groups::new(aggregate);
        let mut members: Vec<Vec<usize>> = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let place = groups.place(&row.labels);
            if place == members.len() {
                members.push(Vec::new());
            }
            members[place].push(index);
        }
        let is_descending = aggregate.op == AggregateOp::Topk;
        if self.grid.count == 1 {
            return emit_best(rows, &members, k[0], is_descending, sink);
        }
        for group in &members {
            self.ctx.check()?;
            for (step, &k) in k.iter().enumerate() {
                self.check_now_and_then(step)?;
                let ranked = ranked(&rows, group, step, is_descending);
                for &index in ranked.iter().skip(count_of(k)) {
                    rows[index].values[step] = ABSENT;
                }
            }
        }
        rows.into_iter().try_for_each(|row| self.emit_if_any(row, sink))
    }

    /// Histograms have no order.
    fn ignore_histograms(&self, rows: &mut [Row], name: &str, k: &[f64], span: Span) {
        for row in rows.iter_mut().filter(|row| row.histograms.is_some()) {
            if row.each_histogram().any(|(step, _)| k[step] >= 1.0) {
                self.ctx.info(&ignored_in_aggregation(name), span);
            }
            row.histograms = None;
        }
    }

    /// Sorting shows in instant queries only: the answers of range queries are sorted by labels.
    pub(super) fn sort(&self, call: &Call, span: Span, sink: &mut Sink<'_>) -> Done {
        let mut rows = self.rows(&call.args[0])?;
        if matches!(call.function.name, "sort" | "sort_desc") {
            rows.iter_mut().for_each(|row| row.histograms = None);
        }
        if self.grid.count > 1 {
            let message = "sort is ineffective for range queries since results are always ordered by labels";
            self.ctx.warn(message, span);
            return rows.into_iter().try_for_each(sink);
        }
        let check = || self.ctx.check();
        match call.function.name {
            "sort" => sort_while(&mut rows, &|a, b| compare(a.values[0], b.values[0], false), &check)?,
            "sort_desc" => sort_while(&mut rows, &|a, b| compare(a.values[0], b.values[0], true), &check)?,
            name => {
                let labels: Vec<String> = call.args[1..].iter().map(|a| self.string(a)).collect::<Result<_, _>>()?;
                sort_while(&mut rows, &|a, b| compare_labels(&labels, &a.labels, &b.labels), &check)?;
                if name == "sort_by_label_desc" {
                    rows.reverse();
                }
            }
        }
        rows.into_iter().try_for_each(sink)
    }
}

pub(super) fn check_k(k: &[f64]) -> Result<(), QueryError> {
    let refuse = |message: String| Err(QueryError::Execution(message));
    if k.iter().any(|k| k.is_nan()) {
        return refuse("Parameter value is NaN".to_owned());
    }
    if let Some(k) = k.iter().find(|&&k| k <= i64::MIN as f64) {
        return refuse(format!("Scalar value {} underflows int64", super::annotate::short_float(*k)));
    }
    if let Some(k) = k.iter().find(|&&k| k >= i64::MAX as f64) {
        return refuse(format!("Scalar value {} overflows int64", super::annotate::short_float(*k)));
    }
    Ok(())
}

pub(super) fn count_of(k: f64) -> usize {
    // Negative numbers become 0.
    k as usize
}

/// Members of the group that are present at this step, best first; NaN last.
fn ranked(rows: &[Row], group: &[usize], step: usize, is_descending: bool) -> Vec<usize> {
    let mut present: Vec<usize> = group.iter().copied().filter(|&i| rows[i].is_present(step)).collect();
    present.sort_by(|&a, &b| compare(rows[a].values[step], rows[b].values[step], is_descending));
    present
}

/// An instant query shows the groups one after the other, each in its order.
fn emit_best(rows: Vec<Row>, members: &[Vec<usize>], k: f64, is_descending: bool, sink: &mut Sink<'_>) -> Done {
    let order: Vec<usize> =
        members.iter().flat_map(|group| ranked(&rows, group, 0, is_descending).into_iter().take(count_of(k))).collect();
    let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
    order.into_iter().filter_map(|index| rows[index].take()).try_for_each(sink)
}

fn compare(a: f64, b: f64, is_descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if is_descending { order.reverse() } else { order }
        }
        (a_nan, b_nan) => a_nan.cmp(&b_nan),
    }
}

/// By the listed labels in natural order (`a2` before `a10`), then by all labels.
fn compare_labels(labels: &[String], a: &Labels, b: &Labels) -> Ordering {
    let differing = labels.iter().map(|l| natural(a.get(l).unwrap_or(""), b.get(l).unwrap_or("")));
    differing.into_iter().find(|o| o.is_ne()).unwrap_or_else(|| a.cmp(b))
}

/// Runs of digits as numbers, what is between them as text; what has fewer runs comes first.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    loop {
        let ((a_run, a_tail), (b_run, b_tail)) = (take_run(a_rest), take_run(b_rest));
        if a_run.is_empty() || b_run.is_empty() {
            // `01` and `1` are the same number; some order there must be.
            return a_run.len().cmp(&b_run.len()).then_with(|| a.cmp(b));
        }
        let order = match (a_run.parse::<i64>(), b_run.parse::<i64>()) {
            (Ok(a), Ok(b)) if is_digit(a_run) && is_digit(b_run) => a.cmp(&b),
            _ => a_run.cmp(b_run),
        };
        if order.is_ne() {
            return order;
        }
        (a_rest, b_rest) = (a_tail, b_tail);
    }
}

/// The digits, or what is not digits, at the start; and the rest.
fn take_run(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_ascii_digit() != is_digit(text)).unwrap_or(text.len());
    text.split_at(end)
}

fn is_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}
