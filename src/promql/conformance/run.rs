//! Running a script and comparing what comes out.
//!
//! An instant case is tried as it stands, as the middle of a range query, and, where its value cannot depend on the
//! evaluation time, with `@` put on every selector and evaluated at other times.

use std::collections::BTreeMap;
use std::time::Duration;

use storage::{Batch, Db, Durability, Labels, Options, is_stale_nan};
use tempfile::TempDir;

use super::histograms::{custom_histograms, fits, stored_hint};
use super::placement::Placement;
use super::script::{Command, Eval, Expected, Loaded, Text, Times, parse_script};
use super::series::Point;
use crate::promql::ast::{At, Expr, ExprKind};
use crate::promql::histogram::FloatHistogram;
use crate::promql::{Engine, EngineOptions, MatrixSeries, QueryControl, QueryError, QueryResult, Value, VectorSample};

/// What became of one evaluation.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) line: usize,
    pub(super) query: String,
    /// Why it does not pass.
    pub(super) failure: Option<String>,
}

type Checked = Result<(), String>;

/// Runs a whole script on engines with these options, its samples where `placement` says.
pub(super) fn run_script(text: &str, options: &EngineOptions, placement: Placement) -> Vec<Outcome> {
    let mut commands = parse_script(text);
    let mut store = Store::new(options, placement.storage_options(&commands));
    let mut outcomes = Vec::new();
    while !commands.is_empty() {
        match commands.remove(0) {
            Command::Clear => store = Store::new(options, placement.storage_options(&commands)),
            Command::Load { step_ms, with_nhcb, series } => {
                store.load(step_ms, with_nhcb, series);
                placement.apply(&store.db);
            }
            Command::Eval(eval) => {
                let failure = store.check(&eval).err();
                outcomes.push(Outcome { line: eval.line, query: eval.query, failure });
            }
        }
    }
    outcomes
}

struct Store {
    db: Db,
    engine: Engine,
    _dir: TempDir,
}

/// Late enough that nothing loaded lies in the future.
pub(super) const NOW: i64 = 100 * 365 * 86_400_000;

/// In memory where the machine offers it: a run opens hundreds of databases.
pub(super) fn temp_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

impl Store {
    fn new(options: &EngineOptions, storage: Options) -> Self {
        let dir = temp_dir();
        let db = Db::open(dir.path(), storage).expect("an empty directory opens");
        Store { db, engine: Engine::new(options.clone()), _dir: dir }
    }

    fn load(&self, step_ms: i64, with_nhcb: bool, loaded: Vec<Loaded>) {
        // The last line of a series wins.
        let starts: BTreeMap<Labels, Vec<Option<i64>>> =
            loaded.iter().map(|l| (l.labels.clone(), l.starts.clone())).collect();
        let series: BTreeMap<Labels, Vec<Point>> = loaded.into_iter().map(|l| (l.labels, l.points)).collect();
        let converted = if with_nhcb { custom_histograms(&series) } else { BTreeMap::new() };
        let start_of = |labels: &Labels, k: usize| {
            let offset = starts.get(labels).and_then(|own| own.get(k).copied().flatten());
            offset.map_or(0, |offset| step_ms * k as i64 + offset)
        };
        let mut batch = Batch::new();
        let mut push = |labels: &Labels, k: usize, before: &mut Option<FloatHistogram>, histogram: &FloatHistogram| {
            let hint = stored_hint(before.as_ref(), histogram);
            let stored = histogram.clone().with_hint(hint);
            batch.push_histogram(labels.clone(), step_ms * k as i64, stored.to_stored());
            batch.set_histogram_start(start_of(labels, k));
            *before = Some(stored);
        };
        let mut floats = Batch::new();
        for (labels, points) in &series {
            let mut before = None;
            for (k, point) in points.iter().enumerate() {
                match point {
                    Point::Missing => {}
                    Point::Float(v) => {
                        floats.push(labels.clone(), step_ms * k as i64, *v);
                        floats.set_start(start_of(labels, k));
                        before = None;
                    }
                    Point::Histogram(written) => push(labels, k, &mut before, &written.histogram),
                }
            }
        }
        for (labels, histograms) in &converted {
            let mut before = None;
            histograms.iter().for_each(|(k, histogram)| push(labels, *k, &mut before, histogram));
        }
        for mut batch in [floats, batch] {
            let done = self.db.append(&mut batch, NOW, Durability::Written).expect("loading works");
            assert!(done.refused_histograms.is_empty(), "{:?}", done.refused_histograms);
        }
    }

    fn check(&self, eval: &Eval) -> Checked {
        if let Some(unreadable) = &eval.unreadable {
            return Err(format!("the script: {unreadable}"));
        }
        let expr = self.engine.parse(&eval.query).map_err(|e| e.to_string())?;
        match eval.times {
            Times::Range { start, end, step } => {
                let found = self.range(&expr, eval, (start, end, step));
                check_result(eval, found, |found| compare_matrix(&eval.expected.series, found, start, step))
            }
            Times::Instant(t) => self.check_instant(eval, &expr, t),
        }
    }

    fn check_instant(&self, eval: &Eval, expr: &Expr, t: i64) -> Checked {
        if let Some((start, end, step)) = eval.expected.range_vector {
            let found = self.instant(expr, eval, end);
            return check_result(eval, found, |found| compare_matrix(&eval.expected.series, found, start, step));
        }
        self.check_instant_at(eval, expr, t)?;
        if depends_on_time(expr) {
            return Ok(());
        }
        let mut pinned = expr.clone();
        pin(&mut pinned, t);
        let times = if t == 0 { vec![-1000, 0, 1000] } else { vec![-10 * t, 0, t / 5, t, 10 * t] };
        for at in times {
            self.check_instant_at(eval, &pinned, at).map_err(|e| format!("with @ {t} at {at}: {e}"))?;
        }
        Ok(())
    }

    fn check_instant_at(&self, eval: &Eval, expr: &Expr, t: i64) -> Checked {
        let expected = &eval.expected;
        check_result(eval, self.instant(expr, eval, t), |found| compare_instant(expected, found))?;
        if expected.fail.is_some() || expected.ordered || expected.string.is_some() || asks_for_query(&eval.query) {
            return Ok(());
        }
        // Its annotations may be about the other steps.
        let found = self.range(expr, eval, (t - 60_000, t + 60_000, 60_000)).map_err(|e| e.to_string());
        found
            .and_then(|found| middle_of(found.value, t, expected.scalar.is_some()))
            .and_then(|middle| compare_instant(expected, middle))
            .map_err(|e| format!("inside a range query: {e}"))
    }

    fn instant(&self, expr: &Expr, eval: &Eval, t: i64) -> Result<QueryResult, QueryError> {
        let control = QueryControl::with_timeout(Duration::from_secs(60));
        self.engine.instant_expr(&self.db, expr, &eval.query, t, &control)
    }

    fn range(&self, expr: &Expr, eval: &Eval, times: (i64, i64, i64)) -> Result<QueryResult, QueryError> {
        let control = QueryControl::with_timeout(Duration::from_secs(60));
        self.engine.range_expr(&self.db, expr, &eval.query, times, &control)
    }
}

fn check_result(eval: &Eval, found: Result<QueryResult, QueryError>, compare: impl Fn(Value) -> Checked) -> Checked {
    match (&eval.expected.fail, found) {
        (Some(text), Err(e)) if text.fits(&e.to_string()) => Ok(()),
        (Some(text), Err(e)) => Err(format!("fails with {:?} instead of {text:?}", e.to_string())),
        (Some(_), Ok(found)) => Err(format!("does not fail but yields {:?}", found.value)),
        (None, Err(e)) => Err(format!("fails: {e}")),
        (None, Ok(found)) => {
            check_annotations(&eval.expected, &found)?;
            compare(found.value)
        }
    }
}

fn check_annotations(expected: &Expected, found: &QueryResult) -> Checked {
    let kinds = [
        ("warning", &expected.warnings, expected.no_warning, &found.warnings),
        ("info", &expected.infos, expected.no_info, &found.infos),
    ];
    for (kind, texts, none, found) in kinds {
        if none && !found.is_empty() {
            return Err(format!("unexpected {kind}: {found:?}"));
        }
        if texts.is_empty() {
            continue;
        }
        if let Some(missing) = texts.iter().find(|t: &&Text| !found.iter().any(|f| t.fits(f))) {
            return Err(format!("no {kind} like {missing:?} in {found:?}"));
        }
        if let Some(extra) = found.iter().find(|f| !texts.iter().any(|t| t.fits(f))) {
            return Err(format!("unexpected {kind}: {extra}"));
        }
    }
    Ok(())
}

/// The answer at `t` of a range query, as an instant query would give it.
fn middle_of(value: Value, t: i64, is_scalar: bool) -> Result<Value, String> {
    let Value::Matrix(series) = value else { return Err("a range query yields no matrix".to_owned()) };
    let samples: Vec<VectorSample> = series
        .into_iter()
        .filter_map(|s| {
            let histogram = s.histograms.iter().find(|p| p.0 == t).map(|p| p.1.clone());
            let v = s.points.iter().find(|p| p.0 == t).map(|p| p.1);
            (v.is_some() || histogram.is_some()).then(|| VectorSample {
                labels: s.labels,
                t,
                v: v.unwrap_or(0.0),
                histogram,
            })
        })
        .collect();
    match samples.first() {
        Some(sample) if is_scalar => Ok(Value::Scalar { t, v: sample.v }),
        _ => Ok(Value::Vector(samples)),
    }
}

fn compare_instant(expected: &Expected, found: Value) -> Checked {
    match found {
        Value::String { s, .. } => match &expected.string {
            Some(text) if *text == s => Ok(()),
            other => Err(format!("yields the string {s:?} instead of {other:?}")),
        },
        Value::Scalar { v, .. } => match expected.scalar {
            Some(expected) if same(expected, v) => Ok(()),
            other => Err(format!("yields the number {v} instead of {other:?}")),
        },
        Value::Vector(samples) => compare_vector(expected, samples),
        Value::Matrix(series) => Err(format!("yields a matrix of {} series", series.len())),
    }
}

fn compare_vector(expected: &Expected, samples: Vec<VectorSample>) -> Checked {
    if expected.scalar.is_some() || expected.string.is_some() {
        return Err("yields a vector".to_owned());
    }
    let value = |s: &VectorSample| s.histogram.as_ref().map_or_else(|| s.v.to_string(), |h| shown_histogram(h));
    let shown = || samples.iter().map(|s| format!("{} {}", s.labels, value(s))).collect::<Vec<_>>().join("; ");
    if samples.len() != expected.series.len() {
        return Err(format!("yields {} series instead of {}: {}", samples.len(), expected.series.len(), shown()));
    }
    for (i, (labels, points)) in expected.series.iter().enumerate() {
        let place = samples.iter().position(|s| s.labels == *labels);
        let Some(place) = place else { return Err(format!("lacks {labels}: {}", shown())) };
        if expected.ordered && place != i {
            return Err(format!("{labels} comes at place {place} instead of {i}"));
        }
        let found = &samples[place];
        match (points.first(), &found.histogram) {
            (Some(Point::Float(v)), None) if same(*v, found.v) => {}
            (Some(Point::Histogram(written)), Some(histogram)) if fits(written, histogram) => {}
            (other, _) => return Err(format!("{labels} is {} instead of {}", value(found), shown_point(other))),
        }
    }
    Ok(())
}

fn compare_matrix(expected: &[(Labels, Vec<Point>)], found: Value, start: i64, step: i64) -> Checked {
    let Value::Matrix(found) = found else { return Err("yields no matrix".to_owned()) };
    if found.windows(2).any(|pair| pair[0].labels >= pair[1].labels) {
        return Err("series are not sorted by labels".to_owned());
    }
    // A number for a scalar expression is written as a series without labels.
    let expected: Vec<_> = expected.iter().filter(|(_, p)| p.iter().any(|p| *p != Point::Missing)).collect();
    let shown = || found.iter().map(|s| format!("{} {:?}", s.labels, s.points)).collect::<Vec<_>>().join("; ");
    if found.len() != expected.len() {
        return Err(format!("yields {} series instead of {}: {}", found.len(), expected.len(), shown()));
    }
    for (labels, points) in expected {
        let series =
            found.iter().find(|s| s.labels == *labels).ok_or_else(|| format!("lacks {labels}: {}", shown()))?;
        compare_points(series, points, start, step)?;
    }
    Ok(())
}

fn compare_points(series: &MatrixSeries, points: &[Point], start: i64, step: i64) -> Checked {
    let expected = points.iter().enumerate().filter(|(_, p)| **p != Point::Missing);
    let (mut floats, mut histograms) = (series.points.iter().peekable(), series.histograms.iter().peekable());
    for (k, point) in expected {
        let t = start + step * k as i64;
        let float = floats.next_if(|(found_t, _)| *found_t <= t);
        let histogram = histograms.next_if(|(found_t, _)| *found_t <= t);
        match (float, histogram, point) {
            (Some(&(found_t, v)), None, Point::Float(expected)) if found_t == t && same(*expected, v) => {}
            (None, Some((found_t, found)), Point::Histogram(written)) if *found_t == t && fits(written, found) => {}
            _ => {
                let histogram = histogram.map(|(t, h)| (t, shown_histogram(h)));
                let (labels, expected) = (&series.labels, shown_point(Some(point)));
                return Err(format!("{labels} at {t} is {float:?} {histogram:?} instead of {expected}"));
            }
        }
    }
    match (floats.next(), histograms.next()) {
        (None, None) => Ok(()),
        extra => Err(format!("{} has {extra:?} too much", series.labels)),
    }
}

fn shown_histogram(histogram: &FloatHistogram) -> String {
    let FloatHistogram { schema, hint, zero_threshold, custom_values, .. } = histogram;
    format!("{histogram} schema {schema}, {hint:?}, zero {zero_threshold}, bounds {custom_values:?}")
}

fn shown_point(point: Option<&Point>) -> String {
    match point {
        Some(Point::Histogram(written)) => shown_histogram(&written.histogram),
        other => format!("{other:?}"),
    }
}

pub(super) fn same(a: f64, b: f64) -> bool {
    const TOLERANCE: f64 = 1e-6;
    if is_stale_nan(a) || is_stale_nan(b) {
        return is_stale_nan(a) && is_stale_nan(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn calls(expr: &Expr, names: &[&str]) -> bool {
    let is_one = matches!(&expr.kind, ExprKind::Call(call) if names.contains(&call.function.name));
    is_one || expr.children().into_iter().any(|child| calls(child, names))
}

/// In durations, too, so the text is searched, as Prometheus' own runner does.
fn asks_for_query(query: &str) -> bool {
    ["start()", "end()", "range()", "step()"].iter().any(|call| query.contains(call))
}

fn depends_on_time(expr: &Expr) -> bool {
    const NAMES: [&str; 15] = [
        "hour",
        "minute",
        "month",
        "year",
        "day_of_week",
        "day_of_month",
        "day_of_year",
        "days_in_month",
        "time",
        "timestamp",
        "predict_linear",
        "start",
        "end",
        "step",
        "range",
    ];
    calls(expr, &NAMES)
}

/// Puts `@ t` on every selector and subquery that has none; what lies inside a subquery that has one is left alone.
fn pin(expr: &mut Expr, t: i64) {
    let at = Some(At::Time(t));
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Paren(inner) => pin(inner, t),
        ExprKind::Unary(unary) => pin(&mut unary.expr, t),
        ExprKind::Binary(b) => {
            pin(&mut b.lhs, t);
            pin(&mut b.rhs, t);
        }
        ExprKind::Aggregate(a) => {
            pin(&mut a.expr, t);
            a.param.iter_mut().for_each(|param| pin(param, t));
        }
        ExprKind::Call(call) => call.args.iter_mut().for_each(|arg| pin(arg, t)),
        ExprKind::Selector(selector) => selector.at = selector.at.or(at),
        ExprKind::Matrix(matrix) => matrix.selector.at = matrix.selector.at.or(at),
        ExprKind::Subquery(subquery) => subquery.at = subquery.at.or(at),
    }
}
