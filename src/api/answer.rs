//! Successful answers in Prometheus' envelope, and the JSON of numbers and samples.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use storage::Labels;

use super::error::ApiError;
use crate::promql::histogram::{Bucket, FloatHistogram};
use crate::promql::{QueryResult, Value};

/// `{"status":"success","data":…}` with warnings and infos where there are any.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    data: String,
    warnings: Vec<String>,
    infos: Vec<String>,
}

/// What every JSON handler returns.
pub(crate) type ApiResult = Result<Answer, ApiError>;

impl Answer {
    /// `data` as serde writes it.
    pub(crate) fn of(data: &impl Serialize) -> ApiResult {
        let data = serde_json::to_string(data)
            .map_err(|e| ApiError::Internal(format!("the answer cannot be written: {e}")))?;
        Ok(Answer { data, ..Answer::default() })
    }

    /// Adds warnings.
    pub(crate) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    /// A query's value in Prometheus' form.
    pub(crate) fn query(result: &QueryResult) -> Self {
        let mut data = String::new();
        push_value(&mut data, &result.value);
        Answer { data, warnings: result.warnings.clone(), infos: result.infos.clone() }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut body = String::with_capacity(self.data.len() + 64);
        body.push_str(r#"{"status":"success","data":"#);
        body.push_str(&self.data);
        for (key, texts) in [("warnings", &self.warnings), ("infos", &self.infos)] {
            if !texts.is_empty() {
                body.push_str(&format!(",\"{key}\":"));
                push_list(&mut body, texts, |out, text| push_text(out, text));
            }
        }
        body.push('}');
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    }
}

fn push_value(out: &mut String, value: &Value) {
    let kind = match value {
        Value::Scalar { .. } => "scalar",
        Value::String { .. } => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    out.push_str(&format!(r#"{{"resultType":"{kind}","result":"#));
    match value {
        Value::Scalar { t, v } => push_sample(out, *t, *v),
        Value::String { t, s } => {
            out.push('[');
            push_time(out, *t);
            out.push(',');
            push_text(out, s);
            out.push(']');
        }
        Value::Vector(samples) => push_list(out, samples, |out, sample| {
            push_metric(out, &sample.labels);
            match &sample.histogram {
                None => {
                    out.push_str(r#","value":"#);
                    push_sample(out, sample.t, sample.v);
                }
                Some(histogram) => {
                    out.push_str(r#","histogram":"#);
                    push_histogram(out, sample.t, histogram);
                }
            }
            out.push('}');
        }),
        Value::Matrix(series) => push_list(out, series, |out, series| {
            push_metric(out, &series.labels);
            if !series.points.is_empty() || series.histograms.is_empty() {
                out.push_str(r#","values":"#);
                push_list(out, &series.points, |out, &(t, v)| push_sample(out, t, v));
            }
            if !series.histograms.is_empty() {
                out.push_str(r#","histograms":"#);
                push_list(out, &series.histograms, |out, (t, histogram)| push_histogram(out, *t, histogram));
            }
            out.push('}');
        }),
    }
    out.push('}');
}

fn push_metric(out: &mut String, labels: &Labels) {
    out.push_str(r#"{"metric":"#);
    push_labels(out, labels);
}

/// Labels as a JSON object, in their order.
pub(crate) fn push_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_text(out, name);
        out.push(':');
        push_text(out, value);
    }
    out.push('}');
}

fn push_list<T>(out: &mut String, items: &[T], mut push: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push(out, item);
    }
    out.push(']');
}

fn push_sample(out: &mut String, t: i64, v: f64) {
    out.push('[');
    push_time(out, t);
    out.push_str(",\"");
    out.push_str(&format_float(v));
    out.push_str("\"]");
}

/// `[t,{"count":…,"sum":…,"buckets":[[rule,lower,upper,count],…]}]`. The rule says which bounds belong to the bucket:
/// 0 the upper, 1 the lower, 2 none, 3 both.
fn push_histogram(out: &mut String, t: i64, histogram: &FloatHistogram) {
    use std::fmt::Write as _;
    out.push('[');
    push_time(out, t);
    // Writing into a String cannot fail.
    let (count, sum) = (format_float(histogram.count), format_float(histogram.sum));
    let _ = write!(out, r#",{{"count":"{count}","sum":"{sum}""#);
    let buckets: Vec<Bucket> = histogram.buckets().collect();
    if !buckets.is_empty() {
        out.push_str(r#","buckets":"#);
        push_list(out, &buckets, |out, bucket| {
            let rule = match (bucket.has_lower, bucket.has_upper) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            let [lower, upper, count] = [bucket.lower, bucket.upper, bucket.count].map(format_float);
            let _ = write!(out, r#"[{rule},"{lower}","{upper}","{count}"]"#);
        });
    }
    out.push_str("}]");
}

/// Seconds with at most three decimals: `1.5` s is `1.500`, as Prometheus writes it.
fn push_time(out: &mut String, t: i64) {
    use std::fmt::Write as _;
    let sign = if t < 0 { "-" } else { "" };
    let (whole, fraction) = (t.unsigned_abs() / 1000, t.unsigned_abs() % 1000);
    // Writing into a String cannot fail.
    let _ = match fraction {
        0 => write!(out, "{sign}{whole}"),
        _ => write!(out, "{sign}{whole}.{fraction:03}"),
    };
}

/// The shortest decimal that reads back equal, with an exponent below 1e-6 and from 1e21 on, as Prometheus and browsers write
/// numbers; `NaN`, `+Inf`, `-Inf`.
pub(crate) fn format_float(v: f64) -> String {
    match v {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v if v != 0.0 && !(1e-6..1e21).contains(&v.abs()) => format_scientific(v),
        v => v.to_string(),
    }
}

/// With an exponent of at least two digits, as Go writes it: `1e+00`.
pub(crate) fn format_scientific(v: f64) -> String {
    if !v.is_finite() {
        return format_float(v);
    }
    let text = format!("{v:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// A JSON string.
pub(crate) fn push_text(out: &mut String, text: &str) {
    let plain = text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if plain {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{MatrixSeries, VectorSample};

    #[track_caller]
    fn check(value: Value, expected: &str) {
        let mut got = String::new();
        push_value(&mut got, &value);
        assert_eq!(got, expected);
        serde_json::from_str::<serde_json::Value>(&got).unwrap();
    }

    #[test]
    fn values_are_written_as_prometheus_does() {
        let up = Labels::from_pairs([("__name__", "up"), ("a", "q\"\n")]).unwrap();
        check(
            Value::Scalar { t: 1_435_781_451_781, v: 2.0 },
            r#"{"resultType":"scalar","result":[1435781451.781,"2"]}"#,
        );
        check(Value::String { t: -1_010, s: "x".into() }, r#"{"resultType":"string","result":[-1.010,"x"]}"#);
        check(Value::Vector(Vec::new()), r#"{"resultType":"vector","result":[]}"#);
        check(
            Value::Vector(vec![VectorSample { labels: up.clone(), t: 1_000, v: f64::NAN, histogram: None }]),
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","a":"q\"\n"},"value":[1,"NaN"]}]}"#,
        );
        check(
            Value::Matrix(vec![MatrixSeries {
                labels: Labels::empty(),
                points: vec![(1, 0.1), (2_000, f64::INFINITY)],
                histograms: Vec::new(),
            }]),
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0.001,"0.1"],[2,"+Inf"]]}]}"#,
        );
    }

    #[test]
    fn histograms_are_written_as_prometheus_does() {
        let mut histogram = FloatHistogram::empty(0);
        histogram.positive = [(1, 2.0)].into_iter().collect();
        histogram.negative = [(0, 1.5)].into_iter().collect();
        (histogram.zero_threshold, histogram.zero_count) = (0.25, 1.0);
        (histogram.count, histogram.sum) = (4.5, f64::INFINITY);
        let histogram = std::sync::Arc::new(histogram);
        let text =
            r#"{"count":"4.5","sum":"+Inf","buckets":[[1,"-1","-0.5","1.5"],[3,"-0.25","0.25","1"],[0,"1","2","2"]]}"#;
        let labels = Labels::empty();
        check(
            Value::Vector(vec![VectorSample {
                labels: labels.clone(),
                t: 1_000,
                v: 0.0,
                histogram: Some(histogram.clone()),
            }]),
            &format!(r#"{{"resultType":"vector","result":[{{"metric":{{}},"histogram":[1,{text}]}}]}}"#),
        );
        let empty = std::sync::Arc::new(FloatHistogram::empty(0));
        check(
            Value::Matrix(vec![MatrixSeries { labels, points: vec![(0, 1.0)], histograms: vec![(1_000, empty)] }]),
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0,"1"]],"histograms":[[1,{"count":"0","sum":"0"}]]}]}"#,
        );
    }

    #[test]
    fn floats_are_written_as_prometheus_does() {
        let cases = [
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (0.000001, "0.000001"),
            (1.25e-7, "1.25e-07"),
            (-0.0, "-0"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (v, expected) in cases {
            assert_eq!(format_float(v), expected);
        }
    }

    #[test]
    fn values_of_alerts_have_an_exponent() {
        for (v, expected) in
            [(0.0, "0e+00"), (1.0, "1e+00"), (-12.5, "-1.25e+01"), (1e-7, "1e-07"), (f64::INFINITY, "+Inf")]
        {
            assert_eq!(format_scientific(v), expected);
        }
    }
}
