//! A query's result as Prometheus' HTTP API writes it.
//!
//! Elsewhere: the server's own, which streams text (`api`).

use serde_json::{Map, Value as Json, json};
use storage::Labels;

use crate::promql::histogram::FloatHistogram;
use crate::promql::{QueryResult, Value, float_text};

/// The whole answer.
pub(super) fn answer(result: &QueryResult) -> Json {
    let (kind, found) = match &result.value {
        Value::Scalar { t, v } => ("scalar", sample(*t, *v)),
        Value::String { t, s } => ("string", json!([seconds(*t), s])),
        Value::Vector(samples) => {
            let one = |s: &crate::promql::VectorSample| match &s.histogram {
                Some(found) => json!({ "metric": labels(&s.labels), "histogram": histogram(s.t, found) }),
                None => json!({ "metric": labels(&s.labels), "value": sample(s.t, s.v) }),
            };
            ("vector", samples.iter().map(one).collect())
        }
        Value::Matrix(series) => {
            let one = |s: &crate::promql::MatrixSeries| {
                let mut one = json!({ "metric": labels(&s.labels) });
                if !s.points.is_empty() || s.histograms.is_empty() {
                    one["values"] = s.points.iter().map(|(t, v)| sample(*t, *v)).collect();
                }
                if !s.histograms.is_empty() {
                    one["histograms"] = s.histograms.iter().map(|(t, h)| histogram(*t, h)).collect();
                }
                one
            };
            ("matrix", series.iter().map(one).collect::<Json>())
        }
    };
    let mut answer = json!({ "status": "success", "data": { "resultType": kind, "result": found } });
    for (key, texts) in [("warnings", &result.warnings), ("infos", &result.infos)] {
        if !texts.is_empty() {
            answer[key] = json!(texts);
        }
    }
    answer
}

/// An object of names and values.
pub(super) fn labels(labels: &Labels) -> Json {
    let pairs = labels.iter().map(|(name, value)| (name.to_owned(), Json::from(value)));
    Json::Object(pairs.collect::<Map<_, _>>())
}

/// Whole where it can be.
fn seconds(ms: i64) -> Json {
    if ms % 1000 == 0 { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) }
}

fn sample(t: i64, v: f64) -> Json {
    json!([seconds(t), float_text(v)])
}

/// The rule of a bucket says which bounds belong to it: 0 the upper, 1 the lower, 2 none, 3 both.
fn histogram(t: i64, histogram: &FloatHistogram) -> Json {
    let mut found = json!({ "count": float_text(histogram.count), "sum": float_text(histogram.sum) });
    let buckets: Vec<Json> = histogram
        .buckets()
        .filter(|bucket| bucket.count != 0.0)
        .map(|bucket| {
            let rule = match (bucket.has_lower, bucket.has_upper) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            json!([rule, float_text(bucket.lower), float_text(bucket.upper), float_text(bucket.count)])
        })
        .collect();
    if !buckets.is_empty() {
        found["buckets"] = Json::Array(buckets);
    }
    json!([seconds(t), found])
}
