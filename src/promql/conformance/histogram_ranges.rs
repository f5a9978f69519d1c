//! A range query over native histograms is many instant queries: columns, sliding windows and shared histograms against
//! the same engine at single moments.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use storage::{Batch, Db, Durability, Histogram, Labels, Options, stale_nan};
use tempfile::TempDir;

use crate::promql::histogram::FloatHistogram;
use crate::promql::{Engine, QueryControl, Value};

const STEP_MS: i64 = 60_000;
const SAMPLES: i64 = 60;

const SELECTORS: [&str; 6] =
    ["h{k=\"counter\"}", "h{k=\"gauge\"}", "h{k=\"custom\"}", "h{k=\"mixed\"}", "h{k=~\"counter|gauge\"}", "h"];
const TEMPLATES: [&str; 27] = [
    "S",
    "-S",
    "S * 2 - S",
    "S + on(k) group_left() sum by (k) (S)",
    "S == S offset 1m",
    "S unless S offset 5m",
    "S or S offset 7m",
    "S </ 3",
    "sum(S)",
    "avg(S)",
    "count by (k) (S)",
    "max(S)",
    "count_values(\"v\", S)",
    "histogram_quantile(0.7, S)",
    "histogram_fraction(0.5, 3, S)",
    "histogram_stddev(S)",
    "histogram_count(sum(rate(S[7m])))",
    "rate(S[7m])",
    "increase(S[5m])",
    "delta(S[5m])",
    "irate(S[4m])",
    "sum_over_time(S[6m])",
    "avg_over_time(S[6m])",
    "last_over_time(S[3m])",
    "changes(S[8m]) + resets(S[8m])",
    "sum_over_time(rate(S[4m])[6m:2m])",
    "absent(S) or timestamp(S)",
];

/// A counter with resets, a gauge, custom buckets whose bounds change, floats and histograms in turns; gaps and ends.
fn load(dir: &TempDir) -> Db {
    let db = Db::open(dir.path(), Options::default()).expect("an empty directory opens");
    let mut noise = 99_u64;
    let mut roll = move |sides: u64| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 33) % sides
    };
    let (mut floats, mut batch) = (Batch::new(), Batch::new());
    for kind in ["counter", "gauge", "custom", "mixed"] {
        let labels = Labels::from_pairs([("__name__", "h"), ("k", kind)]).expect("a label set");
        let mut counts: BTreeMap<i32, f64> = BTreeMap::new();
        for k in 0..SAMPLES {
            if roll(10) == 0 {
                counts.clear();
            }
            *counts.entry(roll(6) as i32 - 2).or_default() += roll(9) as f64;
            match roll(12) {
                0 => continue,
                1 => floats.push(labels.clone(), k * STEP_MS, stale_nan()),
                2..5 if kind == "mixed" => floats.push(labels.clone(), k * STEP_MS, k as f64),
                _ => batch.push_histogram(labels.clone(), k * STEP_MS, histogram(kind, k, &counts)),
            }
        }
    }
    for mut batch in [floats, batch] {
        let done = db.append(&mut batch, 100 * SAMPLES * STEP_MS, Durability::Written).expect("loading works");
        assert!(done.refused.is_empty() && done.refused_histograms.is_empty(), "{done:?}");
    }
    db
}

fn histogram(kind: &str, k: i64, counts: &BTreeMap<i32, f64>) -> Histogram {
    let is_custom = kind == "custom";
    let mut histogram = FloatHistogram::empty(if is_custom { storage::SCHEMA_CUSTOM } else { (2 - k / 20) as i32 });
    let all = if is_custom { [0.5, 1.0, 2.0, 4.0, 8.0] } else { [0.0; 5] };
    if is_custom {
        histogram.custom_values = all[..if k > 40 { 4 } else { 5 }].into();
    }
    let last = if is_custom { histogram.custom_values.len() as i32 } else { i32::MAX };
    let inside = counts.iter().filter(|(i, _)| !is_custom || (0..=last).contains(*i));
    histogram.positive = inside.map(|(i, c)| (*i, *c)).collect();
    histogram.count = histogram.positive.iter().map(|(_, c)| c).sum();
    histogram.sum = histogram.count * 1.5;
    if kind == "gauge" {
        histogram.hint = storage::CounterResetHint::Gauge;
    }
    histogram.to_stored()
}

/// Everything at one time, as text: but for the last bits floats must be the same, histograms as a whole.
fn shown(labels: &Labels, value: impl Debug) -> String {
    format!("{labels} {value:?}")
}

#[test]
fn a_range_query_of_histograms_is_many_instant_queries() {
    let dir = TempDir::new().expect("a temporary directory");
    let db = load(&dir);
    let engine = Engine::default();
    let control = || QueryControl::with_timeout(Duration::from_secs(60));
    let mut compared = 0;
    for template in TEMPLATES {
        for selector in SELECTORS {
            let query = template.replace('S', selector);
            let (start, end, step) = (STEP_MS / 2, SAMPLES * STEP_MS, 90_000);
            let whole = engine.range(&db, &query, start, end, step, &control());
            let Value::Matrix(whole) = whole.unwrap_or_else(|e| panic!("{query}: {e}")).value else {
                panic!("{query} is no matrix");
            };
            for t in (start..=end).step_by(step as usize) {
                let one = engine.instant(&db, &query, t, &control()).unwrap_or_else(|e| panic!("{query} at {t}: {e}"));
                let Value::Vector(one) = one.value else { panic!("{query} is no vector") };
                let mut expected: Vec<String> = one
                    .iter()
                    .map(|s| shown(&s.labels, (s.histogram.is_none().then_some(s.v), &s.histogram)))
                    .collect();
                let at_t = whole.iter().filter_map(|s| {
                    let v = s.points.iter().find(|p| p.0 == t).map(|p| p.1);
                    let histogram = s.histograms.iter().find(|p| p.0 == t).map(|p| p.1.clone());
                    (v.is_some() || histogram.is_some()).then(|| shown(&s.labels, (v, histogram)))
                });
                let mut found: Vec<String> = at_t.collect();
                expected.sort();
                found.sort();
                assert_eq!(found, expected, "{query} at {t}");
                compared += found.len();
            }
        }
    }
    assert!(compared > 2000, "{compared} values compared");
}
