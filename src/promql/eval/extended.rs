//! `anchored` and `smoothed`: selectors that know the value at the ends of their window.
//!
//! Here: how far beyond a window they look, and what the functions that may see such a window make of it.
//! Elsewhere: cutting windows (`window`), the extrapolation without modifier (`functions::rate`), the same of native
//! histograms (`functions::native_extended`).
//!
//! `anchored` takes the newest sample before each end, `smoothed` the line between the samples around it.

use storage::{Columns, is_stale_nan};

use super::Evaluator;
use super::grid::Grid;
use super::range_call::PureFn;
use super::row::ABSENT;
use super::window::Window;
use crate::promql::ast::{Call, Expr, ExprKind, Extension, VectorSelector};
use crate::promql::functions::over_time;
use crate::promql::functions::rate::Kind;
use crate::promql::types::QueryError;

/// How far beyond the ends of a window, or of a moment, samples count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reach {
    before_ms: i64,
    after_ms: i64,
}

impl Reach {
    /// Both ends of a time moved outwards.
    pub(super) fn widened(self, start: i64, end: i64) -> (i64, i64) {
        (start.saturating_sub(self.before_ms), end.saturating_add(self.after_ms))
    }
}

impl Evaluator<'_> {
    /// The reach of a selector's modifier: as far as the lookback.
    pub(super) fn reach_of(&self, selector: &VectorSelector) -> Reach {
        match selector.extension {
            None => Reach::default(),
            Some(Extension::Anchored) => Reach { before_ms: self.lookback_ms(), after_ms: 0 },
            Some(Extension::Smoothed) => Reach { before_ms: self.lookback_ms(), after_ms: self.lookback_ms() },
        }
    }

    /// The reach of range vector `arg`.
    pub(super) fn reach(&self, arg: &Expr) -> Reach {
        match &arg.unwrap_parens().kind {
            ExprKind::Matrix(matrix) => self.reach_of(&matrix.selector),
            _ => Reach::default(),
        }
    }
}

pub(super) fn is_extended(arg: &Expr) -> bool {
    extension_of(arg).is_some()
}

pub(super) fn extension_of(arg: &Expr) -> Option<Extension> {
    match &arg.unwrap_parens().kind {
        ExprKind::Matrix(matrix) => matrix.selector.extension,
        _ => None,
    }
}

/// Refuses functions that do not expect samples from beyond the window.
pub(super) fn check_extension(call: &Call) -> Result<(), QueryError> {
    let Some(extension) = call.args.iter().find_map(extension_of) else { return Ok(()) };
    let allowed: &[&str] = match extension {
        Extension::Anchored => &["changes", "delta", "increase", "rate", "resets"],
        Extension::Smoothed => &["delta", "increase", "rate"],
    };
    let (modifier, name) = (extension.as_str(), call.function.name);
    if allowed.contains(&name) {
        return Ok(());
    }
    let allowed = allowed.join(", ");
    let message = format!("{modifier} modifier can only be used with: {allowed} - not with {name}");
    Err(QueryError::Execution(message))
}

/// The function of a call whose window has a modifier.
pub(super) fn pure_fn(call: &Call) -> Option<PureFn> {
    let extension = call.args.iter().find_map(extension_of)?;
    let kind = match call.function.name {
        "rate" => Kind::Rate,
        "increase" => Kind::Increase,
        "delta" => Kind::Delta,
        name => {
            let summary = over_time::find(name)?;
            return Some(Box::new(move |w| from_anchor(w).map(summary)));
        }
    };
    Some(Box::new(move |w| difference(kind, extension, w)))
}

/// The window from its anchor on: the newest sample at or before its start. `None` if no sample lies in it.
fn from_anchor(w: Window<'_>) -> Option<Window<'_>> {
    let inside = w.t.partition_point(|&t| t <= w.start);
    if inside == w.t.len() {
        return None;
    }
    let anchor = inside.saturating_sub(1);
    Some(Window { t: &w.t[anchor..], v: &w.v[anchor..], ..w })
}

/// The samples that matter and the values at both ends.
struct Ends {
    first: usize,
    last: usize,
    left: f64,
    right: f64,
}

impl Ends {
    /// `None` if no sample lies in the window or, smoothed, before its end.
    fn of(extension: Extension, is_counter: bool, w: Window<'_>) -> Option<Ends> {
        let is_smoothed = extension == Extension::Smoothed;
        let mut last = w.t.len().checked_sub(1)?;
        let first = w.t[..last].partition_point(|&t| t <= w.start).saturating_sub(1);
        if is_smoothed {
            last = w.t[..last].partition_point(|&t| t < w.end);
        }
        if w.t[last] <= w.start || (is_smoothed && w.t[first] > w.end) {
            return None;
        }
        let left = match w.t.get(first + 1) {
            Some(_) if is_smoothed && w.t[first] < w.start => between(w, first, w.start, is_counter),
            _ => w.v[first],
        };
        let right = match last.checked_sub(1) {
            Some(before) if is_smoothed && w.t[last] > w.end => between(w, before, w.end, is_counter),
            _ => w.v[last],
        };
        Some(Ends { first, last, left, right })
    }

    /// The samples strictly between the ends of the window.
    fn inside(&self, w: Window<'_>) -> std::ops::Range<usize> {
        let from = self.first + usize::from(w.t[self.first] <= w.start);
        let until = self.last + usize::from(w.t[self.last] < w.end);
        from..until.max(from)
    }
}

/// The value at `t` on the line from sample `before` to the next one; a counter that was reset between starts at 0.
fn between(w: Window<'_>, before: usize, t: i64, is_counter: bool) -> f64 {
    let (from, to) = (w.v[before], w.v[before + 1]);
    let from = if is_counter && to < from { 0.0 } else { from };
    from + (to - from) * (t - w.t[before]) as f64 / (w.t[before + 1] - w.t[before]) as f64
}

/// Rate, increase or delta from end to end, nothing extrapolated.
fn difference(kind: Kind, extension: Extension, w: Window<'_>) -> Option<f64> {
    let is_counter = kind != Kind::Delta;
    let ends = Ends::of(extension, is_counter, w)?;
    let mut difference = ends.right - ends.left;
    if is_counter {
        let mut before = ends.left;
        let mut lost = 0.0;
        for v in w.v[ends.inside(w)].iter().copied().chain([ends.right]) {
            if v < before {
                lost += before;
            }
            before = v;
        }
        difference += lost;
    }
    if kind == Kind::Rate {
        difference /= (w.end - w.start) as f64 / 1000.0;
    }
    Some(difference)
}

/// The points of a range vector that is itself the answer: with a modifier there is one at each end.
pub(super) fn points_of(expr: &Expr, w: Window<'_>) -> Vec<(i64, f64)> {
    let samples = |range: std::ops::Range<usize>| range.map(|i| (w.t[i], w.v[i]));
    let Some(extension) = extension_of(expr) else { return samples(0..w.t.len()).collect() };
    let Some(ends) = Ends::of(extension, false, w) else { return Vec::new() };
    let ((start, left), (end, right)) = ((w.start, ends.left), (w.end, ends.right));
    std::iter::once((start, left)).chain(samples(ends.inside(w))).chain([(end, right)]).collect()
}

/// `selector smoothed`: the value on the line between the samples around each time, the last one where none follows;
/// `None` if there is nothing at all. Staleness markers do not count.
pub(super) fn smooth(columns: &mut Columns, reference: Grid, lookback_ms: i64) -> Option<Vec<f64>> {
    let kept: Vec<usize> = (0..columns.len()).filter(|&i| !is_stale_nan(columns.v[i])).collect();
    let t: Vec<i64> = kept.iter().map(|&i| columns.t[i]).collect();
    let v: Vec<f64> = kept.iter().map(|&i| columns.v[i]).collect();
    let mut any = false;
    let mut value_at = |at: i64| {
        let from = t.partition_point(|&t| t <= at.saturating_sub(lookback_ms));
        let until = t.partition_point(|&t| t <= at.saturating_add(lookback_ms));
        let next = from + t[from..until].partition_point(|&t| t < at);
        let value = if next < until && t[next] == at {
            v[next]
        } else if next == from {
            return ABSENT;
        } else if next == until {
            v[next - 1]
        } else {
            between(Window { t: &t, v: &v, rises: false, start: at, end: at }, next - 1, at, false)
        };
        any = true;
        value
    };
    let values = (0..reference.count).map(|step| value_at(reference.time(step))).collect();
    any.then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window<'s>(t: &'s [i64], v: &'s [f64], start: i64, end: i64) -> Window<'s> {
        Window { t, v, rises: false, start, end }
    }

    #[test]
    fn an_anchor_is_the_newest_sample_before_the_window() {
        let (t, v) = ([0, 10, 20, 30], [1.0, 2.0, 3.0, 5.0]);
        let of = |kind, start, end| difference(kind, Extension::Anchored, window(&t, &v, start, end));
        assert_eq!(of(Kind::Increase, 15, 30), Some(3.0));
        assert_eq!(of(Kind::Increase, 10, 30), Some(3.0));
        assert_eq!(of(Kind::Rate, 9, 30), Some(4.0 / 0.021));
        assert_eq!(of(Kind::Delta, 30, 40), None);
    }

    #[test]
    fn smoothed_ends_lie_on_the_line_between_their_neighbours() {
        let (t, v) = ([0, 10, 20], [0.0, 10.0, 5.0]);
        let of = |kind, start, end| difference(kind, Extension::Smoothed, window(&t, &v, start, end));
        assert_eq!(of(Kind::Increase, 5, 10), Some(5.0));
        // A reset: the counter starts from 0 between its samples.
        assert_eq!(of(Kind::Increase, 5, 15), Some(5.0 + 2.5));
        assert_eq!(of(Kind::Delta, 5, 15), Some(2.5));
        assert_eq!(of(Kind::Delta, 25, 35), None);
    }

    #[test]
    fn a_smoothed_selector_joins_its_samples_by_lines() {
        let mut columns = Columns { t: vec![0, 10, 15, 20], v: vec![0.0, 10.0, storage::stale_nan(), 30.0] };
        let found = smooth(&mut columns, Grid { start: 5, step: 10, count: 4 }, 12);
        assert!(found.is_some_and(|v| v[..3] == [5.0, 20.0, 30.0] && super::super::is_absent(v[3])));
        assert_eq!(smooth(&mut columns, Grid { start: -5, step: 0, count: 1 }, 4), None);
    }
}
