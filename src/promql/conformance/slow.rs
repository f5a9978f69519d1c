//! Each function of a range vector against a slow, obvious version: written from its definition, over every step, with no
//! window that slides.
//!
//! Elsewhere: native histograms, which are compared with instant queries (`histogram_ranges`) and scripts.

use std::time::Duration;

use storage::is_stale_nan;

use super::data::{INTERVAL_MS, Point, SAMPLES, START_MS, Series, data};
use super::properties::Stored;
use super::random::Random;
use crate::promql::{Engine, EngineOptions, ParseOptions, QueryControl, Value};

/// Samples of one window, oldest first, and the ends of the window.
struct Window {
    samples: Vec<(i64, f64)>,
    start: i64,
    end: i64,
}

type Definition = fn(&Window) -> Option<f64>;

/// The functions as they are called, `S` in place of the range vector.
const DEFINITIONS: [(&str, Definition); 27] = [
    ("rate(S)", |w| Some(increase(w, true)? / seconds(w.end - w.start))),
    ("increase(S)", |w| increase(w, true)),
    ("delta(S)", |w| increase(w, false)),
    ("irate(S)", |w| {
        let ((t0, v0), (t1, v1)) = last_two(w)?;
        Some(if v1 < v0 { v1 } else { v1 - v0 } / seconds(t1 - t0))
    }),
    ("idelta(S)", |w| last_two(w).map(|(before, last)| last.1 - before.1)),
    ("deriv(S)", |w| Some(line(w)?.0)),
    ("predict_linear(S, 90)", |w| {
        let (slope, at_start) = line(w)?;
        // The evaluation time: there is no offset.
        Some(at_start + slope * (seconds(w.end - w.samples[0].0) + 90.0))
    }),
    ("changes(S)", |w| {
        let is_change = |(a, b): (f64, f64)| a != b && !(a.is_nan() && b.is_nan());
        Some(pairs(w).into_iter().filter(|pair| is_change(*pair)).count() as f64)
    }),
    ("resets(S)", |w| Some(pairs(w).into_iter().filter(|(a, b)| b < a).count() as f64)),
    ("sum_over_time(S)", |w| Some(values(w).iter().sum())),
    ("avg_over_time(S)", |w| Some(mean(&values(w)))),
    ("min_over_time(S)", |w| Some(sorted(w).first().copied().unwrap_or(f64::NAN))),
    ("max_over_time(S)", |w| Some(sorted(w).last().copied().unwrap_or(f64::NAN))),
    ("count_over_time(S)", |w| Some(w.samples.len() as f64)),
    ("last_over_time(S)", |w| w.samples.last().map(|s| s.1)),
    ("first_over_time(S)", |w| w.samples.first().map(|s| s.1)),
    ("present_over_time(S)", |_| Some(1.0)),
    ("stdvar_over_time(S)", |w| Some(variance(w))),
    ("stddev_over_time(S)", |w| Some(variance(w).sqrt())),
    ("quantile_over_time(0.3, S)", |w| Some(quantile(0.3, &values(w)))),
    ("quantile_over_time(1.5, S)", |_| Some(f64::INFINITY)),
    ("mad_over_time(S)", |w| {
        let all = values(w);
        if all.iter().any(|v| v.is_nan()) {
            return Some(f64::NAN);
        }
        let median = quantile(0.5, &all);
        Some(quantile(0.5, &all.iter().map(|v| (v - median).abs()).collect::<Vec<_>>()))
    }),
    ("ts_of_first_over_time(S)", |w| w.samples.first().map(|s| seconds(s.0))),
    ("ts_of_last_over_time(S)", |w| w.samples.last().map(|s| seconds(s.0))),
    ("ts_of_min_over_time(S)", |w| latest(w, sorted(w).first().copied())),
    ("ts_of_max_over_time(S)", |w| latest(w, sorted(w).last().copied())),
    ("double_exponential_smoothing(S, 0.3, 0.6)", smoothing),
];

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn values(w: &Window) -> Vec<f64> {
    w.samples.iter().map(|s| s.1).collect()
}

fn pairs(w: &Window) -> Vec<(f64, f64)> {
    values(w).windows(2).map(|pair| (pair[0], pair[1])).collect()
}

type Sample = (i64, f64);

fn last_two(w: &Window) -> Option<(Sample, Sample)> {
    let [.., before, last] = w.samples[..] else { return None };
    Some((before, last))
}

/// Without NaN, from the smallest on.
fn sorted(w: &Window) -> Vec<f64> {
    let mut all: Vec<f64> = values(w).into_iter().filter(|v| !v.is_nan()).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// When the value was seen last; where all is NaN, when the window's last sample was.
fn latest(w: &Window, value: Option<f64>) -> Option<f64> {
    let found = w.samples.iter().rfind(|s| value.is_none_or(|v| s.1 == v));
    found.map(|s| seconds(s.0))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().map(|v| v / values.len() as f64).sum()
}

/// The mean of the squares of the distances from the mean.
fn variance(w: &Window) -> f64 {
    let all = values(w);
    let middle = mean(&all);
    mean(&all.iter().map(|v| (v - middle) * (v - middle)).collect::<Vec<_>>())
}

/// NaN is the smallest; between two ranks in proportion.
fn quantile(q: f64, values: &[f64]) -> f64 {
    let mut all = values.to_vec();
    all.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let rank = q * (all.len() - 1) as f64;
    let (below, above) = (all[rank.floor() as usize], all[rank.ceil() as usize]);
    let weight = rank - rank.floor();
    below * (1.0 - weight) + above * weight
}

/// Slope per second, and the value at the first sample: of all lines the one with the least squares.
fn line(w: &Window) -> Option<(f64, f64)> {
    let (first_t, first_v) = *w.samples.first()?;
    if w.samples.len() < 2 {
        return None;
    }
    if w.samples.iter().all(|s| s.1 == first_v) {
        return Some(if first_v.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first_v) });
    }
    let x: Vec<f64> = w.samples.iter().map(|s| seconds(s.0 - first_t)).collect();
    let (mean_x, mean_y) = (mean(&x), mean(&values(w)));
    let products = x.iter().zip(values(w)).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>();
    let slope = products / x.iter().map(|x| (x - mean_x) * (x - mean_x)).sum::<f64>();
    Some((slope, mean_y - slope * mean_x))
}

/// The growth between the samples, and as much beyond them as the ends of the window are near.
fn increase(w: &Window, is_counter: bool) -> Option<f64> {
    let [first, .., last] = w.samples[..] else { return None };
    // A counter that falls began anew at zero; what is not a number in between is no fall.
    let lost: f64 = pairs(w).into_iter().filter(|(a, b)| is_counter && b < a).map(|(a, _)| a).sum();
    let grown = last.1 - first.1 + lost;
    let covered = seconds(last.0 - first.0);
    let interval = covered / (w.samples.len() - 1) as f64;
    let beyond = |gap: f64| if gap < interval * 1.1 { gap } else { interval / 2.0 };
    let mut before = beyond(seconds(first.0 - w.start));
    if is_counter && grown > 0.0 && first.1 >= 0.0 {
        before = before.min(covered * first.1 / grown);
    }
    Some(grown * (covered + before + beyond(seconds(w.end - last.0))) / covered)
}

fn smoothing(w: &Window) -> Option<f64> {
    let all = values(w);
    let [first, second, ..] = all[..] else { return None };
    let (mut level, mut trend) = (first, second - first);
    for (i, v) in all[1..].iter().enumerate() {
        let next = 0.3 * v + 0.7 * (level + trend);
        // The trend of the first two is that between them.
        let moved = if i + 2 < all.len() { 0.6 * (next - level) + 0.4 * trend } else { trend };
        (level, trend) = (next, moved);
    }
    Some(level)
}

fn engine() -> Engine {
    Engine::new(EngineOptions { syntax: ParseOptions::all(), ..EngineOptions::default() })
}

/// Series of floats alone. The one with infinities and numbers at the ends of what a float can be is for functions that
/// do not add.
fn is_asked(series: &Series, call: &str) -> bool {
    let name = &series.labels.iter().find(|(name, _)| name == "__name__").expect("a name").1;
    let compares = ["min_", "max_", "count", "last_", "first_", "present", "changes", "resets", "ts_of"];
    let is_odd = matches!(name.as_str(), "spiky" | "late");
    let is_float = series.points.iter().all(|(_, point)| matches!(point, Point::Float(_)));
    is_float && (!is_odd || compares.iter().any(|word| call.starts_with(word)))
}

fn selector(series: &Series) -> String {
    let matchers: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name:?}={value:?}")).collect();
    format!("{{{}}}", matchers.join(", "))
}

#[test]
fn functions_of_ranges_are_what_their_definitions_say() {
    let (stored, engine, all) = (Stored::in_head(), engine(), data());
    let mut random = Random(31);
    let mut compared = 0;
    for (call, definition) in DEFINITIONS {
        for _ in 0..30 {
            let asked: Vec<&Series> = all.iter().filter(|series| is_asked(series, call)).collect();
            let series = asked[random.below(asked.len() as u64) as usize];
            let range = [15_000, 29_000, 60_000, 90_500, 300_000, 1_200_000][random.below(6) as usize];
            let step = [1000, 15_000, 61_500, 300_000][random.below(4) as usize];
            let start = START_MS - 300_000 + random.below((SAMPLES * INTERVAL_MS) as u64) as i64;
            let end = start + step * 40;
            let query = call.replace('S', &format!("{}[{range}ms]", selector(series)));
            let control = QueryControl::with_timeout(Duration::from_secs(60));
            let found = engine.range(&stored.db, &query, start, end, step, &control);
            let Value::Matrix(found) = found.unwrap_or_else(|e| panic!("{query}: {e}")).value else {
                panic!("{query} is no matrix");
            };
            assert!(found.len() <= 1, "{query}: {found:?}");
            for t in (start..=end).step_by(step as usize) {
                let w = window(series, t - range, t);
                let expected = if w.samples.is_empty() { None } else { definition(&w) };
                let found = found.first().and_then(|s| s.points.iter().find(|p| p.0 == t)).map(|p| p.1);
                let scale = w.samples.iter().map(|s| s.1.abs()).fold(0.0, f64::max);
                assert!(same(found, expected, scale), "{query} at {t}: {found:?}, by definition {expected:?}");
                compared += usize::from(found.is_some());
            }
        }
    }
    assert!(compared > 5000, "{compared} values compared");
}

fn window(series: &Series, start: i64, end: i64) -> Window {
    let float = |point: &Point| if let Point::Float(v) = point { *v } else { f64::NAN };
    let all = series.points.iter().map(|(t, point)| (*t, float(point)));
    let samples = all.filter(|(t, v)| *t > start && *t <= end && !is_stale_nan(*v)).collect();
    Window { samples, start, end }
}

/// But for rounding, which is that of the largest number that goes in.
fn same(a: Option<f64>, b: Option<f64>, scale: f64) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            let tolerance = 1e-9 * a.abs().max(b.abs()).max(scale);
            (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= tolerance
        }
        _ => a.is_none() && b.is_none(),
    }
}
