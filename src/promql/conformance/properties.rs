//! What holds of every answer, whatever the query: asked of random queries over the awkward samples of the differential
//! test.
//!
//! Here: a range query is many instant queries, and in two parts the whole; where samples lie, in which order
//! series were made and how many cores evaluate changes nothing. Elsewhere: what the right answer is (`slow`, the scripts, the differential test).

use std::fmt::Write as _;
use std::time::Duration;

use storage::{Batch, Db, Durability, Labels, Options};
use tempfile::TempDir;

use super::data::{INTERVAL_MS, Point, SAMPLES, START_MS, Series, data};
use super::generate::{Generator, Language, Times};
use super::run::temp_dir;
use crate::promql::histogram::FloatHistogram;
use crate::promql::{Engine, EngineOptions, MatrixSeries, ParseOptions, QueryControl, QueryResult, Value};

const END_MS: i64 = START_MS + SAMPLES * INTERVAL_MS;

/// A database with the awkward samples. Its directory goes with it.
pub(super) struct Stored {
    pub(super) db: Db,
    _dir: TempDir,
}

impl Stored {
    fn new(series: &[Series], options: Options) -> Self {
        let dir = temp_dir();
        let db = Db::open(dir.path(), options).expect("an empty directory opens");
        for series in series {
            let (mut floats, mut histograms) = (Batch::new(), Batch::new());
            let pairs = series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let labels = Labels::from_pairs(pairs).expect("a label set");
            for (t, point) in &series.points {
                match point {
                    Point::Float(v) => floats.push(labels.clone(), *t, *v),
                    Point::Histogram(histogram) => histograms.push_histogram(labels.clone(), *t, histogram.clone()),
                }
            }
            for mut batch in [floats, histograms] {
                let done = db.append(&mut batch, END_MS, Durability::Written).expect("loading works");
                assert!(done.refused.is_empty() && done.refused_histograms.is_empty(), "{done:?}");
            }
        }
        Stored { db, _dir: dir }
    }

    pub(super) fn in_head() -> Self {
        Self::new(&data(), Options::default())
    }

    /// In blocks of ten minutes, those of one hour merged; up to `until` of the data's length, in tenths.
    fn in_blocks(until: i64) -> Self {
        let stored = Self::new(&data(), Options { block_ms: 600_000, ..Options::default() });
        stored.db.maintain(START_MS + (END_MS - START_MS) * until / 10 + 300_000).expect("cutting works");
        let stats = stored.db.stats();
        assert!(stats.blocks > 0 && (stats.head_samples == 0) == (until > 12), "{stats:?}");
        stored
    }

    /// The answer in words, annotations and errors included. Order counts where it is promised: of a matrix.
    fn answer(&self, engine: &Engine, query: &str, times: Times) -> String {
        self.answer_of(engine, query, times, &QueryControl::with_timeout(Duration::from_secs(60)))
    }

    fn answer_of(&self, engine: &Engine, query: &str, times: Times, control: &QueryControl) -> String {
        let result = match times {
            Times::Instant(t) => engine.instant(&self.db, query, t, control),
            Times::Range { start, end, step } => engine.range(&self.db, query, start, end, step, control),
        };
        result.map_or_else(|e| e.to_string(), |result| shown(&result))
    }
}

/// Floats by their bits, but for those of NaN.
fn bits(v: f64) -> u64 {
    if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() }
}

fn shown(result: &QueryResult) -> String {
    let mut text = String::new();
    match &result.value {
        Value::Matrix(series) => series.iter().for_each(|series| show_series(series, &mut text)),
        Value::Vector(samples) => {
            let show = |s: &crate::promql::VectorSample| format!("{} {:x} {:?}\n", s.labels, bits(s.v), s.histogram);
            samples.iter().for_each(|sample| text += &show(sample));
        }
        Value::Scalar { v, .. } => text += &format!("{:x}\n", bits(*v)),
        Value::String { s, .. } => text += s,
    }
    format!("{text}{:?} {:?}", result.warnings, result.infos)
}

fn show_series(series: &MatrixSeries, text: &mut String) {
    let points: Vec<String> = series.points.iter().map(|(t, v)| format!("{t}:{:x}", bits(*v))).collect();
    let _ = writeln!(text, "{} {points:?} {:?}", series.labels, series.histograms);
}

fn languages() -> [(Engine, Language); 2] {
    let all = EngineOptions { syntax: ParseOptions::all(), ..EngineOptions::default() };
    let experimental = ParseOptions { experimental_functions: true, ..ParseOptions::default() };
    let stable = EngineOptions { syntax: experimental, ..EngineOptions::default() };
    [(Engine::new(stable), Language::Prometheus35), (Engine::new(all), Language::Extended)]
}

/// Puts `count` random queries in each language to `check`; `CAIRN_SEED` and `CAIRN_QUERIES` choose others.
fn each_query(seed: u64, count: u64, mut check: impl FnMut(&Engine, &str, Times)) {
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (seed, count) = (number("CAIRN_SEED", seed), number("CAIRN_QUERIES", count));
    println!("seed {seed}, {count} queries");
    for (engine, language) in languages() {
        let mut generator = Generator::new(seed, language);
        for _ in 0..count {
            let (query, times) = (generator.query(), generator.times());
            check(&engine, &query, times);
        }
    }
}

#[test]
fn answers_do_not_depend_on_where_samples_lie() {
    let head = Stored::in_head();
    let others = [Stored::in_blocks(13), Stored::in_blocks(5)];
    each_query(21, 300, |engine, query, times| {
        let expected = head.answer(engine, query, times);
        for other in &others {
            assert_eq!(other.answer(engine, query, times), expected, "{query} {times:?}");
        }
    });
}

#[test]
fn answers_do_not_depend_on_how_many_cores_evaluate() {
    let stored = Stored::in_head();
    each_query(25, 300, |engine, query, times| {
        let with = |cores: usize| Engine::new(EngineOptions { cores, ..engine.options().clone() });
        let expected = stored.answer(&with(1), query, times);
        for cores in [2, 5] {
            assert_eq!(stored.answer(&with(cores), query, times), expected, "{query} {times:?} on {cores} cores");
        }
    });
}

#[test]
fn counting_a_selector_is_counting_its_rows() {
    let stored = Stored::in_head();
    let times = [
        Times::Instant(END_MS - 10_000),
        Times::Range { start: START_MS, end: END_MS, step: 7 * INTERVAL_MS },
        Times::Range { start: START_MS, end: START_MS + 90_000, step: 30_000 },
    ];
    let selectors =
        [r#"{__name__!=""}"#, "native", "mixed", r#"{job="web"} offset 10m"#, "{__name__=~\".+\"} @ end()", "nothing"];
    let mut answers = 0;
    for (selector, times) in selectors.iter().flat_map(|selector| times.map(|times| (selector, times))) {
        for head in [
            "count",
            "group",
            "count by (job)",
            "group by (instance)",
            "count without (instance)",
            "count by (__name__)",
        ] {
            // The sign does nothing but keep the selector from being counted at once.
            let ask = |cores: usize, sign: &str| {
                let engine = Engine::new(EngineOptions { cores, ..EngineOptions::default() });
                let control = QueryControl::with_timeout(Duration::from_secs(60));
                let answer = stored.answer_of(&engine, &format!("{head} ({sign}{selector})"), times, &control);
                format!("{answer} {:?}", control.numbers.samples())
            };
            let expected = ask(1, "+");
            for cores in [1, 2, 5] {
                assert_eq!(ask(cores, ""), expected, "{head} ({selector}) {times:?} on {cores} cores");
            }
            answers += usize::from(expected.contains('{'));
        }
    }
    assert!(answers > 60, "{answers} are not empty");
}

#[test]
fn answers_do_not_depend_on_the_order_in_which_series_were_made() {
    let mut reversed = data();
    reversed.reverse();
    let (head, other) = (Stored::in_head(), Stored::new(&reversed, Options::default()));
    each_query(22, 300, |engine, query, times| {
        let expected = head.answer(engine, query, times);
        assert_eq!(other.answer(engine, query, times), expected, "{query} {times:?}");
    });
}

#[test]
fn a_range_query_in_two_parts_is_the_whole() {
    let stored = Stored::in_head();
    let mut compared = 0;
    each_query(23, 500, |engine, query, times| {
        let Times::Range { start, end, step } = times else { return };
        let steps = (end - start) / step;
        // These mean the bounds of the query, which are not the same.
        if steps < 1 || ["start()", "end()", "range()", "step()"].iter().any(|bound| query.contains(bound)) {
            return;
        }
        let control = QueryControl::with_timeout(Duration::from_secs(60));
        let ask = |start: i64, end: i64| {
            let value = engine.range(&stored.db, query, start, end, step, &control).map(|result| result.value);
            value.map(|value| match value {
                Value::Matrix(series) => series,
                other => panic!("{query} {times:?} is {other:?}"),
            })
        };
        let middle = start + step * (steps / 2);
        let parts = (ask(start, middle), ask(middle + step, end));
        let (whole, parts) = match (ask(start, end), parts) {
            (Ok(whole), (Ok(first), Ok(second))) => (whole, joined(first, second)),
            // What fails at one step fails in one part; a duplicate may also be one of two steps.
            (Err(_), _) => return,
            (Ok(_), parts) => panic!("{query} {times:?} fails only in parts: {parts:?}"),
        };
        let text = |series: &[MatrixSeries]| {
            let mut text = String::new();
            series.iter().for_each(|series| show_series(series, &mut text));
            text
        };
        assert_eq!(text(&parts), text(&whole), "{query} {times:?}");
        compared += whole.len();
    });
    assert!(compared > 500, "{compared} series compared");
}

#[test]
fn a_range_query_is_many_instant_queries() {
    let stored = Stored::in_head();
    let mut compared = 0;
    each_query(24, 500, |engine, query, times| {
        let Times::Range { start, end, step } = times else { return };
        // These mean the bounds of the query, which are not the same; those put an instant vector in an order of its own,
        // which sums show in their last bit.
        let others = ["start()", "end()", "range()", "step()", "topk", "bottomk", "sort"];
        if others.iter().any(|word| query.contains(word)) {
            return;
        }
        let control = QueryControl::with_timeout(Duration::from_secs(60));
        let whole = engine.range(&stored.db, query, start, end, step, &control).map(|r| r.value);
        let Ok(Value::Matrix(whole)) = whole else { return };
        for t in (start..=end).step_by(step as usize).take(5) {
            let mut expected = match engine.instant(&stored.db, query, t, &control).map(|r| r.value) {
                Ok(Value::Vector(samples)) => samples.iter().map(|s| value_at(&s.labels, s.v, &s.histogram)).collect(),
                Ok(Value::Scalar { v, .. }) => vec![value_at(&Labels::empty(), v, &None)],
                other => panic!("{query} at {t}: {other:?}, but it has an answer for a range"),
            };
            expected.sort();
            let at_t = |s: &MatrixSeries| {
                let histogram = s.histograms.iter().find(|p| p.0 == t).map(|p| p.1.clone());
                let v = s.points.iter().find(|p| p.0 == t).map(|p| p.1);
                (v.is_some() || histogram.is_some()).then(|| value_at(&s.labels, v.unwrap_or(0.0), &histogram))
            };
            let mut found: Vec<String> = whole.iter().filter_map(at_t).collect();
            found.sort();
            assert_eq!(found, expected, "{query} at {t}");
            compared += 1;
        }
    });
    assert!(compared > 1000, "{compared} steps compared");
}

fn value_at(labels: &Labels, v: f64, histogram: &Option<std::sync::Arc<FloatHistogram>>) -> String {
    format!("{labels} {:x} {histogram:?}", bits(v))
}

fn joined(first: Vec<MatrixSeries>, second: Vec<MatrixSeries>) -> Vec<MatrixSeries> {
    let mut all = first;
    for series in second {
        match all.iter_mut().find(|s| s.labels == series.labels) {
            Some(known) => {
                known.points.extend(series.points);
                known.histograms.extend(series.histograms);
            }
            None => all.push(series),
        }
    }
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}
