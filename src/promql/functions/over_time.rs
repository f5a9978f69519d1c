//! Functions that summarize a window without looking at its ends.

use super::quantile::quantile;
use super::sum::{Mean, add, finite_sum};
use crate::promql::eval::Window;

/// A function from a window (never empty) to a number.
pub(crate) type Summary = fn(Window<'_>) -> f64;

/// The summary of this name.
pub(crate) fn find(name: &str) -> Option<Summary> {
    Some(match name {
        "sum_over_time" => sum,
        "avg_over_time" => avg,
        "count_over_time" => |w| w.v.len() as f64,
        "min_over_time" => |w| w.v[extreme(w.v, |v, best| v < best || best.is_nan())],
        "max_over_time" => |w| w.v[extreme(w.v, |v, best| v > best || best.is_nan())],
        "last_over_time" => |w| w.v[w.v.len() - 1],
        "first_over_time" => |w| w.v[0],
        "present_over_time" | "absent_over_time" => |_| 1.0,
        "stdvar_over_time" => variance,
        "stddev_over_time" => |w| variance(w).sqrt(),
        "changes" => |w| w.v.windows(2).filter(|p| p[0] != p[1] && !(p[0].is_nan() && p[1].is_nan())).count() as f64,
        "resets" => |w| if w.rises { 0.0 } else { resets(w.v) },
        "mad_over_time" => median_deviation,
        "ts_of_first_over_time" => |w| seconds(w.t[0]),
        "ts_of_last_over_time" => |w| seconds(w.t[w.t.len() - 1]),
        "ts_of_min_over_time" => |w| seconds(w.t[extreme(w.v, |v, best| v <= best || best.is_nan())]),
        "ts_of_max_over_time" => |w| seconds(w.t[extreme(w.v, |v, best| v >= best || best.is_nan())]),
        _ => return None,
    })
}

fn resets(values: &[f64]) -> f64 {
    values.windows(2).filter(|p| p[1] < p[0]).count() as f64
}

fn seconds(t: i64) -> f64 {
    t as f64 / 1000.0
}

fn sum(w: Window<'_>) -> f64 {
    if let Some((sum, compensation)) = finite_sum(0.0, w.v) {
        return sum + compensation;
    }
    let (sum, compensation) = w.v.iter().fold((0.0, 0.0), |(sum, c), &v| add(v, sum, c));
    if sum.is_infinite() { sum } else { sum + compensation }
}

fn avg(w: Window<'_>) -> f64 {
    if let Some((sum, compensation)) = finite_sum(w.v[0], &w.v[1..]) {
        return Mean::from_parts(sum, compensation, w.v.len() as f64).value();
    }
    let mut mean = Mean::of(w.v[0]);
    w.v[1..].iter().for_each(|&v| mean.push(v));
    mean.value()
}

/// Place of the value that no later one beats.
fn extreme(values: &[f64], beats: fn(f64, f64) -> bool) -> usize {
    let mut best = 0;
    for (i, &v) in values.iter().enumerate() {
        if beats(v, values[best]) {
            best = i;
        }
    }
    best
}

/// Welford's algorithm, compensated.
fn variance(w: Window<'_>) -> f64 {
    let (mut count, mut mean, mut aux) = (0.0, (0.0, 0.0), (0.0, 0.0));
    for &v in w.v {
        count += 1.0;
        let delta = v - (mean.0 + mean.1);
        mean = add(delta / count, mean.0, mean.1);
        aux = add(delta * (v - (mean.0 + mean.1)), aux.0, aux.1);
    }
    (aux.0 + aux.1) / count
}

fn median_deviation(w: Window<'_>) -> f64 {
    if w.v.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let mut values = w.v.to_vec();
    let median = quantile(0.5, &mut values);
    values.iter_mut().for_each(|v| *v = (*v - median).abs());
    quantile(0.5, &mut values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, values: &[f64], expected: f64) {
        let t: Vec<i64> = (0..values.len() as i64).map(|i| i * 1000).collect();
        let found = find(name).unwrap()(Window { t: &t, v: values, rises: false, start: -1, end: 10_000 });
        assert!(found == expected || (found.is_nan() && expected.is_nan()), "{name} of {values:?}: {found}");
    }

    #[test]
    fn summarizes() {
        check("sum_over_time", &[1.0, 2.0], 3.0);
        check("avg_over_time", &[1.0, 2.0], 1.5);
        check("count_over_time", &[1.0, f64::NAN], 2.0);
        check("min_over_time", &[f64::NAN, 2.0, 1.0], 1.0);
        check("max_over_time", &[f64::NAN, f64::NAN], f64::NAN);
        check("last_over_time", &[1.0, 2.0], 2.0);
        check("first_over_time", &[1.0, 2.0], 1.0);
        check("stdvar_over_time", &[1.0, 3.0], 1.0);
        check("stddev_over_time", &[1.0, 5.0], 2.0);
        check("changes", &[1.0, 1.0, f64::NAN, f64::NAN, 2.0], 2.0);
        check("resets", &[3.0, 1.0, 2.0, 0.0], 2.0);
        check("mad_over_time", &[1.0, 2.0, 6.0], 1.0);
        check("ts_of_max_over_time", &[1.0, 3.0, 3.0], 2.0);
    }
}
