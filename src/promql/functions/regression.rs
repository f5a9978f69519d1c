//! Straight lines through a window: `deriv`, `predict_linear`, and double exponential smoothing.

use super::sum::add;
use crate::promql::eval::Window;

/// `(slope per second, value at intercept_t)` of the least-squares line.
fn line(w: Window<'_>, intercept_t: i64) -> (f64, f64) {
    let first = w.v[0];
    if w.v[1..].iter().all(|&v| v == first) {
        // No rounding may make a constant rise.
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let (mut x_sum, mut y_sum, mut xy_sum, mut x2_sum) = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0));
    for (&t, &y) in w.t.iter().zip(w.v) {
        let x = t.saturating_sub(intercept_t) as f64 / 1000.0;
        x_sum = add(x, x_sum.0, x_sum.1);
        y_sum = add(y, y_sum.0, y_sum.1);
        xy_sum = add(x * y, xy_sum.0, xy_sum.1);
        x2_sum = add(x * x, x2_sum.0, x2_sum.1);
    }
    let n = w.v.len() as f64;
    let total = |(sum, compensation): (f64, f64)| sum + compensation;
    let (x, y, xy, x2) = (total(x_sum), total(y_sum), total(xy_sum), total(x2_sum));
    let slope = (xy - x * y / n) / (x2 - x * x / n);
    (slope, y / n - slope * x / n)
}

/// The slope per second; `None` for fewer than two samples.
pub(crate) fn deriv(w: Window<'_>) -> Option<f64> {
    // Times are taken from the first sample, so that they stay small and exact.
    (w.t.len() > 1).then(|| line(w, w.t[0]).0)
}

/// The line's value `seconds` after the evaluation time `t`; `None` for fewer than two samples.
pub(crate) fn predict_linear(w: Window<'_>, t: i64, seconds: f64) -> Option<f64> {
    (w.t.len() > 1).then(|| {
        let (slope, intercept) = line(w, t);
        slope * seconds + intercept
    })
}

/// Holt-Winters' smoothing with smoothing factor `sf` and trend factor `tf`; `None` for fewer than two samples.
pub(crate) fn double_exponential_smoothing(w: Window<'_>, sf: f64, tf: f64) -> Option<f64> {
    if w.v.len() < 2 {
        return None;
    }
    let (mut before, mut smoothed) = (0.0, w.v[0]);
    let mut trend = w.v[1] - w.v[0];
    for (i, &v) in w.v.iter().enumerate().skip(1) {
        if i > 1 {
            trend = tf * (smoothed - before) + (1.0 - tf) * trend;
        }
        before = smoothed;
        smoothed = sf * v + (1.0 - sf) * (smoothed + trend);
    }
    Some(smoothed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_line() {
        let w = Window { t: &[0, 1000, 2000], v: &[1.0, 3.0, 5.0], rises: false, start: -1, end: 2000 };
        assert_eq!(deriv(w), Some(2.0));
        assert_eq!(predict_linear(w, 2000, 10.0), Some(25.0));
        let flat = Window { t: &[0, 7], v: &[0.1, 0.1], rises: false, start: -1, end: 7 };
        assert_eq!(deriv(flat), Some(0.0));
        assert_eq!(deriv(Window { t: &[0], v: &[1.0], rises: false, start: -1, end: 7 }), None);
    }
}
