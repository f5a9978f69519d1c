//! The engine's edges: limits, ends, times far out, and what a source may do.

mod counting;

use std::sync::Mutex;
use std::time::Duration;

use storage::{Columns, Labels, Matcher, TimeRange};

use super::*;
use crate::promql::ParseOptions;
use crate::promql::source::{SeriesReader, SourceError, SourceSeries};

/// Series in memory that remember what was asked of them.
#[derive(Default)]
struct Memory {
    series: Vec<(Labels, Columns)>,
    asked: Mutex<Vec<TimeRange>>,
    warning: Option<String>,
    broken: bool,
}

struct Reader(Labels, Columns, bool);

impl SeriesReader for Reader {
    fn labels(&self) -> &Labels {
        &self.0
    }

    fn read_into(&self, out: &mut Columns) -> Result<(), SourceError> {
        if self.2 {
            return Err(SourceError("the disk is gone".to_owned()));
        }
        out.t.extend(&self.1.t);
        out.v.extend(&self.1.v);
        Ok(())
    }
}

impl Source for Memory {
    fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<SourceSeries, SourceError> {
        self.asked.lock().unwrap().push(range);
        let fits = |labels: &Labels| matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")));
        let found = self.series.iter().filter(|(labels, _)| fits(labels)).map(|(labels, columns)| {
            let inside: Vec<usize> = (0..columns.len()).filter(|&i| range.contains(columns.t[i])).collect();
            let t = inside.iter().map(|&i| columns.t[i]).collect();
            let v = inside.iter().map(|&i| columns.v[i]).collect();
            Box::new(Reader(labels.clone(), Columns { t, v }, self.broken)) as Box<dyn SeriesReader>
        });
        Ok(SourceSeries { series: found.collect(), warnings: self.warning.clone().into_iter().collect() })
    }
}

/// `count` series `m{i="…"}` of one sample a minute from 0 to an hour; each value is the sample's number.
fn memory(count: usize) -> Memory {
    let series = (0..count).map(|i| {
        let labels = Labels::from_pairs([("__name__", "m"), ("i", i.to_string().as_str())]).unwrap();
        (labels, Columns { t: (0..=60).map(|k| k * 60_000).collect(), v: (0..=60).map(f64::from).collect() })
    });
    Memory { series: series.collect(), ..Memory::default() }
}

fn control() -> QueryControl {
    QueryControl::with_timeout(Duration::from_secs(60))
}

/// An engine that takes all of the language.
fn engine() -> Engine {
    Engine::new(EngineOptions { syntax: ParseOptions::all(), ..EngineOptions::default() })
}

fn instant(source: &Memory, query: &str, t: i64) -> Result<QueryResult, QueryError> {
    engine().instant(source, query, t, &control())
}

#[test]
fn asks_for_just_the_samples_it_needs() {
    let asked = |query: &str| {
        let source = memory(1);
        engine().range(&source, query, 1_000_000, 2_000_000, 500_000, &control()).unwrap();
        source.asked.into_inner().unwrap()
    };
    assert_eq!(asked("m"), [TimeRange::new(700_001, 2_000_001)]);
    assert_eq!(asked("rate(m[1m])"), [TimeRange::new(940_001, 2_000_001)]);
    assert_eq!(asked("m offset 1m"), [TimeRange::new(640_001, 1_940_001)]);
    assert_eq!(asked("m @ 100"), [TimeRange::new(-199_999, 100_001)]);
    assert_eq!(asked("m @ end() offset 1s"), [TimeRange::new(1_699_001, 1_999_001)]);
    // The first step of a subquery is the first multiple of its step in the window.
    assert_eq!(asked("max_over_time(m[10m:1m])"), [TimeRange::new(420_000 - 299_999, 1_980_001)]);
    assert_eq!(asked("rate(m[step() / 10])"), [TimeRange::new(950_001, 2_000_001)]);
    // Samples beyond the ends, as far as the lookback.
    assert_eq!(asked("rate(m[1m] anchored)"), [TimeRange::new(640_001, 2_000_001)]);
    assert_eq!(asked("rate(m[1m] smoothed)"), [TimeRange::new(640_001, 2_300_001)]);
    assert_eq!(asked("m smoothed"), [TimeRange::new(700_001, 2_300_001)]);
    // Without labels that say whom they are about, no info series are asked for.
    assert_eq!(asked("info(m)"), [TimeRange::new(700_001, 2_000_001)]);
    assert_eq!(asked("1 + 1"), []);
}

#[test]
fn ends_where_it_is_told_to() {
    let source = memory(3);
    let canceled = control();
    canceled.cancel();
    assert_eq!(Engine::default().instant(&source, "sum(m)", 0, &canceled), Err(QueryError::Canceled));
    let late = QueryControl::with_timeout(Duration::ZERO);
    assert_eq!(Engine::default().instant(&source, "sum(m)", 0, &late), Err(QueryError::Timeout));
}

#[test]
fn refuses_more_samples_than_its_budget() {
    let source = memory(10);
    let engine = Engine::new(EngineOptions { samples_max: 100, ..EngineOptions::default() });
    let words = "query processing would load too many samples into memory in query execution: more than 100; ask for less, \
                 or raise --query.max-samples (cairn.limits.query_samples_max)";
    let refused = Err(QueryError::Execution(words.to_owned()));
    assert_eq!(engine.range(&source, "m", 0, 3_600_000, 60_000, &control()), refused);
    assert_eq!(engine.range(&source, "vector(1)", 0, i64::MAX, 1, &control()), refused);
    assert_eq!(engine.instant(&source, "max_over_time(vector(1)[1d:1s])", 0, &control()), refused);
    // An aggregation holds one series at a time.
    assert!(engine.instant(&source, "sum(rate(m[1h]))", 3_600_000, &control()).is_ok());
}

#[test]
fn refuses_more_memory_series_and_answer_than_its_budgets() {
    let source = memory(10);
    let refusal = |options: EngineOptions, query: &str| {
        let found = Engine::new(options).range(&source, query, 0, 3_600_000, 60_000, &control());
        found.expect_err(query).to_string()
    };
    let options = EngineOptions::default;
    // Held are the rows of both sides: 2 * 10 * 61 samples of 16 bytes.
    let few_bytes = EngineOptions { memory_bytes_max: 20_000, ..options() };
    let words =
        "the query needs more than 20000 bytes of memory; ask for less, or raise cairn.limits.query_memory_bytes_max";
    assert_eq!(refusal(few_bytes.clone(), "m + m"), words);
    assert!(Engine::new(few_bytes).range(&source, "sum(m)", 0, 3_600_000, 60_000, &control()).is_ok());
    let few_series = EngineOptions { series_max: 15, ..options() };
    let words = "the query selects more than 15 series; select fewer, or raise cairn.limits.query_series_max";
    assert_eq!(refusal(few_series.clone(), "m + (m offset 1m)"), words);
    assert!(Engine::new(few_series).instant(&source, "m", 0, &control()).is_ok());
    let small = EngineOptions { result_bytes_max: 5_000, ..options() };
    let words = refusal(small, "m");
    assert!(words.starts_with("the answer has more than 5000 bytes (16 for a point, and the labels)"), "{words}");
}

#[test]
fn who_is_killed_is_told_so() {
    let killed = control();
    killed.kill();
    let ended = Engine::default().instant(&memory(1), "m", 0, &killed);
    assert_eq!(ended, Err(QueryError::Killed));
}

#[test]
fn long_ways_look_for_the_end() {
    let source = memory(50);
    for query in [
        "quantile(0.5, m * on() group_left vector(1))",
        "topk(3, m)",
        "label_replace(m, \"a\", \"$1\", \"i\", \"(.*)\")",
        "sort(m)",
        "m + on(i) m",
        "count_values(\"v\", m)",
        "histogram_quantile(0.9, m)",
    ] {
        let late = QueryControl::with_timeout(Duration::ZERO);
        let found = engine().range(&source, query, 0, 3_600_000, 1000, &late);
        assert_eq!(found, Err(QueryError::Timeout), "{query}");
    }
}

#[test]
fn equal_parts_are_evaluated_once() {
    let used = |query: &str| {
        let (source, control) = (memory(3), control());
        let answer = engine().range(&source, query, 600_000, 720_000, 60_000, &control).unwrap();
        (source.asked.into_inner().unwrap().len(), control.numbers.used().samples.looked_at, answer)
    };
    let (asked, samples, once) = used("sum(m) / (sum(m) + 1)");
    assert_eq!((asked, samples), (1, 18), "both count as looked at");
    // A space more in a matcher's text is the same part; another offset is not.
    let (asked, _, twice) = used("sum(m) / (sum(m offset 0s) + 1)");
    assert!(asked <= 2);
    assert_eq!(once, twice);
    assert_eq!(used("sum(m) + sum(m offset 1m)").0, 2);
    // Another grid of times: inside a subquery.
    assert_eq!(used("sum(m) + max_over_time(sum(m)[5m:1m])").0, 2);
    // What has something to say about its place says it for both.
    let (asked, _, answer) = used("sum(rate(m[5m])) + sum(rate(m[5m]))");
    assert_eq!((asked, answer.infos.len()), (2, 1));
    assert!(answer.infos[0].contains("(1:29)"), "as Prometheus: the last place; {:?}", answer.infos);
}

#[test]
fn answers_do_not_depend_on_the_number_of_cores() {
    let source = memory(700);
    let answer = |query: &str, cores: usize| {
        let options = EngineOptions { syntax: ParseOptions::all(), cores, ..EngineOptions::default() };
        Engine::new(options).range(&source, query, 0, 3_600_000, 3_000, &control()).unwrap()
    };
    for query in ["sum by (i) (rate(m[5m]))", "sum(m / 7)", "m > 58", "stddev(deriv(m[7m]) + m)", "topk(2, m * 1.1)"] {
        let one = answer(query, 1);
        for cores in [2, 5] {
            assert!(one == answer(query, cores), "{query} on {cores} cores");
        }
    }
}

#[test]
fn wide_windows_at_many_steps_end_in_time() {
    let source = memory(1);
    let control = QueryControl::with_timeout(Duration::from_millis(300));
    let started = std::time::Instant::now();
    // Ten thousand windows of a million samples.
    let found =
        Engine::default().range(&source, "sum_over_time(vector(1)[1000000s:1s])", 0, 10_000_000, 1000, &control);
    assert_eq!(found, Err(QueryError::Timeout));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn survives_times_at_the_ends_of_the_calendar() {
    let source = memory(1);
    for t in [i64::MIN, i64::MIN + 1, -1, i64::MAX - 1, i64::MAX] {
        for query in [
            "m",
            "m smoothed",
            "rate(m[1h])",
            "delta(m[1h] anchored)",
            "delta(m[1h] smoothed offset (1m - 100y))",
            "m offset 100y",
            "m offset -100y",
            "max_over_time(m[5m:1m])",
            "info(m)",
            "limitk(1, m) + fill(1) m",
            "year()",
            "time()",
        ] {
            instant(&source, query, t).unwrap_or_else(|e| panic!("{query} at {t}: {e}"));
        }
        let _ = Engine::default().range(&source, "m", t, t, 1, &control()).unwrap();
    }
}

#[test]
fn range_queries_take_scalars_and_vectors_only() {
    let source = memory(1);
    let range = |query: &str, step: i64| Engine::default().range(&source, query, 0, 1000, step, &control());
    let message = "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector";
    assert_eq!(range("m[5m]", 1000), Err(QueryError::Parse(message.to_owned())));
    assert!(matches!(range("m", 0), Err(QueryError::Parse(_))));
    let points = vec![(0, 2.0), (1000, 2.0)];
    let expected = Value::Matrix(vec![MatrixSeries { labels: Labels::empty(), points, histograms: Vec::new() }]);
    assert_eq!(range("1 + 1", 1000).map(|r| r.value), Ok(expected));
}

#[test]
fn a_query_without_extensions_takes_none() {
    let source = memory(1);
    for query in ["m smoothed", "limitk(1, m)", "m + fill(1) m", "info(m)", "step()"] {
        assert!(instant(&source, query, 0).is_ok());
        assert!(matches!(Engine::default().instant(&source, query, 0, &control()), Err(QueryError::Parse(_))));
    }
    // Durations are computed in any query, for the times that it has.
    assert!(Engine::default().range(&source, "rate(m[step() * 2])", 0, 60_000, 60_000, &control()).is_ok());
    let words = "7:13: duration must be greater than 0".to_owned();
    assert_eq!(Engine::default().instant(&source, "rate(m[step()])", 0, &control()), Err(QueryError::Parse(words)));
}

#[test]
fn says_what_the_source_says() {
    let mut source = memory(1);
    source.warning = Some("a block is damaged".to_owned());
    assert_eq!(instant(&source, "m + m", 0).map(|r| r.warnings), Ok(vec!["a block is damaged".to_owned()]));
    source.broken = true;
    let words = "expanding series: the disk is gone".to_owned();
    assert_eq!(instant(&source, "m", 0), Err(QueryError::Execution(words)));
}

#[test]
fn the_deepest_queries_fit_on_a_small_stack() {
    let source = memory(2);
    let chain = format!("m{}", " + m".repeat(crate::promql::ast::HEIGHT_MAX - 1));
    let nested = format!("{}m{}", "abs(".repeat(90), ")".repeat(90));
    let subqueries = format!("{}m{}", "sum_over_time(sum(".repeat(40), ")[5m:1m])".repeat(40));
    for query in [chain, nested, subqueries] {
        let expr = Engine::default().parse(&query).unwrap_or_else(|e| panic!("{query}: {e}"));
        assert_eq!(Engine::default().parse(&expr.to_string()).map(|e| e.to_string()), Ok(expr.to_string()));
        instant(&source, &query, 60_000).unwrap_or_else(|e| panic!("{query}: {e}"));
    }
}

#[test]
fn strings_and_matrices_are_answers_too() {
    let source = memory(1);
    let value = |query: &str| instant(&source, query, 120_000).map(|r| r.value);
    assert_eq!(value("\"text\""), Ok(Value::String { t: 120_000, s: "text".to_owned() }));
    assert_eq!(value("pi()"), Ok(Value::Scalar { t: 120_000, v: std::f64::consts::PI }));
    let labels = source.series[0].0.clone();
    let points = vec![(60_000, 1.0), (120_000, 2.0)];
    assert_eq!(value("m[2m]"), Ok(Value::Matrix(vec![MatrixSeries { labels, points, histograms: Vec::new() }])));
    assert_eq!(value("nothing"), Ok(Value::Vector(Vec::new())));
}
